"""What @processor accepts and publishes, and how processors are found."""

import sys
from importlib.metadata import EntryPoint
from types import FunctionType, ModuleType

import pytest
from pydantic import BaseModel, Field

from fluid_processors import (
    Backoff,
    DuplicateType,
    InvalidProcessor,
    Isolation,
    Processor,
    ProcessorLoadError,
    Registry,
    Retry,
    processor,
)
from fluid_processors.registry import GROUP


class Greeting(BaseModel):
    name: str = Field(max_length=10)


async def greet(ctx, payload):
    return payload.name


def greet_in_thread(ctx, payload):
    return payload.name


def made_inside():
    def greet_from_inside(ctx, payload):
        return payload.name

    return greet_from_inside


def test_an_async_function_runs_on_the_loop_and_a_plain_one_in_a_thread():
    assert processor("greet", payload=Greeting)(greet).isolation is Isolation.ASYNC
    assert processor("greet", payload=Greeting)(greet_in_thread).isolation is Isolation.THREAD
    assert processor("greet", payload=Greeting, isolation="thread")(greet_in_thread).isolation is Isolation.THREAD


@pytest.mark.parametrize("function", [greet, greet_in_thread])
def test_either_kind_of_function_may_run_in_a_child_process(function):
    assert processor("greet", payload=Greeting, isolation="process")(function).isolation is Isolation.PROCESS


def test_a_function_of_a_script_cannot_run_in_a_child_that_would_have_to_import_it():
    function = FunctionType(greet.__code__, {"__name__": "__main__"})
    with pytest.raises(InvalidProcessor, match="top of a module"):
        processor("greet", payload=Greeting, isolation="process")(function)


@pytest.mark.parametrize(
    ("options", "function", "said"),
    [
        ({"isolation": "process"}, made_inside(), "top of a module"),
        ({"isolation": "process", "memory_limit_megabytes": 16}, greet, "at least 64"),
        ({"isolation": "process", "max_jobs_per_child": 0}, greet, "at least 1"),
        ({"isolation": "process", "stop_grace": -1}, greet, "from 0 to 86400"),
        ({"max_jobs_per_child": 5}, greet_in_thread, "need isolation='process'"),
        ({"memory_limit_megabytes": 100}, greet, "need isolation='process'"),
        ({"stop_grace": 1}, greet, "a coroutine is cancelled"),
        ({"isolation": "fiber"}, greet_in_thread, "unknown isolation 'fiber'"),
        ({"isolation": "thread"}, greet, "needs a plain def"),
        ({"attempt_deadline": 0}, greet, "at least 1"),
        ({"payload": dict}, greet, "pydantic model class"),
        ({"job_type": "Greet"}, greet, "lower-case"),
        ({"job_type": "g" * 64}, greet, "1 to 63"),
    ],
)
def test_a_definition_that_cannot_work_is_refused(options, function, said):
    arguments = {"job_type": "greet", "payload": Greeting, **options}
    with pytest.raises(InvalidProcessor, match=said) as refusal:
        processor(arguments.pop("job_type"), **arguments)(function)
    assert refusal.value.job_type == options.get("job_type", "greet")


def test_open_settings_are_not_published_so_that_the_environment_decides():
    assert processor("greet", payload=Greeting)(greet).published()["settings"] == {
        "queue": "greet",
        "sensitivePayload": False,
        "isolation": "async",
    }


def test_settings_are_published_in_the_words_of_the_job_kind():
    made = processor(
        "greet",
        payload=Greeting,
        queue="talk",
        retry=Retry(limit=3, backoff=Backoff(type="Fixed", delay_seconds=2)),
        attempt_deadline=60,
        sensitive_payload=True,
        isolation="process",
        stop_grace=2,
        max_jobs_per_child=50,
        memory_limit_megabytes=256,
    )(greet)
    assert made.published()["settings"] == {
        "queue": "talk",
        "backoffLimit": 3,
        "backoff": {"type": "Fixed", "delaySeconds": 2, "factor": 3, "maxDelaySeconds": 3600, "jitterPercent": 10},
        "attemptDeadlineSeconds": 60,
        "sensitivePayload": True,
        "isolation": "process",
        "stopGraceSeconds": 2,
        "maxJobsPerChild": 50,
        "memoryLimitMegabytes": 256,
    }
    assert made.published()["schema"]["properties"]["name"]["maxLength"] == 10


@pytest.fixture
def module(request):
    """An importable module of this test's own name."""
    made = ModuleType(f"probe_{request.node.name.replace('[', '_').replace(']', '_')}")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def point(value: str, name: str = "probe") -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_every_processor_of_a_module_is_found(module):
    module.a = processor("a", payload=Greeting)(greet)
    module.b = processor("b", payload=Greeting)(greet)
    assert [each.job_type for each in Registry.from_entry_points([point(module.__name__)])] == ["a", "b"]


def test_an_entry_point_may_name_one_processor(module):
    module.a = processor("a", payload=Greeting)(greet)
    module.b = processor("b", payload=Greeting)(greet)
    assert [each.job_type for each in Registry.from_entry_points([point(f"{module.__name__}:b")])] == ["b"]


def test_two_processors_of_one_type_are_an_error_that_names_both(module):
    module.first = processor("greet", payload=Greeting)(greet)
    module.second = processor("greet", payload=Greeting)(greet_in_thread)
    points = [point(f"{module.__name__}:first", "one"), point(f"{module.__name__}:second", "two")]
    with pytest.raises(DuplicateType) as refusal:
        Registry.from_entry_points(points)
    assert "'one'" in refusal.value.first
    assert "'two'" in refusal.value.second
    assert "greet_in_thread" in str(refusal.value)


def test_one_processor_that_two_entry_points_name_is_no_conflict(module):
    module.only = processor("greet", payload=Greeting)(greet)
    assert len(Registry.from_entry_points([point(module.__name__), point(f"{module.__name__}:only")])) == 1


@pytest.mark.parametrize(
    ("value", "said"),
    [("no_such_module_at_all", "cannot be imported"), ("json", "holds no processor"), ("json:dumps", "function")],
)
def test_an_entry_point_of_no_use_is_an_error_that_names_it(value, said):
    with pytest.raises(ProcessorLoadError, match=said) as refusal:
        Registry.from_entry_points([point(value)])
    assert value in refusal.value.source


def test_the_built_in_email_type_is_installed():
    found = Registry.from_entry_points().get("email")
    assert isinstance(found, Processor)
    assert found.queue == "email"
