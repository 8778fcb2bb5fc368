"""Which parts of a payload nobody may see outside of the processor, and how text is cleaned of them.

A field marked `Annotated[str, Sensitive()]` may reach the processor and nothing else: its value is masked
in log lines, progress messages, errors and results, and validation errors under it give the rule that was
broken, never the value. Knows models and values, not jobs or queues.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

MASK = "***"
# A short value is masked as a word only, a very short one only where it is the whole text: cutting every "no"
# or "test" out of longer words would hide nothing and spoil the log.
SHORTEST_ANYWHERE = 8
SHORTEST_WORD = 3
SCHEMA_KEYWORD = "x-sensitive"


class Sensitive:
    """Marks a field: `password: Annotated[str, Sensitive()]`; in the JSON schema it is `x-sensitive: true`."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler(schema)
        json_schema[SCHEMA_KEYWORD] = True
        return json_schema


class Masker:
    """Cuts a fixed set of values out of texts and JSON values. Upper and lower case count as equal.

    Made for every job and seldom used, with values as large as an attachment: so nothing is prepared, and a
    value longer than the text costs nothing.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[str]) -> None:
        # Longest first, so that a value which contains another one is masked as a whole.
        self._values = sorted({value for value in values if value.strip()}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text with every sensitive value replaced by `***`."""
        for value in self._values:
            if len(value) <= len(text):
                text = _cut(value, text)
        return text

    def json(self, value: Any) -> Any:
        """A JSON value with every string in it cleaned. Keys stay: they are the processor's own words."""
        if not self._values:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.json(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.json(item) for item in value]
        return value


def _cut(value: str, text: str) -> str:
    if value.lower() not in text.lower():
        return text
    pattern = re.escape(value)
    if len(value) < SHORTEST_WORD:
        pattern = rf"\A{pattern}\Z"
    elif len(value) < SHORTEST_ANYWHERE:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return re.sub(pattern, MASK, text, flags=re.IGNORECASE)


NOTHING_TO_MASK = Masker(())


def masker_of(payload: BaseModel, *, everything: bool = False) -> Masker:
    """The masker for one validated payload. `everything` treats all of it as sensitive."""
    if not everything and not _has_any(type(payload)):
        return NOTHING_TO_MASK
    return Masker(_texts(payload) if everything else _sensitive_texts(payload))


def has_sensitive(annotation: Any, _seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a `Sensitive()` mark stands anywhere in a type, also in the models that it names."""
    if isinstance(annotation, Sensitive):
        return True
    if is_model(annotation):
        if annotation in _seen:
            return False
        seen = _seen | {annotation}
        return any(
            _marked(field) or has_sensitive(field.annotation, seen) for field in annotation.model_fields.values()
        )
    return any(has_sensitive(part, _seen) for part in get_args(annotation))


@cache
def _has_any(model: type[BaseModel]) -> bool:
    return has_sensitive(model)


def is_sensitive_path(model: type[BaseModel], path: Sequence[int | str]) -> bool:
    """Whether the value at a validation error's path may be sensitive: under a marked field, or containing one."""
    models = {model}
    for step in path:
        if isinstance(step, int):
            continue
        fields = [field for each in models for name, field in each.model_fields.items() if step in (name, field.alias)]
        if any(_marked(field) for field in fields):
            return True
        if fields:  # any other word is a union's branch or the key of a dict: the models stay what they are
            models = {found for field in fields for found in _models_in(field.annotation)}
            if not models:
                return False
    return any(has_sensitive(each) for each in models)


def is_model(annotation: Any) -> bool:
    """Whether an annotation is a pydantic model class (a parametrised `list[...]` is no class)."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _marked(field: Any) -> bool:
    """A mark on the field or inside its annotation (`list[Annotated[str, Sensitive()]]`) counts for all of it."""
    return any(isinstance(mark, Sensitive) for mark in field.metadata) or _mark_in(field.annotation)


def _mark_in(annotation: Any) -> bool:
    if isinstance(annotation, Sensitive):
        return True
    return any(_mark_in(part) for part in get_args(annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if is_model(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _sensitive_texts(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from (_texts if _marked(field) else _sensitive_texts)(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _sensitive_texts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _sensitive_texts(item)


def _texts(value: Any) -> Iterator[str]:
    """Every string and number below a value, as text. Booleans and None tell nothing and are left out."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name))
        yield from _texts(value.model_extra or {})
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, (bool, bytes)):
        yield secret_text(value)


def secret_text(value: Any) -> str:
    """A leaf as text; pydantic's SecretStr gives what it hides, because that is what must not be seen."""
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal else value)
