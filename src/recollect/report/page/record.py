"""What every chapter's record is built from: the record class, checked numbers and estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from recollect.core.estimates import Estimate

Count = Annotated[int, Field(ge=0)]
Level = Annotated[int, Field(ge=0, le=4)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _number_or_none(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _to_bounds(least: float) -> Callable[[object], object]:
    def rounded(value: object) -> object:
        """What rounding has moved past a bound is the bound, and NaN is null."""
        if isinstance(value, float) and (least - 1e-8 < value < least or 1.0 < value < 1 + 1e-8):
            return min(max(value, least), 1.0)
        return _number_or_none(value)

    return rounded


Share = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_to_bounds(0.0))]
"""A fraction of a whole, 0 to 1, maybe a sum of floats: the weights' shares of a change once came to 1 + 1e-15."""
Rate = Annotated[float, Field(ge=0, le=1), BeforeValidator(_to_bounds(0.0))]
"""The same where there always is one."""
Gain = Annotated[float, Field(ge=-1, le=1), BeforeValidator(_to_bounds(-1.0))]
"""Of two such, one less the other."""
Number = Annotated[float | None, Field(allow_inf_nan=False), BeforeValidator(_number_or_none)]
"""Any finite number; NaN becomes "not measured"."""


def _between(least: float) -> Callable[[Estimate], Estimate]:
    def check(found: Estimate) -> Estimate:
        if not all(least - 1e-8 <= end <= 1 + 1e-8 for end in (found.value, found.low, found.high)):
            raise ValueError(f"value, low and high must lie between {100 * least:g} and 100 %")
        return found

    return check


def _finite(found: Estimate) -> Estimate:
    if not all(math.isfinite(end) for end in (found.value, found.low, found.high)):
        raise ValueError("value, low and high must be finite numbers")
    return found


Fraction = Annotated[Estimate, AfterValidator(_between(0.0))]
"""A share of right answers, 0 to 1, with its interval."""
Difference = Annotated[Estimate, AfterValidator(_between(-1.0))]
"""Of two such shares."""
Measured = Annotated[Estimate, AfterValidator(_finite)]
"""Any number with its interval: a divergence in nats, a score in its own unit."""


class Record(BaseModel):
    """A frozen part of the results; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
