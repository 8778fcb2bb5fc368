"""From a pydantic model to the structural OpenAPI v3 schema that a CRD holds.

Structural schemas know no references, no null type and no free unions, so this module inlines every `$ref`,
reads "T or null" as an optional T, and refuses what is left over. A schema default is published only where a
model states one other than None: an unset field stays unset, because who decides for it (the queue, the
processor) is not known to the API server.

The result still holds our own documentation keys; `published` turns them into the text that users read.
"""

from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.errors import NotStructural
from fluid_operator.api.fields import (
    DOC_LIMIT,
    DOC_PREFIX,
    DOC_UNIT,
    DOC_UNSET,
    INT_OR_STRING,
    PRESERVE_UNKNOWN,
    RULES,
    WITHOUT_DEFAULTS,
)
from fluid_operator.api.meta import ApiModel

Schema = dict[str, Any]

# propertyNames has no place in a structural schema; where the keys of a map matter, a CEL rule checks them.
_DROPPED: Final = frozenset({"title", "$defs", "default", "propertyNames", WITHOUT_DEFAULTS})
_INT32_MAX: Final = 2**31 - 1
_ORDER: Final = ("description", "type", "format", "enum", "default", "minimum", "maximum")
_RULE_ORDER: Final = ("rule", "message", "fieldPath")
_LAST: Final = ("required", "properties", "items", "additionalProperties")


def structural(model: type[ApiModel]) -> Schema:
    """The schema of a model with its documentation keys; raises NotStructural for what a CRD cannot say."""
    document = model.model_json_schema(by_alias=True)
    return _Builder(document.get("$defs", {})).node(document, at=model.__name__, defaults=True)


def published(schema: Mapping[str, Any]) -> Schema:
    """The schema as users get it: unit and meaning of unset are part of the description."""
    public = {key: _published_value(key, value) for key, value in schema.items() if not key.startswith(DOC_PREFIX)}
    text = full_description(schema)
    if text:
        public["description"] = text
    return _in_reading_order(public)


def full_description(schema: Mapping[str, Any]) -> str:
    """The whole text of a field: what it is, its unit and limit, and what holds when it is unset."""
    parts = [schema.get("description", "")]
    if unit := schema.get(DOC_UNIT):
        parts.append(f"In {unit}.")
    if limit := schema.get(DOC_LIMIT):
        parts.append(f"At most {limit}.")
    if unset := schema.get(DOC_UNSET):
        parts.append(f"Unset: {unset}")
    return " ".join(part for part in parts if part)


def _published_value(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: published(child) for name, child in value.items()}
    if key in ("items", "additionalProperties"):
        return published(value)
    if key == RULES:
        return [{part: rule[part] for part in _RULE_ORDER if part in rule} for rule in value]
    return value


def _in_reading_order(schema: Schema) -> Schema:
    middle = sorted(key for key in schema if key not in _ORDER and key not in _LAST)
    return {key: schema[key] for key in (*_ORDER, *middle, *_LAST) if key in schema}


class _Builder:
    """Walks one JSON schema of pydantic; `definitions` are the models that it refers to."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def node(self, raw: Mapping[str, Any], *, at: str, defaults: bool) -> Schema:
        """One schema, with all below it. `at` is the path for error messages."""
        merged = self._resolved(raw, at)
        defaults = defaults and not merged.get(WITHOUT_DEFAULTS, False)
        schema = {key: value for key, value in merged.items() if key not in _DROPPED}
        if defaults and merged.get("default") is not None:
            schema["default"] = merged["default"]
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        if schema.get("type") == "integer":
            schema.setdefault("format", "int64" if schema.get("maximum", 0) > _INT32_MAX else "int32")
        self._descend(schema, at, defaults)
        return schema

    def _resolved(self, raw: Mapping[str, Any], at: str) -> Schema:
        """Follow references and "or null" until neither is left; the field's own words win over its type's."""
        schema = dict(raw)
        while True:
            if reference := schema.pop("$ref", None):
                inner = self._definitions[reference.removeprefix("#/$defs/")]
            elif "anyOf" in schema and INT_OR_STRING not in schema:
                inner = _only_choice(schema.pop("anyOf"), at)
            else:
                return schema
            rules = [*inner.get(RULES, ()), *schema.get(RULES, ())]
            schema = {**inner, **schema} | ({RULES: rules} if rules else {})

    def _descend(self, schema: Schema, at: str, defaults: bool) -> None:
        if "properties" in schema:
            schema["properties"] = {
                name: self.node(child, at=f"{at}.{name}", defaults=defaults)
                for name, child in schema["properties"].items()
            }
        if "items" in schema:
            schema["items"] = self.node(schema["items"], at=f"{at}[]", defaults=defaults)
        values = schema.pop("additionalProperties", None)
        if values is True:
            schema[PRESERVE_UNKNOWN] = True
        elif isinstance(values, Mapping):
            schema["additionalProperties"] = self.node(values, at=f"{at}.*", defaults=defaults)
        if "type" not in schema and not (PRESERVE_UNKNOWN in schema or INT_OR_STRING in schema):
            raise NotStructural(at, "a structural schema needs a type here")


def _only_choice(choices: list[Schema], at: str) -> Schema:
    present = [choice for choice in choices if choice.get("type") != "null"]
    if len(present) != 1:
        raise NotStructural(at, f"a union of {len(present)} types cannot be expressed; use one type")
    return present[0]
