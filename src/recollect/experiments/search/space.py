"""Which settings a search may try: names, ranges, choices, and which of them depend on others.

Notable choices
- The names are those of `TrainSettings`, plus `size` and `level` of `SelectSettings`: a trial is a training that
  `recollect select` and `recollect train` could be asked for by hand. `hold` stands for a few of them at once.
- A name, a range or an option that no training could use is refused when the space is made, not at the tenth trial.
- After an out-of-memory the space is narrowed by caps; ranges and fingerprint stay those of the space that was asked
  for, so the ledger goes on.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from recollect.core.settings import Settings, mapping_of, parse_yaml, read_yaml
from recollect.core.workspace import fingerprint
from recollect.errors import InputError
from recollect.experiments.search.hold import HOLD, HOLDS, check_alone
from recollect.experiments.search.parameters import Choice, Float, Int, Parameter, options_of, read_parameter
from recollect.experiments.search.trial import TrialValue, TrialValues
from recollect.select import SelectSettings
from recollect.train import TrainSettings

TRAIN_NAMES = (
    "method",
    "learning_rate",
    "batch_size",
    "epochs",
    "max_steps",
    "schedule",
    "warmup_ratio",
    "weight_decay",
    "max_grad_norm",
    "anchor",
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_targets",
    "precision",
    "prompt_template",
    "freeze",
)
SELECT_NAMES = ("size", "level", "min_level_confidence")
_SHORT = {"lr": "learning_rate", "rank": "lora_r", "alpha": "lora_alpha", "n": "size", "batch": "batch_size"}
_MEMORY = ("batch_size", "lora_r")


@dataclass(frozen=True)
class Space:
    """Parameters by name, and caps by name on how high they may go.

    `free` leaves the names and values unchecked: for a search over something other than our trainings. Raises
    InputError for an empty space, an unknown name (with the nearest right one), a value that the setting does not
    take, and conditions that name no parameter, an impossible value, or one another in a circle.

    Examples:
        >>> from recollect import Space
        >>> space = Space.of({"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "batch_size": [4, 8]})
        >>> space.contains({"learning_rate": 3e-4, "batch_size": 8})
        True
    """

    parameters: Mapping[str, Parameter]
    caps: Mapping[str, float] = field(default_factory=dict)
    free: bool = False

    def __post_init__(self) -> None:
        if not self.parameters:
            raise InputError("a search space must have at least one setting, but got none. Name one, as learning_rate.")
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Float | Int | Choice):
                raise InputError(f"{name} must be Float, Int or Choice, but got {parameter!r}.")
            if not self.free:
                _check_setting(name, parameter)
        if not self.free:
            check_alone(self.parameters, self.parameters)
        object.__setattr__(self, "parameters", _ordered(self.parameters))

    @classmethod
    def of(cls, given: Space | Path | str | Mapping[str, Any], *, free: bool = False) -> Space:
        """A space from a YAML file (a Path), YAML text, or a mapping of names to ranges, lists or `Float` and so on.

        YAML: `learning_rate: {low: 1e-5, high: 1e-3, log: true}`, `batch_size: [4, 8, 16]`, `epochs: 3`,
        `lora_r: {low: 4, high: 64, log: true, when: {method: lora}}`.
        """
        if isinstance(given, Space):
            return given
        if isinstance(given, Path):
            given = read_yaml(given)
        elif isinstance(given, str):
            given = mapping_of(parse_yaml(given, "the space"), "the space")
        elif not isinstance(given, Mapping):
            raise InputError(
                f"a space must be a mapping of names to ranges or lists, a YAML file or its text, but got {given!r}."
            )
        parameters = {}
        for name, value in given.items():
            if not free:
                _check_name(name)
            try:
                parameters[name] = read_parameter(value, whole=None if free else _takes_whole(name))
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        return cls(parameters, free=free)

    @property
    def conditional(self) -> bool:
        """Does any parameter depend on another?"""
        return any(parameter.when for parameter in self.parameters.values())

    @property
    def count(self) -> float:
        """Number of points, conditions not counted off; infinite with a range of numbers."""
        return math.prod(parameter.count for parameter in self.parameters.values())

    def points(self, most: int = 4096) -> list[TrialValues] | None:
        """All points, caps and conditions kept; None when there are more than `most`."""
        if self.count > most:
            return None
        ranges = [parameter.grid() for parameter in self.parameters.values()]
        every = (self.clip(dict(zip(self.parameters, one, strict=True))) for one in itertools.product(*ranges))
        return list({tuple(point.items()): point for point in every}.values())

    def fingerprint(self) -> str:
        """Hash of names, ranges and conditions; caps are left out."""
        kinds = {name: {"kind": type(one).__name__, **one.plain()} for name, one in sorted(self.parameters.items())}
        return fingerprint(kinds)

    def to_yaml(self) -> str:
        """The space as YAML that `of` reads back to an equal one."""
        plain = {name: parameter.plain() for name, parameter in self.parameters.items()}
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)

    def active(self, values: TrialValues) -> Iterator[str]:
        """Names of the parameters that exist given these values, parents first."""
        on: set[str] = set()
        for name, parameter in self.parameters.items():
            wanted = parameter.when.items()
            if all(parent in on and values.get(parent) in options_of(want) for parent, want in wanted):
                on.add(name)
                yield name

    def contains(self, values: TrialValues) -> bool:
        """Are these exactly the active settings, each inside its range and its cap?"""
        return set(values) == set(self.active(values)) and all(
            self.parameters[name].contains(value) and not self._above(name, value) for name, value in values.items()
        )

    def narrowed(self, failed: TrialValues) -> Space:
        """The space after `failed` ran out of memory.

        The batch is capped below the one that failed, or the adapters' rank when the batch can go no lower, and no
        other setting that costs memory may exceed what failed. The amount of data costs no memory and stays. When
        nothing is left to lower, the space is returned as it is.
        """
        caps = dict(self.caps)
        for name in _MEMORY:
            lower = self._below(name, failed[name]) if name in failed else None
            if lower is not None:
                caps[name] = min(caps.get(name, lower), lower)
                break
        return Space(self.parameters, caps, self.free)

    def clip(self, values: TrialValues) -> dict[str, TrialValue]:
        """The nearest point of the space: numbers into their ranges and caps, unknown names and inactive ones left out.

        A setting that is missing and active takes the middle of its range, or its first option.
        """
        result: dict[str, TrialValue] = {}
        for name, parameter in self.parameters.items():
            if name in self.active(result | {name: None}):
                result[name] = self.clip_one(name, values.get(name, parameter.middle))
        return result

    def clip_one(self, name: str, value: TrialValue) -> TrialValue:
        """The nearest value of one parameter, caps included."""
        clipped = self.parameters[name].clip(value)
        return self._below(name, self.caps[name], strictly=False) if self._above(name, clipped) else clipped

    def _above(self, name: str, value: TrialValue) -> bool:
        return name in self.caps and isinstance(value, int | float) and value > self.caps[name]

    def _below(self, name: str, value: TrialValue, strictly: bool = True) -> float | None:
        """The largest value of a numeric parameter below this one, or None."""
        parameter = self.parameters.get(name)
        if not isinstance(value, int | float):
            return None
        if isinstance(parameter, Int):
            lower = parameter.low + (int(value) - strictly - parameter.low) // parameter.step * parameter.step
            return lower if lower >= parameter.low else None
        if isinstance(parameter, Choice) and parameter.numeric:
            numbers = [one for one in parameter.options if isinstance(one, int | float)]
            return max((one for one in numbers if one < value or (one == value and not strictly)), default=None)
        return None


def _ordered(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Parents before children; checks the conditions."""
    for name, parameter in parameters.items():
        for parent, want in parameter.when.items():
            if parent not in parameters:
                raise InputError(
                    f"{name}: its condition names {parent!r}, which is not in the space. Add it, or drop the condition."
                )
            for value in options_of(want):
                if not parameters[parent].contains(value):
                    raise InputError(
                        f"{name}: its condition wants {parent} = {value!r}, which {parent} never is. Got "
                        f"{parameters[parent].plain()}."
                    )
    result: dict[str, Parameter] = {}
    while len(result) < len(parameters):
        ready = [n for n, p in parameters.items() if n not in result and all(parent in result for parent in p.when)]
        if not ready:
            circle = ", ".join(name for name in parameters if name not in result)
            raise InputError(f"conditions must not go in a circle, but these wait for one another: {circle}.")
        result.update({name: parameters[name] for name in ready})
    return result


def _home(name: str) -> type[Settings]:
    return SelectSettings if name in SELECT_NAMES else TrainSettings


def _check_name(name: str) -> None:
    known = (*TRAIN_NAMES, *SELECT_NAMES, HOLD)
    if name in known:
        return
    if name in TrainSettings.model_fields:
        raise InputError(
            f"{name} cannot be searched over. Fix it in the train section; searchable: {', '.join(known)}."
        )
    if name in _SHORT:
        raise InputError(f"unknown setting {name!r} in the search space. Did you mean {_SHORT[name]}?")
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise InputError(f"unknown setting {name!r} in the search space.{hint} Searchable: {', '.join(known)}.")


def _takes_whole(name: str) -> bool:
    """Whether a setting's numbers are whole: those that refuse a half."""
    return not _refusal(name, 1) and bool(_refusal(name, 1.5)) and bool(_refusal(name, 0.5))


def _refusal(name: str, value: TrialValue) -> str:
    """Why the settings class would not take this value; empty when it would."""
    if name == HOLD:
        return "" if value in HOLDS else f"must be one of {', '.join(HOLDS)}"
    info = _home(name).model_fields[name]
    annotated: Any = info.annotation
    for part in reversed(info.metadata):
        annotated = Annotated[annotated, part]
    try:
        TypeAdapter(annotated).validate_python(value)
    except ValidationError as error:
        return "; ".join(one["msg"][0].lower() + one["msg"][1:] for one in error.errors())
    except InputError as error:
        return str(error)
    return ""


def _check_setting(name: str, parameter: Parameter) -> None:
    _check_name(name)
    values: Sequence[TrialValue] = (
        parameter.options if isinstance(parameter, Choice) else (parameter.low, parameter.high)
    )
    for value in values:
        if why := _refusal(name, value):
            raise InputError(f"{name}: {why}, but the space has {value!r}. Change the range.")
    if isinstance(parameter, Float) and _takes_whole(name):
        raise InputError(f"{name} takes whole numbers, but the space has a Float. Use Int.")
