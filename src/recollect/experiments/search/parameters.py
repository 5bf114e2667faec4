"""One setting to search: a range of numbers, of whole numbers, or a choice.

Notable choices
- A parameter checks itself when it is made, so a space never holds one that cannot be drawn from.
- `when` makes a setting conditional: it exists only while other settings have the named values.
- `at` and `place` map a parameter onto 0..1 and back (logarithmic where the range is), so that random and spread points
  are the same for numbers and choices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recollect.errors import InputError
from recollect.experiments.search.trial import TrialValue

Conditions = Mapping[str, TrialValue | Sequence[TrialValue]]
"""By name of another setting, the value or values that it must have."""
_Plain = dict[str, object]


class _Range:
    """What whole and other numbers have in common."""

    low: float
    high: float
    log: bool
    when: Conditions

    def _check(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
                raise InputError(f"{name} must be a finite number, but got {value!r}.")
        if self.low > self.high:
            raise InputError(f"low must be at most high, but got low={self.low} and high={self.high}. Swap them.")
        if self.log and self.low <= 0:
            raise InputError(
                f"a logarithmic range must start above 0, but got low={self.low}. Raise low or leave out log."
            )

    @property
    def middle(self) -> float:
        """The middle of the range."""
        return float(self._at(0.5))

    def _at(self, place: float) -> float:
        low, high = float(self.low), float(self.high)
        return math.exp(math.log(low) + place * math.log(high / low)) if self.log else low + place * (high - low)

    def place(self, value: Any) -> float:
        """Where a value is in the range, in 0..1."""
        low, high, at = float(self.low), float(self.high), float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5

    def plain(self) -> _Plain:
        """As YAML would say it."""
        log: _Plain = {"log": True} if self.log else {}
        return {"low": self.low, "high": self.high} | log | _plain_when(self.when)


@dataclass(frozen=True)
class Float(_Range):
    """Numbers from low to high, both included; evenly in the logarithm with `log`."""

    low: float
    high: float
    log: bool = False
    when: Conditions = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check()

    @property
    def count(self) -> float:
        """Number of values."""
        return math.inf if self.high > self.low else 1

    def grid(self) -> Sequence[float]:
        """All values, of a range of one."""
        return [self.low]

    def contains(self, value: TrialValue) -> bool:
        """Is this one of the values?"""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def clip(self, value: Any) -> float:
        """The nearest value of the range."""
        return float(min(max(float(value), self.low), self.high))

    def at(self, place: float) -> float:
        """The value at a place in 0..1."""
        return self.clip(self._at(place))


@dataclass(frozen=True)
class Int(_Range):
    """Whole numbers from low to high, both included, in steps of `step` from low; evenly in the logarithm with
    `log`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Conditions = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check()
        for name in ("low", "high", "step"):
            if not isinstance(getattr(self, name), int) or isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be a whole number, but got {getattr(self, name)!r}.")
        if self.step < 1:
            raise InputError(f"step must be at least 1, but got step={self.step}.")
        if self.log and self.step != 1:
            raise InputError(
                f"a logarithmic range cannot have a step, but got step={self.step}. Leave one of them out."
            )
        object.__setattr__(self, "high", self.low + (self.high - self.low) // self.step * self.step)

    @property
    def count(self) -> float:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def grid(self) -> Sequence[int]:
        """All values."""
        return range(self.low, self.high + 1, self.step)

    def contains(self, value: TrialValue) -> bool:
        """Is this one of the values?"""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def clip(self, value: Any) -> int:
        """The nearest value of the range."""
        steps = round((min(max(float(value), self.low), self.high) - self.low) / self.step)
        return int(self.low + steps * self.step)

    def at(self, place: float) -> int:
        """The value at a place in 0..1."""
        return self.clip(self._at(place))

    def plain(self) -> _Plain:
        """As YAML would say it."""
        return super().plain() | ({"step": self.step} if self.step != 1 else {})


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values; a single one fixes the setting."""

    options: tuple[TrialValue, ...]
    when: Conditions

    def __init__(self, options: Any, when: Conditions | None = None) -> None:
        if isinstance(options, str) or not isinstance(options, list | tuple):
            raise InputError(f"a choice must be a list of values, but got {options!r}.")
        if not options:
            raise InputError("a choice must have at least one value, but got none. Name the values to choose from.")
        for option in options:
            if not isinstance(option, str | int | float | bool | None):
                raise InputError(f"a choice is of numbers and texts, but got {option!r}.")
            if isinstance(option, int | float) and not _finite(option):
                raise InputError(f"a choice must have finite numbers, but got {option!r}.")
        if len({(type(option), option) for option in options}) < len(options):
            raise InputError(f"a choice must name each value once, but got {list(options)!r}.")
        object.__setattr__(self, "options", tuple(options))
        object.__setattr__(self, "when", dict(when or {}))

    @property
    def numeric(self) -> bool:
        """Are all options numbers, so that they have an order?"""
        return all(isinstance(option, int | float) and not isinstance(option, bool) for option in self.options)

    @property
    def count(self) -> float:
        """Number of values."""
        return len(self.options)

    @property
    def middle(self) -> TrialValue:
        """The first option."""
        return self.options[0]

    def grid(self) -> Sequence[TrialValue]:
        """All values."""
        return self.options

    def contains(self, value: TrialValue) -> bool:
        """Is this one of the values? 1 and 1.0 are, True is not 1."""
        return any(option == value and isinstance(option, bool) == isinstance(value, bool) for option in self.options)

    def clip(self, value: Any) -> TrialValue:
        """The value itself, the nearest number, or else the first option."""
        if self.contains(value):
            return next(option for option in self.options if option == value)
        if self.numeric and isinstance(value, int | float):
            return min(self.options, key=lambda option: abs(float(option) - float(value)))  # type: ignore[arg-type]
        return self.options[0]

    @property
    def _in_order(self) -> Sequence[TrialValue]:
        return sorted(self.options, key=float) if self.numeric else self.options  # type: ignore[arg-type]

    def at(self, place: float) -> TrialValue:
        """The option at a place in 0..1."""
        return self._in_order[min(int(place * len(self.options)), len(self.options) - 1)]

    def place(self, value: TrialValue) -> float:
        """Where an option is, in 0..1: the middle of its share."""
        return (list(self._in_order).index(value) + 0.5) / len(self.options)

    def plain(self) -> _Plain:
        """As YAML would say it."""
        return {"options": list(self.options)} | _plain_when(self.when)


Parameter = Float | Int | Choice


def options_of(want: TrialValue | Sequence[TrialValue]) -> Sequence[TrialValue]:
    """The values that a condition takes."""
    return want if isinstance(want, list | tuple) else [want]  # type: ignore[list-item]


def _plain_when(when: Conditions) -> _Plain:
    return {"when": dict(when)} if when else {}


def read_parameter(given: Any, *, whole: bool | None) -> Parameter:
    """A parameter from YAML: a mapping with low and high, one with options, a list of options, or one value.

    `whole`: whether its numbers must be whole; None decides by the numbers given. Raises InputError.
    """
    if isinstance(given, Float | Int | Choice):
        return given
    if isinstance(given, list | tuple):
        return Choice([_number(one) for one in given])
    if not isinstance(given, Mapping):
        return Choice([_number(given)])
    known = {"low", "high", "log", "step", "options", "when"}
    if odd := sorted(map(str, set(given) - known)):
        raise InputError(f"unknown word {odd[0]!r}. Known: {', '.join(sorted(known))}.")
    when = given.get("when") or {}
    if not isinstance(when, Mapping):
        raise InputError(f"when must name settings and their values, as {{method: lora}}, but got {when!r}.")
    if "options" in given:
        if extra := sorted(set(given) - {"options", "when"}):
            raise InputError(f"a choice has options alone, but got {extra[0]} too. Leave one of them out.")
        options = given["options"]
        return Choice([_number(one) for one in options] if isinstance(options, list | tuple) else options, when)
    if "low" not in given or "high" not in given:
        raise InputError(f"a range must have low and high, but got {dict(given)!r}.")
    low, high = _number(given["low"]), _number(given["high"])
    if not isinstance(given.get("log", False), bool):
        raise InputError(f"log must be true or false, but got {given['log']!r}.")
    log = bool(given.get("log", False))
    if whole or (whole is None and isinstance(low, int) and isinstance(high, int)):
        return Int(_whole(low), _whole(high), log, given.get("step", 1), when)
    if "step" in given:
        raise InputError("only whole numbers have a step. Leave it out, or name the values as options.")
    return Float(_real(low), _real(high), log, when)


def _finite(value: float) -> bool:
    """Is it a number that a float can hold? Python's whole numbers may be larger."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _number(value: Any) -> Any:
    """From Python numbers may come as texts, such as 1e-5."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if "e" in value.lower() and math.isfinite(number) else value
    return value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _real(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
