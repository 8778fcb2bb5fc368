"""What the command line understands without any cluster."""

import pytest

from fluid_cli.steering import Verb
from support.fluid_command import Fluid

COMMANDS = (
    "run",
    "get",
    "why",
    "logs",
    *(verb.value for verb in Verb),
    "pause",
    "resume-queue",
    "trigger",
    "backfill",
    "version",
    "completion",
)


@pytest.fixture
def fluid(tmp_path) -> Fluid:
    """The command of somebody who has no kubeconfig."""
    return Fluid(tmp_path / "none", "", HOME=str(tmp_path))


def test_the_help_names_every_command_and_shows_how(fluid):
    told = fluid.done("--help").out
    assert all(f"  {command} " in told for command in COMMANDS)
    assert "Examples:\n    fluid run email" in told


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "version"])
def test_every_command_has_examples(fluid, command):
    assert "Examples:\n" in fluid.done(command, "--help").out


def test_without_a_kubeconfig_the_way_out_is_one_line(fluid):
    said = fluid("get")
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "set KUBECONFIG" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("trigger",),
        ("trigger", "nightly", "--wait", "--dry-run"),
        ("backfill", "nightly"),
        ("backfill", "--from=now"),
        ("backfill", "nightly", "--from=now", "--limit=0"),
        ("backfill", "nightly", "--from=now", "--limit=10001"),
    ],
)
def test_what_is_asked_of_a_schedule_must_be_complete_and_possible(fluid, arguments):
    assert fluid(*arguments).code == 2


def test_the_version_of_the_command_needs_no_cluster(fluid):
    assert list(fluid.done("version", "--client", "-o", "json").json()) == ["client"]


def test_a_shell_can_complete_commands_and_options(fluid):
    assert "_FLUID_COMPLETE" in fluid.done("completion", "bash").out
    words = {"_FLUID_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    assert fluid("", COMP_WORDS="fluid re", **words).lines() == ["resume", "retry", "resume-queue"]
    assert fluid("completion", "tcsh").code == 2
