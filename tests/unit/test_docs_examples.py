"""The Python examples of the documentation run as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest

from fluid_processors.testing import run_processor

ROOT = Path(__file__).parents[2]


def example(page: str) -> dict[str, Any]:
    """The names that the first Python example of a page defines."""
    text = (ROOT / page).read_text()
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found, f"{page} has no example"
    names: dict[str, Any] = {}
    exec(compile(found[1], page, "exec"), names)  # noqa: S102 - our own documentation
    return names


@pytest.mark.parametrize(
    ("page", "name", "payload", "want"),
    [
        ("README.md", "greet", {"name": "Ada"}, {"greeting": "Hello Ada"}),
        ("docs/processors.md", "sync_feed", {"feed_id": "42"}, {"events": 12}),
    ],
)
async def test_an_example_does_what_it_says(page, name, payload, want):
    result = await run_processor(example(page)[name], payload)
    assert (result.result, result.error) == (want, None)
