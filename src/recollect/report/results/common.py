"""What every chapter's schema is built from: the record class, checked numbers, training choices, accuracies."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Choice = Literal["0", "1", "2", "3", "4", "mixed", "random"]
"""What a model was trained on: facts of one memory level, an even mix of the levels, or a random draw."""
CHOICES: tuple[Choice, ...] = ("0", "1", "2", "3", "4", "mixed", "random")
LEVELS = (0, 1, 2, 3, 4)
Count = Annotated[int, Field(ge=0)]
Level = Annotated[int, Field(ge=0, le=4)]


def _number_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _within(most: float) -> Any:
    """A check that takes what rounding has moved past 0 or `most` for the bound, and NaN for null."""

    def check(value: Any) -> Any:
        if isinstance(value, float) and (-1e-8 * most < value < 0.0 or most < value < most * (1 + 1e-8)):
            return min(max(value, 0.0), most)
        return _number_or_none(value)

    return check


Percent = Annotated[float | None, Field(ge=0, le=100), BeforeValidator(_within(100.0))]
Share = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_within(1.0))]
Number = Annotated[float | None, Field(allow_inf_nan=False), BeforeValidator(_number_or_none)]
"""Any finite number; NaN becomes "not measured"."""


def need_interval(name: str, value: float | None, low: float | None, high: float | None) -> None:
    """Refuse a value without both ends of its interval."""
    if value is not None and (low is None or high is None):
        raise ValueError(f"{name} must come with its interval: low and high must be given too")


class Record(BaseModel):
    """A frozen part of the results; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Accuracy(Record):
    """Share of right answers among n facts, in percent, with its 95 % interval; null when n is 0."""

    accuracy: Percent = None
    low: Percent = None
    high: Percent = None
    n: Count = 0

    @model_validator(mode="after")
    def _has_interval(self) -> Self:
        need_interval("accuracy", self.accuracy, self.low, self.high)
        return self
