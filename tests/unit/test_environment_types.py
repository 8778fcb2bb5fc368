"""What workers published about their types, read with distrust: whoever can reach a Redis can write there."""

import logging

import pytest

from fluid_operator.api.meta import to_wire
from fluid_operator.environments.types import awaits_news, read_type

SCHEMA = {"type": "object"}


def settings_of(**told):
    return to_wire(read_type("email", {"schema": SCHEMA, "settings": told}).settings)


def test_a_published_type_has_its_schema_and_its_settings():
    known = read_type("email", {"schema": SCHEMA, "settings": {"queue": "mail", "sensitivePayload": True}})
    assert known.schema == SCHEMA
    assert (known.settings.queue, known.settings.sensitive_payload) == ("mail", True)


@pytest.mark.parametrize("told", [[], None, "x", 3, {"schema": "x"}, {"schema": []}])
def test_what_is_no_type_is_none_and_is_logged(told, caplog):
    with caplog.at_level(logging.WARNING):
        assert read_type("junk", told) is None
    assert [record.fields["type"] for record in caplog.records] == ["junk"]


@pytest.mark.parametrize("settings", [None, [], "x", [1], 3])
def test_settings_that_are_no_map_count_as_none(settings):
    assert to_wire(read_type("email", {"schema": SCHEMA, "settings": settings}).settings) == {"sensitivePayload": False}


@pytest.mark.parametrize(
    "field",
    [
        {"backoff": {"factor": 20}},
        {"backoff": "soon"},
        {"backoffLimit": 5_000},
        {"backoffLimit": True},
        {"attemptDeadlineSeconds": 0},
        {"attemptDeadlineSeconds": 1.5},
        {"queue": "no such name!"},
        {"queue": ""},
    ],
    ids=str,
)
def test_a_setting_beyond_what_a_status_can_show_is_not_used_and_the_others_are(field, caplog):
    kept = {"attemptDeadlineSeconds": 60, "queue": "mail"} | field
    with caplog.at_level(logging.WARNING):
        got = settings_of(**kept)
    assert got == {"sensitivePayload": False} | {name: value for name, value in kept.items() if name not in field}
    assert "email" in {record.fields["type"] for record in caplog.records}


def test_settings_of_a_newer_worker_are_ignored():
    assert settings_of(queue="mail", colour="red") == {"queue": "mail", "sensitivePayload": False}


@pytest.mark.parametrize(
    ("wanted", "before", "known", "holds"),
    [
        (("new",), (), (), True),
        (("new",), ("old",), (), True),
        (("new", "old"), ("old",), ("old",), True),
        (("old",), ("old",), ("old",), False),
        (("old",), ("old",), (), False),
        (("new", "old"), ("old",), (), False),
    ],
)
def test_types_stay_known_while_a_new_image_has_told_nothing_and_go_with_the_data(wanted, before, known, holds):
    assert awaits_news(wanted, before, known) is holds
