"""Sensitive values stay inside: in no error, no log line, no progress, no result."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from fluid_processors import InvalidPayload, PermanentError, RateLimited, RetryLater, Sensitive, processor
from fluid_processors.payloads import validate
from fluid_processors.sensitive import Masker, masker_of
from fluid_processors.testing import run_processor

SECRET = "hunter2-and-more"


class Account(BaseModel):
    user: str
    password: Annotated[str, Sensitive()]


class Login(BaseModel):
    account: Account
    codes: list[Annotated[str, Sensitive()]] = []
    pin: Annotated[int | None, Sensitive()] = None
    note: str = ""

    @field_validator("codes")
    @classmethod
    def _known(cls, codes):
        if "bad" in "".join(codes):
            raise ValueError(f"unknown code {codes}")
        return codes


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind"), Sensitive()]


def login(**other):
    return {"account": {"user": "ada", "password": SECRET}, **other}


def problems(model, payload, **options):
    with pytest.raises(InvalidPayload) as refusal:
        validate(model, payload, **options)
    assert refusal.value.reason == "InvalidPayload"
    return {problem.path: problem.message for problem in refusal.value.problems}


def test_a_bad_payload_names_every_field_and_its_rule():
    assert problems(Login, {"account": {"user": 1}, "pin": "x"}) == {
        "account.user": "must be a valid string",
        "account.password": "is required",
        "pin": "must be a valid integer, unable to parse string as an integer",
    }


def test_a_message_that_quotes_the_value_is_withheld_for_sensitive_fields():
    assert problems(Login, login(codes=["bad-secret"])) == {"codes": "is not valid"}
    assert problems(Owner, {"pet": {"kind": SECRET}}) == {"pet": "is not valid"}


def test_a_refused_payload_carries_no_value_in_its_chain():
    with pytest.raises(InvalidPayload) as refusal:
        validate(Login, login(codes=["bad-secret"]))
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None


def test_the_schema_marks_sensitive_fields():
    schema = Login.model_json_schema()
    assert schema["$defs"]["Account"]["properties"]["password"]["x-sensitive"] is True
    assert "x-sensitive" not in schema["$defs"]["Account"]["properties"]["user"]


def test_marked_values_are_masked_wherever_they_stand_in_a_text():
    masker = masker_of(Login(**login(codes=["code-77"], pin=424242)))
    assert (
        masker.text(f"tried {SECRET.upper()} with code-77 and 424242 for ada") == "tried *** with *** and *** for ada"
    )


@pytest.mark.parametrize(
    ("value", "text", "masked"),
    [
        ("no", "no", "***"),
        ("no", "no way", "no way"),
        ("test", "the test of the latest", "the *** of the latest"),
        ("password1", "mypassword123", "my***23"),
        ("äöü", "(ÄÖÜ)", "(***)"),
    ],
)
def test_the_shorter_a_value_the_less_of_a_text_is_cut(value, text, masked):
    assert Masker([value]).text(text) == masked


@pytest.mark.timeout(20)
def test_values_as_large_as_attachments_cost_nothing():
    masker = Masker(["x" * 14_000_000, "secret-word"])
    assert masker.text("a secret-word here") == "a *** here"


def test_a_value_that_contains_another_is_masked_as_a_whole():
    assert Masker(["abcd", "abcdefgh"]).text("abcdefgh") == "***"


def test_a_sensitive_payload_counts_as_marked_in_all_its_fields():
    masker = masker_of(Login(**login(note="a diagnosis")), everything=True)
    assert masker.text("a diagnosis for ada2") == "*** for ada2"
    assert masker.json({"who": ["a diagnosis"], "n": 1}) == {"who": ["***"], "n": 1}


@pytest.mark.parametrize(
    "error",
    [
        PermanentError(f"bad {SECRET}", type="Refused", reason="Because"),
        RetryLater(f"bad {SECRET}", after=7),
        RateLimited(f"bad {SECRET}", after=8, scope="key"),
        LookupError(f"bad {SECRET}"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_keeps_its_name_and_meaning_and_loses_the_secret(error, caplog):
    @processor("login", payload=Login)
    async def log_in(ctx, payload):
        try:
            raise OSError(f"cause with {SECRET}")
        except OSError as cause:
            raise error from cause

    got = (await run_processor(log_in, login())).error
    assert str(got) == "bad ***"
    assert type(got).__name__ == type(error).__name__
    expected = {name: value for name, value in vars(error).items() if name in ("type", "reason", "after", "scope")}
    assert {name: getattr(got, name) for name in expected} == expected
    assert SECRET not in "".join(str(vars(record)) for record in caplog.records)


async def test_logs_progress_and_results_are_masked(caplog):
    caplog.set_level("INFO")

    @processor("login", payload=Login)
    async def log_in(ctx, payload):
        ctx.log(f"trying {payload.account.password}")
        ctx.progress(10, f"half of {payload.account.password}")
        return {"used": payload.account.password, "by": payload.account.user}

    outcome = await run_processor(log_in, login())
    assert outcome.lines == ["trying ***"]
    assert outcome.reports == [(10, "half of ***")]
    assert outcome.result == {"used": "***", "by": "ada"}
    assert SECRET not in "".join(str(vars(record)) for record in caplog.records)
