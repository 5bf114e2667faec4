"""The attributes wanted from a page: a schema, read from YAML.

Notable choices
- Every value is text: what a page says, not what a program would store. The `type` decides what equality means.
- `normaliser` takes the place of the type's own one; hardly anyone needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recollect.core.settings import explain, read_yaml
from recollect.errors import InputError

AttributeType = Literal["text", "price", "currency", "identifier", "gtin", "availability", "number", "language"]

AVAILABILITY = ("InStock", "OutOfStock", "PreOrder")
"""The values of an attribute of type availability."""

_SHIPPED = Path(__file__).parent


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

    def json_schema(self) -> dict[str, Any]:
        """JSON schema of an answer: an object with every attribute, each a text or null, nothing else."""
        properties: dict[str, Any] = {}
        for attribute in self.attributes:
            value: dict[str, Any] = {"type": ["string", "null"], "description": attribute.description}
            if attribute.type == "availability":
                value["enum"] = [*AVAILABILITY, None]
            properties[attribute.name] = value
        return {
            "type": "object",
            "properties": properties,
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
    if str(name) in shipped_schemas():
        return make_schema(read_yaml(_SHIPPED / f"{name}.yaml"), str(name))
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"no such schema: {name}. Give {' or '.join(map(repr, shipped_schemas()))}, or the path of a YAML file."
        )
    return make_schema(read_yaml(path), str(path))


def shipped_schemas() -> tuple[str, ...]:
    """Names of the schemas that come with the package."""
    return ("product",)


def make_schema(values: Mapping[str, Any], where: str) -> Schema:
    """A schema from a mapping; InputError names `where` and the field."""
    try:
        return Schema.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where} is not a schema of attributes: {explain(error, Schema)}") from None
