"""What a study found, as one typed, JSON-able object: the report's only input, also written as results.json.

Notable choices
- Accuracies are percentages (0 to 100), memory scores R are shares (0 to 1). "Not measured" is
  null, never NaN.
- Unknown keys are refused, so a file from another version is an error and never half understood.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from recollect.errors import InputError
from recollect.facts import Domain, Part

RESULTS_FILE = "results.json"
Choice = Literal["0", "1", "2", "3", "4", "mixed", "random"]
"""What a model was trained on: facts of one memory level, an even mix of the levels, or a random draw."""
CHOICES: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "mixed", "random")
LEVELS = (0, 1, 2, 3, 4)
Kind = Literal["woken", "lost", "still wrong", "still right"]
Count = Annotated[int, Field(ge=0)]
Level = Annotated[int, Field(ge=0, le=4)]


def _number_or_none(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if -1e-6 < value < 0.0 or 100.0 < value < 100.0 + 1e-6:  # rounding of an interval's end
            return min(max(value, 0.0), 100.0)
    return value


Percent = Annotated[float | None, Field(ge=0, le=100), BeforeValidator(_number_or_none)]


def _need_interval(name: str, value: float | None, low: float | None, high: float | None) -> None:
    if value is not None and (low is None or high is None):
        raise ValueError(f"{name} must come with its interval: low and high must be given too")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Accuracy(_Part):
    """Share of right answers among n facts, in percent, with its 95 % interval; null when n is 0."""

    accuracy: Percent = None
    low: Percent = None
    high: Percent = None
    n: Count = 0

    @model_validator(mode="after")
    def _has_interval(self) -> Self:
        _need_interval("accuracy", self.accuracy, self.low, self.high)
        return self


class Scores(_Part):
    """Scores of one model on one set of test facts, in percent, with 95 % intervals over the facts."""

    macro: Percent = None
    """Unweighted mean of the level accuracies (docs/studies.md §3)."""
    macro_low: Percent = None
    macro_high: Percent = None
    micro: Percent = None
    """Share of right answers over all facts."""
    micro_low: Percent = None
    micro_high: Percent = None
    by_level: dict[Literal["0", "1", "2", "3", "4"], Accuracy] = Field(default_factory=dict)
    word_macro: Percent = None
    """The macro score when the stricter whole-word matcher judges."""

    @model_validator(mode="after")
    def _has_intervals(self) -> Self:
        _need_interval("macro", self.macro, self.macro_low, self.macro_high)
        _need_interval("micro", self.micro, self.micro_low, self.micro_high)
        return self


class Model(_Part):
    """The base model."""

    name: str
    fingerprint: str
    parameters: Count


class Facts(_Part):
    """The fact set and how many facts each part has."""

    name: str
    fingerprint: str
    train: Count
    test: Count
    ood: Count


class Probe(_Part):
    """How the memory scores were measured."""

    method: str
    templates: Count
    samples: Count
    temperature: float
    max_new_tokens: Count
    seconds: float | None = None
    matcher_version: str
    agreement_note: str | None = None
    """Text on how far two ways of measuring agree, if that was checked."""


class LevelCount(_Part):
    """How many facts of a part have a memory level."""

    part: Part
    level: Level
    n: Count


class RelationLevels(_Part):
    """The memory levels of one relation's facts in one part."""

    relation: str
    name: str
    domain: Domain
    part: Part
    counts: Annotated[list[Count], Field(min_length=5, max_length=5)]
    """Facts of level 0, 1, 2, 3, 4."""
    mean_score: Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_number_or_none)] = None
    """Mean memory score R, 0 to 1."""


class TemplateRate(_Part):
    """Share of right completions (0 to 1) that one mapping template of a relation gets."""

    relation: str
    template_index: Count
    rate: Annotated[float, Field(ge=0, le=1)]


class BaseScores(_Part):
    """The untouched base in the fine-tuning prompt."""

    test: Scores
    ood: Scores | None = None


class Cell(_Part):
    """One fine-tuned model: what it was trained on, and its scores."""

    levels: Choice
    size: Annotated[int, Field(ge=1)]
    seed: int
    test: Scores
    ood: Scores | None = None
    train_seconds: float | None = None


class Example(_Part):
    """One test fact with the raw answers of the base and of a tuned model."""

    question: str
    object: str
    accepted: list[str] = Field(default_factory=list)
    level: Level
    part: Part
    base_answer: str
    tuned_answer: str
    tuned_by: str
    """Which tuned model answered, e.g. "60 facts of level 2, seed 0"."""
    base_right: bool
    tuned_right: bool
    kind: Kind


class Completion(_Part):
    """What the base wrote after one mapping template."""

    template: str
    """The prompt: the template with the subject in it."""
    text: str
    hit: bool


class MappingExample(_Part):
    """One fact with completions of its mapping prompts by the base."""

    question: str
    object: str
    level: Level
    part: Part
    score: Annotated[float | None, Field(ge=0, le=1)] = None
    """Memory score R, 0 to 1."""
    completions: list[Completion]


class SettingValue(_Part):
    """One setting of one step and where its value came from (default, file, flag, study)."""

    step: str
    name: str
    value: str | int | float | bool | list[Any] | dict[str, Any] | None
    origin: str


class StepRecord(_Part):
    """A step directory the study used."""

    step: str
    path: str
    fingerprint: str
    seconds: float | None = None


class Results(_Part):
    """All a report shows. Build it from the steps of a study, or read it with `read_results`."""

    schema_version: Literal[1] = 1
    title: str
    created: str
    """When the study finished, ISO 8601."""
    version: str
    """Recollect's version."""
    model: Model
    facts: Facts
    probe: Probe
    levels: list[LevelCount]
    levels_by_relation: list[RelationLevels] = Field(default_factory=list)
    template_rates: list[TemplateRate] = Field(default_factory=list)
    borderline: dict[Part, Count] = Field(default_factory=dict)
    """Facts per part whose score lies so near to an edge that another probe could give the next level."""
    base: BaseScores
    cells: list[Cell] = Field(default_factory=list)
    examples: list[Example] = Field(default_factory=list)
    mapping_examples: list[MappingExample] = Field(default_factory=list)
    settings: list[SettingValue] = Field(default_factory=list)
    steps: list[StepRecord] = Field(default_factory=list)
    machine: str = ""
    notes: list[str] = Field(default_factory=list)
    """Warnings: a shortfall of facts, a level left out, ..."""

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        cells = [f"{cell.levels}, {cell.size}, {cell.seed}" for cell in self.cells]
        levels = [f"{row.part}, {row.level}" for row in self.levels]
        for what, keys in (("cell (levels, size, seed)", cells), ("level count (part, level)", levels)):
            twice = sorted(key for key, n in Counter(keys).items() if n > 1)
            if twice:
                raise ValueError(f"every {what} may stand once, but ({twice[0]}) stands twice")
        return self

    @classmethod
    def make(cls, **values: Any) -> Results:
        """Build results from keyword values; a bad value raises InputError that says where."""
        return _validated(values, "the results")


def read_results(path: Path) -> Results:
    """Read a results.json, or the one in a report folder; InputError says what is wrong with it and where."""
    file = path / RESULTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"no such file: {file}. Give a {RESULTS_FILE} or the report folder that holds one.")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start}). Write it again with a study.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{file} is not valid JSON: {error}. Write it again with a study.") from None
    if not isinstance(values, dict):
        raise InputError(f"{file} must hold one JSON object, but holds {type(values).__name__}.")
    version = values.get("schema_version")
    if version != 1:
        raise InputError(f"{file} must have schema_version 1, but got {version!r}. Use the Recollect that wrote it.")
    return _validated(values, str(file))


def _validated(values: dict[str, Any], where: str, most: int = 5) -> Results:
    try:
        return Results(**values)
    except ValidationError as error:
        problems = error.errors()
    lines = []
    for item in problems[:most]:
        place = ".".join(str(part) for part in item["loc"]) or "results"
        got = repr(item["input"])
        got = got if len(got) <= 80 else got[:77] + "..."
        if item["type"] == "missing":
            lines.append(f"{place} must be given.")
        elif item["type"] == "extra_forbidden":
            lines.append(f"{place} is not a known key.")
        elif item["type"] == "value_error":
            lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}.")
        else:
            lines.append(f"{place}: {item['msg'][0].lower() + item['msg'][1:]}, but got {got}.")
    if len(problems) > most:
        lines.append(f"... and {len(problems) - most} more.")
    raise InputError(f"{where} cannot be used:\n" + "\n".join(lines))
