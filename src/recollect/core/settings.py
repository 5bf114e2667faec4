"""Settings: one frozen model per step; its field docstrings are the help, the YAML schema and the docs table.

Notable choices
- pydantic models, frozen, unknown keys refused: a misspelt YAML key is an error and never silently ignored.
- NaN and infinities are refused everywhere: they have no JSON form, so no fingerprint.
- YAML is read by one strict loader, whether it comes from a file or as text on the command line: without aliases,
  which can blow a small text up, without repeated keys, which hide a value, and no deeper and longer than settings are.
- `resolve` merges defaults, a YAML section and command-line flags, and remembers where each value came from.

A section is a field whose type is another step's settings; what the step decides itself is fixed there:

    class StudySettings(Settings):
        train: Annotated[TrainSettings, Fixed("model", "seed")] = TrainSettings()

    settings.train.over(model=settings.model, preset="C")   # what the study says, and over it what was given

On the command line it is `--train.learning-rate 3e-4` for each field that is not fixed, beside the section as YAML text
`--train "{learning_rate: 0.001}"`; where both are given the single flag wins. A fixed field is refused from anywhere:
"train must not set model: the study's own is used".
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from recollect.core.json_object import JsonObject
from recollect.errors import InputError

_DEEPEST, _MOST_VALUES, _LONGEST_TEXT = 32, 100_000, 100_000


def path_as_text(value: Any) -> Any:
    """A path as text, anything else as it is."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _no_blanks(value: str) -> str:
    """A name that is nothing but blanks names nothing; an empty one may stand for none."""
    if value and not value.strip():
        raise ValueError("must not be blank; give a name, or leave it out")
    return value


PathOrName = Annotated[str, BeforeValidator(path_as_text), AfterValidator(_no_blanks)]
"""A setting that names a file, a folder or something shipped, kept as text; a path, as steps return it, is as good."""


def _some(value: str) -> str:
    if not value:
        raise ValueError("must not be empty; give a name, or leave it out")
    return value


Name = Annotated[PathOrName, AfterValidator(_some)]
"""Such a setting that cannot stand for nothing; an empty text would be the current folder."""


@dataclass(frozen=True, init=False)
class Fixed:
    """Marks a section, `Annotated[TrainSettings, Fixed("model", "seed")]`: the step around it sets these fields."""

    names: frozenset[str]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", frozenset(names))


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

    @model_validator(mode="before")
    @classmethod
    def _read_sections(cls, values: Any) -> Any:
        """A section may come as the YAML text that a command line gives, and sets nothing that is fixed."""
        if not isinstance(values, Mapping):
            return values
        read = {name: read_section(value, name) if cls.section(name) else value for name, value in values.items()}
        for name, value in read.items():
            given = (
                value.model_fields_set if isinstance(value, Settings) else value if isinstance(value, Mapping) else ()
            )
            if twice := sorted(cls.fixed(name).intersection(given)):
                whose = cls.__name__.removesuffix("Settings").lower()
                raise ValueError(f"{name} must not set {twice[0]}: the {whose}'s own is used")
        return read

    @classmethod
    def section(cls, name: str) -> type[Settings] | None:
        """The settings class of a field that is a section of its own (`train: TrainSettings`); None for any other."""
        kind = cls.model_fields[name].annotation if name in cls.model_fields else None
        return kind if isinstance(kind, type) and issubclass(kind, Settings) else None

    @classmethod
    def fixed(cls, name: str) -> frozenset[str]:
        """The fields of the section `name` that it must not set, since this step does; see `Fixed`."""
        marks = cls.model_fields[name].metadata if cls.section(name) else ()
        return frozenset().union(*(mark.names for mark in marks if isinstance(mark, Fixed)))

    @classmethod
    def resolve(
        cls, *, file: Mapping[str, Any] | None = None, flags: Mapping[str, Any] | None = None
    ) -> tuple[Self, dict[str, str]]:
        """Merge defaults, a file's values and flags (later wins); returns the settings and the origins.

        A flag of a section is named with a dot, `train.learning_rate`, and goes into what the file says of it. The
        origins name, in the order of the fields, each plain field, and of a section what was given, with a dot.
        """
        file, flags = dict(file or {}), {k: v for k, v in (flags or {}).items() if v is not None}
        merged = {**file, **{name: value for name, value in flags.items() if "." not in name}}
        for name, value in flags.items():
            section, _, field = name.partition(".")
            if field:
                merged[section] = {**cls._mapping(section, merged.get(section)), field: value}
        settings = cls.make(**merged)
        origin: dict[str, str] = {}
        for name in cls.model_fields:
            where = "flag" if name in flags else "file" if name in file else "default"
            if cls.section(name) and name in merged:
                given = (f"{name}.{field}" for field in getattr(settings, name).given())
                origin |= {dotted: "flag" if dotted in flags else where for dotted in given}
            else:
                origin[name] = where
        return settings, origin

    @classmethod
    def _mapping(cls, section: str, value: Any) -> JsonObject:
        try:
            return mapping_of(read_section(value), section)
        except ValueError as error:
            raise error if isinstance(error, InputError) else InputError(f"{section} {error}.") from None

    def given(self) -> dict[str, Any]:
        """The values that were given, as plain JSON; defaults, and what a preset filled in, are left out."""
        return self.model_dump(mode="json", exclude_unset=True)

    def fingerprint_section(self) -> dict[str, Any]:
        """What these settings count by where they are a section: what was given."""
        return self.given()

    def over(self, **values: Any) -> Self:
        """These settings, where something was given, over `values`: a section over what the step around it says."""
        return self.make(**{**values, **self.model_dump(exclude_unset=True)})

    def at_default(self, name: str) -> bool:
        """Whether a setting has the value it has when it is not given, whoever gave it."""
        info = type(self).model_fields.get(name)
        return info is not None and bool(getattr(self, name) == info.get_default(call_default_factory=True))

    def fingerprint_values(self) -> dict[str, Any]:
        """The values that decide the result, as plain JSON. Fields named in `runtime_only` are left out, and those in
        `later_fields` at their default, so that a field that came later gives no new name to what is the same.

        A section counts by what it was given, so that it may take the rest from the step around it.
        """
        runtime_only: set[str] = getattr(type(self), "runtime_only", set())
        later: set[str] = getattr(type(self), "later_fields", set())
        runtime_only = runtime_only | {name for name in later if self.at_default(name)}
        sections = {
            name: getattr(self, name).fingerprint_section()
            for name in type(self).model_fields
            if self.section(name) and name not in runtime_only
        }
        return {**self.model_dump(mode="json", exclude=runtime_only), **sections}


def source_of(settings: Settings, name: str, given: object) -> str:
    """Where a step's input came from, for its manifest: the setting `name`, or what a caller handed over instead.

    `given` is that object, or None when the setting's own place was read. A default is not named for an input that did
    not come from it; who hands over what lies at a place says so in the settings.
    """
    if given is None or name in settings.model_fields_set:
        return str(getattr(settings, name) or "")
    return f"in memory: {getattr(given, 'name', 'a table')}"


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
        name = _named(item["loc"])
        if item["type"] == "extra_forbidden":
            known = ", ".join(_known(cls, item["loc"]))
            lines.append(f"unknown setting {name!r}. Known settings: {known}.")
        elif item["type"] == "missing":
            lines.append(f"{name} must be given.")
        else:
            message = item["msg"].removeprefix("Value error, ")
            message = message[0].lower() + message[1:]
            got = "" if isinstance(item["input"], Mapping) and not item["loc"] else f", but got {_short(item['input'])}"
            lines.append(f"{name}: {message}{got}." if name else f"{message}{got}.")
    return "\n".join(lines)


def _named(place: tuple[int | str, ...]) -> str:
    """A setting in words: "train.epochs", and of an entry of a list, counted from 1, "methods, entry 2, method".

    Empty for what is wrong with all settings together.
    """
    words, counted = [str(part) for part in place if isinstance(part, str)], ""
    for at, part in enumerate(place):
        if isinstance(part, int):
            counted = f", entry {part + 1}"
            words = [str(one) for one in place[:at] if isinstance(one, str)]
            rest = ".".join(str(one) for one in place[at + 1 :] if isinstance(one, str))
            counted += f", {rest}" if rest else ""
            break
    return ".".join(words) + counted


def _known(cls: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The settings there are beside the one at `place`."""
    first = str(place[0])
    if len(place) == 2 and issubclass(cls, Settings) and (section := cls.section(first)):
        return [name for name in section.model_fields if name not in cls.fixed(first)]
    return list(cls.model_fields)


class _Loader(yaml.SafeLoader):
    """The safe loader with numbers as YAML 1.2 has them, less aliases, repeated keys, and what is deep or endless."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not allowed; write it out", event.start_mark)
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > _DEEPEST:
            raise yaml.MarkedYAMLError(None, None, f"nested too deeply, over {_DEEPEST} levels", event.start_mark)
        if self._count > _MOST_VALUES:
            raise yaml.MarkedYAMLError(None, None, f"there are over {_MOST_VALUES:,} values", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = self.construct_object(key)
            if name in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r:.100} is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


_NUMBERS = {
    "int": r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+",
    "float": r"[-+]?(\.[0-9]+|[0-9][0-9_]*\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
"""YAML 1.2's numbers, which PyYAML does not know: there 1e-5 is text, 1:30 is ninety and 015 is thirteen."""
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in _NUMBERS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), list("-+.0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """The value that YAML text holds, read by the safe loader; InputError names `where` and the line.

    No aliases, no repeated keys, at most 32 levels deep and 100,000 values; numbers as in YAML 1.2, so 1e-5 is one.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or a number that cannot be
        raise InputError(f"{where} is not valid YAML: {_problem(error)}.") from None


def read_section(value: Any, name: str = "") -> Any:
    """A section of settings: a mapping as it is, or the value of the YAML text that a command line gives.

    name: its own, for the error where the validator is one of all settings.

    Raises ValueError for text that is not YAML, as a pydantic validator should.
    """
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"must have at most {_LONGEST_TEXT:,} characters")
    try:
        return parse_yaml(value, "it")
    except InputError as error:
        said = f"must be a mapping such as {{learning_rate: 0.001}}; {str(error).rstrip('.')}"
        raise ValueError(f"{name}: {said}" if name else said) from None


def read_yaml(path: Path, *, max_bytes: int = 1_000_000) -> JsonObject:
    """Read one YAML mapping with the safe loader; InputError names the file and the line."""
    if not path.is_file():
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a pipe or a device. Give a YAML file.")
        raise InputError(f"no such file: {path}. Give the path of a YAML file.")
    if path.stat().st_size > max_bytes:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; a settings file must have at most {max_bytes:,}.")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    return mapping_of(parse_yaml(text, str(path)), str(path))


def mapping_of(loaded: Any, where: str) -> JsonObject:
    """A loaded YAML value as a mapping of names; nothing at all is an empty one. InputError for anything else."""
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InputError(f"{where} must hold one mapping of names to values, but holds {type(loaded).__name__}.")
    odd = [key for key in loaded if not isinstance(key, str)]
    if odd:
        raise InputError(f"{where}: names must be text, but got {_short(odd[0])}. Put it in quotes.")
    return loaded


def _problem(error: Exception) -> str:
    """What is wrong with YAML text, on one line, with its place."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if "digits) for integer string conversion" in str(error):
        return "it holds a number of over 4,300 digits"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        return f"{' '.join(error.problem.split())[:300]}{place}"
    return " ".join(str(error).split())[:300].rstrip(".")
