"""Schema of the chapter on data curves: points, fits, band, verdict, and what more data would buy."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from recollect.report.page.record import Count, Finite, Record, Share


class CurvePoint(Record):
    """The mean score at one size with its interval, and the single runs behind it."""

    size: Count
    score: Finite
    low: Finite
    high: Finite
    runs: list[Finite] = Field(min_length=1)
    """One score per seed."""


class CurveGain(Record):
    """What going from one size to another changes, with its interval."""

    start: Count
    end: Count
    points: Finite
    low: Finite
    high: Finite
    per_label: Finite
    measured: bool
    """True between two measured sizes, from their means. False beyond the largest: fitted, an extrapolation."""


class CurveBand(Record):
    """The fits that pass through every mean, weighed: middle and interval at each size."""

    sizes: list[Finite] = Field(min_length=2)
    middle: list[Finite]
    low: list[Finite]
    high: list[Finite]


class CurveFamily(Record):
    """One family of curves: its error on left-out sizes, its weight, and its mean curve at the band's sizes.

    One that misses a measured mean is not used: no weight, no curve.
    """

    name: str
    left_out_error: Finite
    weight: Share
    misses: Count | None = None
    """The size whose measured mean it misses; null when it passes through all."""
    scores: list[Finite] = Field(default_factory=list)


class Curve(Record):
    """Score over training size on one part of the test items, and its verdict."""

    part: str
    """In words: "In-domain"."""
    trained_on: str = ""
    scored: str = ""
    """What is scored, in words: "accuracy"; empty for a user's own scores."""
    unit: str = "points"
    negated: bool = False
    """Whether scores are negated losses."""
    items: Count | None = None
    """Test items behind every score; null when only scores are known."""
    groups: Count | None = None
    """Groups whose means are averaged; null likewise."""
    verdict: Literal["saturated", "rising", "peaked", "undecided"]
    probability: dict[str, Share] = Field(default_factory=dict)
    """Of results written before verdicts were taken from the measured means alone; not shown."""
    lines: list[str]
    """The verdict in words."""
    margin: Finite
    confidence: Share
    n_sat: Count
    """Interpolated; what was measured is the interval: above n_sat_low, at most n_sat_high."""
    n_sat_low: Count
    n_sat_high: Count
    n_hurts: tuple[Count, Count, Count] | None = None
    """Size from which on more costs over the margin, with the ends of its interval; null where nothing peaks."""
    run_spread: Finite
    points: list[CurvePoint] = Field(min_length=1)
    gains: list[CurveGain] = Field(default_factory=list)
    families: list[CurveFamily] = Field(default_factory=list)
    band: CurveBand | None = None
    """Null when every fit misses a measured mean."""
    next: list[Count] = Field(default_factory=list)

    @model_validator(mode="after")
    def _same_lengths(self) -> Self:
        drawn = [family.scores for family in self.families if family.scores]
        band = self.band
        if band is None:
            if drawn:
                raise ValueError("families without a band must have no scores")
            return self
        if any(len(one) != len(band.sizes) for one in (band.middle, band.low, band.high, *drawn)):
            raise ValueError("the band's and the families' scores must stand at the band's sizes, one for each")
        return self


class Curves(Record):
    """One curve per part of the test items."""

    curves: list[Curve] = Field(min_length=1)
