"""The Lua loader, and the contract between headers and Python."""

import ast
import re
from pathlib import Path

import orjson
import pytest

from fluid_queue import administration, client, renewal, scripts
from fluid_queue.errors import ScriptError
from support.queue_arguments import arguments_of


def lua(folder: Path, **files: str) -> Path:
    (folder / "includes").mkdir()
    for name, text in files.items():
        where = folder / f"{name}.lua" if name == "command" else folder / "includes" / f"{name}.lua"
        where.write_text(text)
    return folder


def test_includes_come_once_and_before_whoever_needs_them(tmp_path):
    folder = lua(
        tmp_path,
        command="-- include: b, c\nbody",
        a="local A = 1",
        b="-- include: a\nlocal B = A",
        c="-- include: a\nC",
    )
    assert scripts.flatten("command", folder).split() == ["local", "A", "=", "1", "local", "B", "=", "A", "C", "body"]


def test_includes_in_a_circle_are_named(tmp_path):
    folder = lua(tmp_path, command="-- include: a\n", a="-- include: b\n", b="-- include: a\n")
    with pytest.raises(ScriptError, match="command -> a -> b -> a"):
        scripts.flatten("command", folder)


def test_a_missing_include_is_named_with_who_wants_it(tmp_path):
    folder = lua(tmp_path, command="-- include: a\n", a="-- include: nowhere\n")
    with pytest.raises(ScriptError, match="command -> a -> nowhere"):
        scripts.flatten("command", folder)


@pytest.mark.parametrize("name", scripts.names())
def test_every_command_states_its_contract(name):
    header = scripts.header(name)
    assert header.purpose.startswith(f"{name}: ")
    assert header.keys == "1 prefix of the key space"


@pytest.mark.parametrize("name", scripts.names())
def test_a_command_answers_only_the_codes_of_its_header(name):
    """Every literal that can become an answer is a code that the header names."""
    text = (scripts.LUA / f"{name}.lua").read_text().split("]]", 1)[1]
    spoken = set(re.findall(r"code = '(\w+)", text)) | set(re.findall(r"return '(\w+)", text))
    assert spoken <= set(scripts.header(name).codes)


def test_python_sends_each_command_and_no_other():
    sent = set()
    for module in (administration, client, renewal):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if called in ("_run", "_coded", "script") and node.args and isinstance(node.args[0], ast.Constant):
                    sent.add(node.args[0].value)
    assert sent == set(scripts.names())


def test_the_strides_of_the_headers_are_those_of_python():
    from fluid_queue import Ending, NewJob

    header, _ = NewJob(id="a", type="email").arguments()
    assert len(orjson.loads(header)) == 21
    assert "JSON array of twenty-one texts" in scripts.header("enqueue").argv
    assert "local STRIDE = 2" in scripts.flatten("enqueue")
    line = Ending("completed").line("a", 1)
    assert len(line.split()) == 8
    assert "a line for each job, eight words" in scripts.header("finish").argv


@pytest.mark.parametrize("name", scripts.names())
def test_a_command_reads_just_the_arguments_that_its_header_numbers(name):
    promised = arguments_of(name)
    body = (scripts.LUA / f"{name}.lua").read_text().split("]]", 1)[1]
    read = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)}
    assert set(range(1, promised.fixed + 1)) <= read
    assert max(read, default=0) <= promised.fixed + promised.repeats
    assert promised.repeats == bool(re.search(r"#ARGV|unpack\(ARGV|ARGV\[[a-z]", body))


@pytest.mark.parametrize("path", sorted(scripts.LUA.rglob("*.lua")), ids=lambda path: path.stem)
def test_a_lua_file_names_what_it_uses(path):
    """Nothing leans on whoever includes it: each function or constant of another include is asked for by name."""
    text = path.read_text()
    wanted = set(re.findall(r"[\w]+", " ".join(re.findall(r"^-- include: (.+)$", text, re.MULTILINE))))
    code = re.sub(r"--.*", "", text)
    others = {other.stem for other in (scripts.LUA / "includes").glob("*.lua")} - {"base", "changes"}
    used = {other for other in others if re.search(rf"(?<!function )\b{other}\(", code)} - {path.stem}
    for shared, word in (("base", r"\bP \.\.|\bSTEP\b|\bENDED\b"), ("changes", r"\bchanges\.")):
        if path.stem != shared and re.search(word, code):
            used.add(shared)
    assert used == wanted
