"""Settings: one frozen model per step; its field docstrings are the help, the YAML schema and the docs table.

Notable choices
- pydantic models, frozen, unknown keys refused: a misspelt YAML key is an error and never silently ignored.
- NaN and infinities are refused everywhere: they have no JSON form, so no fingerprint.
- YAML is read without aliases and without repeated keys: an alias can blow a small file up, a repeated key
  hides a value.
- `resolve` merges defaults, a YAML section and command-line flags, and remembers where each value came from.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from recollect.errors import InputError


class Settings(BaseModel):
    """Base of every step's settings: immutable, strict about names, documented by its fields' docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def make(cls, /, **values: Any) -> Self:
        """Build settings from keyword values; a bad value raises InputError naming field and value."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise InputError(explain(error, cls)) from None

    @classmethod
    def resolve(
        cls, *, file: Mapping[str, Any] | None = None, flags: Mapping[str, Any] | None = None
    ) -> tuple[Self, dict[str, str]]:
        """Merge defaults, a file's values and flags (later wins); returns the settings and the origins."""
        file, flags = dict(file or {}), {k: v for k, v in (flags or {}).items() if v is not None}
        settings = cls.make(**{**file, **flags})
        origin = {name: "flag" if name in flags else "file" if name in file else "default" for name in cls.model_fields}
        return settings, origin

    def fingerprint_values(self) -> dict[str, Any]:
        """The values that decide the result, as plain JSON. Fields named in `runtime_only` are left out."""
        runtime_only: set[str] = getattr(type(self), "runtime_only", set())
        return self.model_dump(mode="json", exclude=runtime_only)


def _short(value: object) -> str:
    """A value of any size on one line of 200 characters at most."""
    limited = reprlib.Repr()
    limited.maxlevel, limited.maxstring, limited.maxother = 3, 180, 180
    text = limited.repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


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
            lines.append(f"{name}: {message}, but got {_short(item['input'])}.")
    return "\n".join(lines)


class _Loader(yaml.SafeLoader):
    """The safe loader, less aliases and repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not allowed; write it out", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, *, max_bytes: int = 1_000_000) -> dict[str, Any]:
    """Read one YAML mapping with the safe loader; InputError names the file and the line."""
    if not path.is_file():
        raise InputError(f"no such file: {path}. Give the path of a YAML file.")
    if path.stat().st_size > max_bytes:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; a settings file must have at most {max_bytes:,}.")
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply for a settings file.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that cannot be
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InputError(f"{path} must hold one mapping of names to values, but holds {type(loaded).__name__}.")
    odd = [key for key in loaded if not isinstance(key, str)]
    if odd:
        raise InputError(f"{path}: names must be text, but got {_short(odd[0])}. Put it in quotes.")
    return loaded
