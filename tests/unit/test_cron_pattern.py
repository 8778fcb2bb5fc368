"""What the API server refuses of a cron expression, and that the operator is never of another mind: the patterns say no
only where the reader does, and yes wherever it does.
"""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fluid_operator.api.crd import KINDS, crd
from fluid_operator.timetables.cron import Cron, CronError

BLANKS = r"\t\n\f\r "


def as_python(pattern: str) -> re.Pattern[str]:
    """A pattern of Go's regexp, whose \\s knows five characters, and whose $ is the end of the text."""
    translated = (
        pattern.replace(r"[^@\s]", f"[^@{BLANKS}]").replace(r"\s", f"[{BLANKS}]").replace(r"\S", f"[^{BLANKS}]")
    )
    return re.compile(re.sub(r"\$(\)*)$", r"\\Z\1", translated))


def published() -> list[re.Pattern[str]]:
    """All patterns that `spec.schedule` must match, read from the definition that users apply."""
    (kind,) = (kind for kind in KINDS if kind.kind == "FluidSchedule")
    spec = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["schedules"]["items"]["x-kubernetes-validations"] == spec["schedule"]["x-kubernetes-validations"]
    rules = [rule["rule"] for rule in spec["schedule"]["x-kubernetes-validations"]]
    inside = [rule.removeprefix("self.matches(r'").removesuffix("')") for rule in rules]
    return [as_python(pattern) for pattern in (spec["schedule"]["pattern"], *inside)]


PATTERNS = published()


def accepted(text: str) -> bool:
    return 1 <= len(text) <= 256 and all(pattern.search(text) for pattern in PATTERNS)


def refusal(text: str) -> CronError | None:
    try:
        Cron.parse(text, seed="team-a/any")
    except CronError as error:
        return error
    return None


def beyond_patterns(error: CronError) -> bool:
    """Whether it was refused for what no pattern can see."""
    return "backwards" in error.reason or "never comes" in error.reason


NUMBERS = st.integers(0, 70).map(str)
WORDS = st.sampled_from(
    ["JAN", "dec", "Feb", "SUN", "mon", "FRI", "07", "00", "H", "*", "h", "L", "?", "", "100", "-1"]
)
ATOM = st.one_of(NUMBERS, NUMBERS, WORDS)
ITEM = st.one_of(
    ATOM,
    st.just("*"),
    st.just("H"),
    st.builds("{}-{}".format, ATOM, ATOM),
    st.builds("{}/{}".format, ATOM, ATOM),
    st.builds("{}-{}/{}".format, ATOM, ATOM, ATOM),
    st.builds("H({}-{})".format, ATOM, ATOM),
    st.builds("H({}-{})/{}".format, ATOM, ATOM, ATOM),
)
FIELD = st.one_of(st.just("*"), ITEM, st.lists(ITEM, min_size=1, max_size=3).map(",".join))
LIKELY = st.lists(FIELD, min_size=5, max_size=5).map(" ".join)
NEARLY = st.builds(
    "".join, st.lists(st.one_of(FIELD, st.sampled_from([" ", "\t", "\n", "@daily", "@", ","])), max_size=12)
)
ONE_FIELD = st.builds(
    lambda index, field: " ".join("*" if place != index else field for place in range(5)), st.integers(0, 4), FIELD
)


@settings(deadline=None, max_examples=1000)
@given(st.one_of(ONE_FIELD, LIKELY, NEARLY, st.text(max_size=40)))
@example("0 0 * * *\n")
@example("0 0 * * *\u00a0")
@example("0\u00a00 * * *")
@example("0\v0 * * * *")
@example("@daily ")
@example("@daily x x x x")
@example("@ 0 0 0 0")
@example("* * * * *" + " " * 247)
@example("* * * * *" + " " * 248)
def test_the_api_server_and_the_operator_are_of_one_mind(text: str):
    error = refusal(text)
    if accepted(text):
        assert error is None or beyond_patterns(error)
    else:
        assert error is not None


def test_each_value_is_seen_by_the_pattern_of_its_field():
    for index, (low, high) in enumerate([(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]):
        for value in range(110):
            text = " ".join(str(value) if place == index else "*" for place in range(5))
            assert accepted(text) == (low <= value <= high), text
            stepped = " ".join(f"*/{value}" if place == index else "*" for place in range(5))
            assert accepted(stepped) == (1 <= value <= high), stepped


def test_a_refusal_names_the_field_and_what_it_takes():
    (kind,) = (kind for kind in KINDS if kind.kind == "FluidSchedule")
    spec = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    messages = [rule["message"] for rule in spec["schedule"]["x-kubernetes-validations"]]
    names = ("minute", "hour", "day of month", "month", "day of week")
    assert all(message.startswith(f"the {name} must be ") for message, name in zip(messages, names, strict=True))
