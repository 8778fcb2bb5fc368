"""The templates: found in this package, filled with values, parsed, and nothing let through that is not JSON.

Two locks keep a user's text from becoming structure. Every expression of a template must end in the filter `json`; the
output is stopped where one does not. And a name that was not given is an error, not an empty text.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import jinja2
import yaml

from fluid_operator.environments.rendering.errors import BadManifest
from fluid_operator.environments.rendering.values import Written, write

FOLDER: Final = resources.files("fluid_operator.environments.rendering") / "templates"
SUFFIX: Final = ".yaml.j2"

# libyaml's parser is ten times as fast; both read the same.
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def manifest(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill one template. Raises BadManifest, and UnwritableValue for a value that is no JSON."""
    try:
        text = _templates().get_template(template + SUFFIX).render(values)
        parsed = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, of whichever make
    except (jinja2.TemplateError, yaml.YAMLError) as error:
        # The text of the error may quote a value, and that may be a password.
        raise BadManifest(template, f"cannot be filled or parsed ({type(error).__name__})") from None
    if not isinstance(parsed, dict):
        raise BadManifest(template, "gives no object")
    return parsed


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        # YAML is no HTML; what escaping would do here is done by the filter.
        autoescape=False,  # noqa: S701 - no HTML: each value goes through JSON
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_source),
        finalize=_only_written,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["json"] = _json
    return environment


def _source(name: str) -> str | None:
    path = FOLDER / name
    return path.read_text() if path.is_file() else None


def _json(value: object) -> Written:
    if isinstance(value, jinja2.Undefined):
        raise jinja2.UndefinedError("a value was not given")
    return write(value)


def _only_written(value: object) -> object:
    if not isinstance(value, Written):
        raise jinja2.TemplateRuntimeError("an expression does not end in the filter json")
    return value
