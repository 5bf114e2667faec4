"""One setting to search: a range of numbers, of whole numbers, or a choice.

Notable choices
- A parameter checks itself when it is made, so a space never holds one that cannot be drawn from.
- `when` makes a setting conditional: it exists only while other settings have the named values.
- Conversions to Optuna live here, so that nothing else of the package needs to know its distributions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from recollect.errors import InputError

Value = str | int | float | bool | None


def _check_range(parameter: Float | Int) -> None:
    low, high = parameter.low, parameter.high
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name} must be a finite number, but got {value!r}.")
    if low > high:
        raise InputError(f"low must be at most high, but got {low=} and {high=}. Swap them.")
    if parameter.log and low <= 0:
        raise InputError(f"a logarithmic range must start above 0, but got {low=}. Raise low or leave out log.")


@dataclass(frozen=True)
class Float:
    """Numbers from low to high, both included; evenly in the logarithm with `log`."""

    low: float
    high: float
    log: bool = False
    when: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range(self)

    def contains(self, value: Any) -> bool:
        """Is this one of the values?"""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def clip(self, value: Any) -> float:
        """The nearest value of the range."""
        return float(min(max(float(value), self.low), self.high))

    def distribution(self) -> BaseDistribution:
        """Optuna's form of it."""
        return FloatDistribution(self.low, self.high, log=self.log)

    def plain(self) -> dict[str, Any]:
        """As YAML would say it."""
        return {"low": self.low, "high": self.high} | ({"log": True} if self.log else {}) | _plain_when(self.when)


@dataclass(frozen=True)
class Int:
    """Whole numbers from low to high, both included, in steps of `step` from low; evenly in the logarithm with
    `log`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range(self)
        for name in ("low", "high", "step"):
            if not isinstance(getattr(self, name), int):
                raise InputError(f"{name} must be a whole number, but got {getattr(self, name)!r}.")
        if self.step < 1:
            raise InputError(f"step must be at least 1, but got step={self.step}.")
        if self.log and self.step != 1:
            raise InputError(
                f"a logarithmic range cannot have a step, but got step={self.step}. Leave one of them out."
            )
        object.__setattr__(self, "high", self.low + (self.high - self.low) // self.step * self.step)

    def contains(self, value: Any) -> bool:
        """Is this one of the values?"""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def clip(self, value: Any) -> int:
        """The nearest value of the range."""
        steps = round((min(max(float(value), self.low), self.high) - self.low) / self.step)
        return int(self.low + steps * self.step)

    def distribution(self) -> BaseDistribution:
        """Optuna's form of it."""
        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def plain(self) -> dict[str, Any]:
        """As YAML would say it."""
        extra = ({"log": True} if self.log else {}) | ({"step": self.step} if self.step != 1 else {})
        return {"low": self.low, "high": self.high} | extra | _plain_when(self.when)


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values; a single one fixes the setting."""

    options: tuple[Value, ...]
    when: Mapping[str, Any]

    def __init__(self, options: Any, when: Mapping[str, Any] | None = None) -> None:
        if isinstance(options, str) or not isinstance(options, list | tuple):
            raise InputError(f"a choice must be a list of values, but got {options!r}.")
        if not options:
            raise InputError("a choice must have at least one value, but got none. Name the values to choose from.")
        for option in options:
            if not isinstance(option, str | int | float | bool | None):
                raise InputError(f"a choice is of numbers and texts, but got {option!r}.")
            if isinstance(option, float) and not math.isfinite(option):
                raise InputError(f"a choice must have finite numbers, but got {option!r}.")
        if len({(type(option), option) for option in options}) < len(options):
            raise InputError(f"a choice must name each value once, but got {list(options)!r}.")
        object.__setattr__(self, "options", tuple(options))
        object.__setattr__(self, "when", dict(when or {}))

    @property
    def numeric(self) -> bool:
        """Are all options numbers, so that they have an order?"""
        return all(isinstance(option, int | float) and not isinstance(option, bool) for option in self.options)

    def contains(self, value: Any) -> bool:
        """Is this one of the values? 1 and 1.0 are, True is not 1."""
        return any(option == value and isinstance(option, bool) == isinstance(value, bool) for option in self.options)

    def clip(self, value: Any) -> Value:
        """The value itself, the nearest number, or else the first option."""
        if self.contains(value):
            return next(option for option in self.options if option == value)
        if self.numeric and isinstance(value, int | float):
            return min(self.options, key=lambda option: abs(float(option) - float(value)))  # type: ignore[arg-type]
        return self.options[0]

    def distribution(self) -> BaseDistribution:
        """Optuna's form of it."""
        return CategoricalDistribution(self.options)

    def plain(self) -> dict[str, Any]:
        """As YAML would say it."""
        return {"options": list(self.options)} | _plain_when(self.when)


Parameter = Float | Int | Choice


def _plain_when(when: Mapping[str, Any]) -> dict[str, Any]:
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


def _number(value: Any) -> Any:
    """YAML reads 1e-5 as text: numbers in texts are taken as numbers."""
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
