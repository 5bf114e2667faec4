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


def _rounded(value: object) -> object:
    """What rounding has moved past 0 or 1 is the bound, and NaN is null."""
    if isinstance(value, float) and (-1e-8 < value < 0.0 or 1.0 < value < 1 + 1e-8):
        return min(max(value, 0.0), 1.0)
    return _number_or_none(value)


Share = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_rounded)]
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
