"""The attributes wanted from a page: a schema, read from YAML; and the values by attribute that a JSON answer gives.

Notable choices
- Every value is text: what a page says, not what a program would store. The `type` decides what equality means;
  `normaliser` takes the place of the type's own one, which hardly anyone needs.
- A strict answer is one JSON object and nothing else. A repaired reading (json-repair) never takes its place silently.
- Numbers of an answer keep their digits as written; null and blank text are empty; a list of one value is that value.
  Any other nesting stays as its JSON text: a value that was given, and is hardly ever right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recollect.core.json_object import JsonObject
from recollect.core.settings import explain, read_yaml
from recollect.errors import InputError
from recollect.extraction import need_pages
from recollect.extraction.values.availability import AHEAD, IN, OUT

AttributeType = Literal["text", "price", "currency", "identifier", "gtin", "availability", "number", "language"]
Decode = Literal["plain", "repaired"]
_SHIPPED = ("product",)  # schemas that come with the package
_LONGEST = 100_000  # characters of an answer; a longer one is no answer


class Attribute(BaseModel):
    """One attribute: its name in answers, what it means, and how two of its values are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
    description: Annotated[str, Field(max_length=500)] = ""
    type: AttributeType = "text"
    normaliser: AttributeType | None = None

    @property
    def compares_as(self) -> AttributeType:
        """The normaliser in force."""
        return self.normaliser or self.type


class Schema(BaseModel):
    """A named, ordered list of attributes with distinct names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    attributes: Annotated[tuple[Attribute, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _distinct(self) -> Schema:
        names = self.names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"attribute names must be distinct, but {', '.join(repeated)} is given more than once")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    def attribute(self, name: str) -> Attribute:
        """The attribute of this name; InputError when there is none."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise InputError(f"schema {self.name!r} has no attribute {name!r}. It has {', '.join(self.names)}.")

    def only(self, names: tuple[str, ...]) -> Schema:
        """The schema less all other attributes; order as here."""
        wanted = {self.attribute(name).name for name in names}
        return Schema(name=self.name, attributes=tuple(item for item in self.attributes if item.name in wanted))

    def json_schema(self) -> JsonObject:
        """JSON schema of an answer: an object with every attribute, each a text or null, nothing else."""
        said = {"availability": {"enum": [IN, OUT, AHEAD, None]}}
        return {
            "type": "object",
            "properties": {
                one.name: {"type": ["string", "null"], "description": one.description, **said.get(one.type, {})}
                for one in self.attributes
            },
            "required": list(self.names),
            "additionalProperties": False,
        }

    def text(self) -> str:
        """The schema as YAML; `read_schema` reads it back."""
        values = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)

    def __iter__(self) -> Iterator[Attribute]:  # type: ignore[override]
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)


def read_schema(name: str | Path = "product") -> Schema:
    """The shipped schema of that name ("product"), or the one in a YAML file. Raises InputError."""
    if str(name) in _SHIPPED:
        return make_schema(read_yaml(Path(__file__).with_name(f"{name}.yaml")), str(name))
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"no such schema: {name}. Give {' or '.join(map(repr, _SHIPPED))}, or the path of a YAML file."
        )
    return make_schema(read_yaml(path), str(path))


def make_schema(values: JsonObject, where: str) -> Schema:
    """A schema from a mapping; InputError names `where` and the field."""
    try:
        return Schema.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where} is not a schema of attributes: {explain(error, Schema)}") from None


# -- answers -------------------------------------------------------------------------------------------------------


def parse_answer(text: str, decode: Decode = "plain") -> dict[str, str] | None:
    """The non-empty values of an answer by attribute name; None when it is no JSON object."""
    loaded = _strict(text)
    if loaded is None and decode == "repaired":
        loaded = _repaired(text)
    if loaded is None:
        return None
    values = {str(name): _value(value) for name, value in loaded.items()}
    return {name: value for name, value in values.items() if value}


def compact_json(values: Mapping[str, str]) -> str:
    """The values as one line of JSON without blanks: the form in which answers are taught."""
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":"))


def _strict(text: str) -> JsonObject | None:
    if len(text) > _LONGEST:
        return None
    try:
        loaded = json.loads(text.strip(), parse_float=str, parse_int=str, parse_constant=str)
        json.dumps(loaded, ensure_ascii=False).encode()  # an escaped half of a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None


def _repaired(text: str) -> JsonObject | None:
    start = text.find("{")
    if start < 0 or len(text) > _LONGEST:
        return None
    need_pages()
    from json_repair import repair_json

    try:
        fixed = repair_json(text[start:], skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return _strict(fixed) if isinstance(fixed, str) else None


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value, ensure_ascii=False)
