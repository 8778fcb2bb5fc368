"""The rights of a Redis user are neither too few nor more than the code needs."""

import re
from pathlib import Path

import pytest

from fluid_queue import acl, scripts

PACKAGE = Path(acl.__file__).parent
SENT = re.compile(r"redis\.([a-z_]+)\(|_plain\(\"([A-Z]+)\"")
NO_COMMANDS = {"aclose", "close", "execute_command"}
SUBCOMMANDS = {"xinfo_stream": "xinfo|stream"}
TO_FIND_THE_SERVER = {"cluster|slots", "role", "select"}


def sent_by_python() -> set[str]:
    """The commands that the package sends outside of scripts, as its source says."""
    found = {method or word for path in PACKAGE.glob("*.py") for method, word in SENT.findall(path.read_text())}
    return {SUBCOMMANDS.get(name, name).lower() for name in found - NO_COMMANDS}


def test_what_python_sends_is_exactly_what_the_two_users_may_run_outside_of_scripts():
    granted = {*acl._ANYBODY, *acl._OUTSIDE["worker"], *acl._OUTSIDE["operator"]}
    assert granted - TO_FIND_THE_SERVER == sent_by_python()


def test_a_script_names_its_commands_as_words_so_that_they_can_be_granted():
    for path in scripts.LUA.rglob("*.lua"):
        for call in re.findall(r"redis\.p?call\([^\n]*", path.read_text()):
            assert all(acl._NAME.findall(found) for found in acl._CALL.findall(call)), f"{path.name}: {call}"


@pytest.mark.parametrize("role", ["worker", "operator"])
def test_nobody_may_look_at_or_change_the_server(role):
    dangerous = {
        "keys",
        "scan",
        "flushall",
        "flushdb",
        "config",
        "acl",
        "client",
        "debug",
        "shutdown",
        "script",
        "monitor",
    }
    assert not dangerous & {command.partition("|")[0] for command in acl.commands(role)}


def test_a_line_of_an_acl_file_holds_no_password():
    line = acl.user_line("worker", "worker", "team-a.default", ["first", "second"])
    assert "first" not in line
    assert "second" not in line
    assert line.startswith("user worker reset on #")
    assert line.count("#") == 2
    assert "~{fluid:team-a.default}:*" in line
