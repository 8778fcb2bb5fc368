"""The worker's settings, its logs and its verdicts on its own health."""

import io
import json
import logging

import pytest

from fluid_processors import SettingsError, logs
from fluid_processors.health import Snapshot, not_live, not_ready
from fluid_processors.main import main
from fluid_processors.settings import describe, from_environment
from fluid_processors.testing import LocalJob
from fluid_queue.logs import JsonFormatter, TextFormatter

MINIMUM = {"FLUID_REDIS_URL": "redis://:sesame@localhost:6379/0", "FLUID_KEY_PREFIX": "ns.default"}


def problems(**environment):
    with pytest.raises(SettingsError) as refusal:
        from_environment(environment)
    return {problem.path: problem.message for problem in refusal.value.problems}


def test_the_defaults_are_the_promised_ones():
    settings = from_environment(MINIMUM).model_dump(exclude={"redis_url", "worker_name"})
    assert settings == {
        "key_prefix": "ns.default",
        "encryption_keys": None,
        "encryption_required": False,
        "queues": ("*",),
        "concurrency": 50,
        "lease_seconds": 15.0,
        "grace_seconds": 25.0,
        "stop_grace_seconds": 30.0,
        "kill_grace_seconds": 0.5,
        "max_jobs_per_child": 1000,
        "memory_limit_megabytes": None,
        "child_idle_seconds": 300.0,
        "image": "local",
        "health_host": "0.0.0.0",  # noqa: S104 - the documented default
        "health_port": 8080,
        "liveness_seconds": 120.0,
        "log_level": "info",
        "log_format": "json",
    }


def test_queues_are_separated_by_commas_and_an_empty_variable_counts_as_unset():
    settings = from_environment({**MINIMUM, "FLUID_QUEUES": "email, sync", "FLUID_IMAGE": ""})
    assert settings.queues == ("email", "sync")
    assert settings.image == "local"


def test_all_problems_are_told_at_once_with_their_variables():
    found = problems(FLUID_CONCURRENCY="many", FLUID_LEASE_SECONDS="0", FLUID_LOG_FORMAT="xml")
    assert set(found) == {
        "FLUID_REDIS_URL", "FLUID_KEY_PREFIX", "FLUID_CONCURRENCY", "FLUID_LEASE_SECONDS", "FLUID_LOG_FORMAT",
    }  # fmt: skip
    assert found["FLUID_LEASE_SECONDS"] == "must be greater than or equal to 1"
    assert "FLUID_REDIS_URL_FILE" in found["FLUID_REDIS_URL"]


def test_a_password_is_shown_neither_in_an_error_nor_in_the_settings():
    found = problems(FLUID_REDIS_URL="http://:sesame@host", FLUID_KEY_PREFIX="x")
    assert "sesame" not in str(found)
    assert "sesame" not in repr(from_environment(MINIMUM))


def test_the_redis_url_may_come_from_a_file(tmp_path):
    (tmp_path / "url").write_text("redis://:from-file@localhost:6379/0\n")
    environment = {"FLUID_KEY_PREFIX": "x", "FLUID_REDIS_URL_FILE": str(tmp_path / "url")}
    assert from_environment(environment).redis_url.get_secret_value() == "redis://:from-file@localhost:6379/0"


def test_a_file_that_cannot_be_read_is_a_problem_of_its_variable(tmp_path):
    assert problems(FLUID_KEY_PREFIX="x", FLUID_REDIS_URL_FILE=str(tmp_path / "none")) == {
        "FLUID_REDIS_URL_FILE": "cannot be read: No such file or directory"
    }


def test_a_key_ring_may_come_from_a_file_and_makes_a_codec(tmp_path):
    (tmp_path / "keys").write_text("# of November\nk1: " + "A" * 43 + "=\n")
    settings = from_environment(MINIMUM | {"FLUID_ENCRYPTION_KEYS_FILE": str(tmp_path / "keys")})
    assert settings.codec().keys.current == "k1"
    assert "AAAA" not in repr(settings)
    assert from_environment(MINIMUM).codec().keys is None


def test_keys_that_are_no_keys_are_told_line_by_line_and_never_shown():
    found = problems(**MINIMUM, FLUID_ENCRYPTION_KEYS="k1: c2VjcmV0", FLUID_ENCRYPTION_REQUIRED="true")
    assert found == {
        "FLUID_ENCRYPTION_KEYS": "the key ring cannot be used: line 1: the key has 6 bytes instead of 32: "
        "make one with `openssl rand -base64 32`"
    }


def test_encryption_cannot_be_required_without_a_key():
    assert list(problems(**MINIMUM, FLUID_ENCRYPTION_REQUIRED="true")) == ["FLUID_ENCRYPTION_REQUIRED"]
    assert from_environment(MINIMUM | {"FLUID_ENCRYPTION_REQUIRED": "false"}).encryption_required is False


def test_unusable_settings_end_the_command_with_2_and_one_line_each(monkeypatch, capsys):
    monkeypatch.delenv("FLUID_REDIS_URL", raising=False)
    monkeypatch.delenv("FLUID_KEY_PREFIX", raising=False)
    assert main([]) == 2
    assert "  FLUID_KEY_PREFIX: is not set\n" in capsys.readouterr().err


def test_the_help_explains_every_variable(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(variable in shown and meaning in shown for variable, _, meaning in describe())


def test_the_list_names_types_queues_and_where_they_come_from(capsys):
    assert main(["--list"]) == 0
    assert "fluid_processors.email:send_email" in capsys.readouterr().out


def snapshot(**changes):
    usual = {
        "now": 1000.0,
        "started": 0.0,
        "last_claim": 995.0,
        "last_finished": 0.0,
        "free_slots": 3,
        "draining": False,
    }
    return Snapshot(**{**usual, **changes})


def test_a_worker_lives_as_long_as_its_claims_are_answered():
    assert not_live(snapshot(), 60) is None
    assert not_live(snapshot(last_claim=900.0), 60) == "no successful claim for 100 s (limit 60 s)"


def test_a_worker_that_has_not_claimed_yet_lives_for_the_limit():
    assert not_live(snapshot(started=950.0, last_claim=0.0), 60) is None
    assert not_live(snapshot(started=900.0, last_claim=0.0), 60) is not None


def test_a_worker_with_every_slot_taken_lives_and_its_clock_starts_again_with_a_free_slot():
    assert not_live(snapshot(last_claim=1.0, free_slots=0), 60) is None
    assert not_live(snapshot(last_claim=1.0, last_finished=999.0), 60) is None


def test_a_draining_worker_lives_but_is_not_ready():
    assert not_live(snapshot(last_claim=1.0, draining=True), 60) is None
    assert not_ready(snapshot(draining=True)) == "draining"


def test_a_worker_is_ready_after_its_first_claim():
    assert not_ready(snapshot()) is None
    assert "no claim" in not_ready(snapshot(last_claim=0.0))


class FluidJobJob(LocalJob):
    """A job behind which a resource stands."""

    @property
    def origin(self):
        return {"kind": "FluidJob", "namespace": "staging", "name": "mail-1", "uid": "u1", "generation": 3}


@pytest.fixture
def written():
    """Gives a function that logs one record through a formatter and returns what was written."""

    def write(formatter, **extra):
        stream = io.StringIO()
        logger = logging.getLogger("probe-of-formatters")
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel("INFO")
        logs.for_job(logger, FluidJobJob("email", {}, queue="mail", attempt=2)).info("attempt failed", **extra)
        return stream.getvalue()

    return write


def test_a_json_line_tells_job_type_queue_attempt_worker_and_origin(written):
    entry = json.loads(written(JsonFormatter({"worker": "w1"}), extra={"fields": {"error": "OSError"}}))
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info", "logger": "probe-of-formatters", "message": "attempt failed", "worker": "w1", "job": "job-1",
        "type": "email", "queue": "mail", "attempt": 2, "namespace": "staging", "name": "mail-1", "uid": "u1",
        "error": "OSError",
    }  # fmt: skip


def test_a_text_line_is_for_people(written):
    line = written(TextFormatter())
    assert "INFO    attempt failed job=job-1 type=email" in line


def test_facts_that_another_package_gives_as_extras_are_kept():
    record = logging.makeLogRecord({"name": "other", "msg": "lost", "levelno": 20, "levelname": "INFO", "pause": 0.5})
    assert json.loads(JsonFormatter({"worker": "w1"}).format(record))["pause"] == 0.5
