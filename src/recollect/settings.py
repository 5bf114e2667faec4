"""Settings: one frozen model per step, whose field docstrings are the command's help, the YAML schema and the docs table.

Notable choices
- pydantic models, frozen, unknown keys refused: a misspelt YAML key is an error and never silently ignored.
- `resolve` merges defaults, a YAML section and command-line flags, and remembers where each value came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from recollect.errors import InputError


class Settings(BaseModel):
    """Base of every step's settings: immutable, strict about names, documented by its fields' docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Build settings from keyword values; a bad value raises InputError that names the field and the value."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise InputError(explain(error, cls)) from None

    @classmethod
    def resolve(
        cls, *, file: Mapping[str, Any] | None = None, flags: Mapping[str, Any] | None = None
    ) -> tuple[Self, dict[str, str]]:
        """Merge defaults, a file's values and flags (later wins); returns the settings and each value's origin."""
        file, flags = dict(file or {}), {k: v for k, v in (flags or {}).items() if v is not None}
        settings = cls.make(**{**file, **flags})
        origin = {name: "flag" if name in flags else "file" if name in file else "default" for name in cls.model_fields}
        return settings, origin

    def fingerprint_values(self) -> dict[str, Any]:
        """The values that decide the result, as plain JSON. Fields named in `runtime_only` are left out."""
        runtime_only: set[str] = getattr(type(self), "runtime_only", set())
        return self.model_dump(mode="json", exclude=runtime_only)


def explain(error: ValidationError, cls: type[BaseModel]) -> str:
    """One line per bad field: its name, what was expected, what it got."""
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"]) or cls.__name__
        if item["type"] == "extra_forbidden":
            known = ", ".join(cls.model_fields)
            lines.append(f"unknown setting {name!r}. Known settings: {known}.")
        elif item["type"] == "missing":
            lines.append(f"{name} must be given.")
        else:
            message = item["msg"][0].lower() + item["msg"][1:]
            lines.append(f"{name}: {message}, but got {item['input']!r}.")
    return "\n".join(lines)


def read_yaml(path: Path, *, max_bytes: int = 1_000_000) -> dict[str, Any]:
    """Read one YAML mapping with the safe loader; errors name the file and the line."""
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give the path of a YAML file.")
    if path.stat().st_size > max_bytes:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; a settings file must have at most {max_bytes:,}.")
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise InputError(f"{path} must hold one mapping of names to values, but holds {type(loaded).__name__}.")
    return loaded
