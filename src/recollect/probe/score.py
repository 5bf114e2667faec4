"""From the rows of all jobs to one row per fact: score, interval, level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recollect.facts import FactSet
from recollect.probe.agreement import Mask, level_distribution, why_unstated
from recollect.probe.levels import BORDERLINE, Floats, level_of, score_interval
from recollect.probe.settings import Way


def score_facts(rows: pl.DataFrame, facts: FactSet, method: Way, samples: int) -> pl.DataFrame:
    """Grade every fact from its jobs' rows (columns of `measure.SCHEMA`; any order).

    Columns: fact_id, relation, subject, object, part, score (R), low and high (95 % interval of R; for closed-form R
    itself and 1, since answers that come later are not in it), level, level_probability, borderline and
    level_probabilities (of the levels 0..4 in a fresh probe; null where not stated), hits (per template), draws (per
    template), template_scores (the estimated hit rate of each template), p0 (mean closed form).
    """
    drawn = _Drawn.of(rows, len(facts), method)
    score = drawn.by_template.mean(axis=1)
    level = level_of(score, drawn.p0.shape[1] * samples)

    distribution = None if drawn.why_unstated() else level_distribution(drawn.p0, drawn.late, drawn.rest, samples)
    chances = [None] * len(level) if distribution is None else distribution[np.arange(len(level)), level].tolist()
    low, high = drawn.interval()
    return pl.DataFrame(
        {
            "fact_id": [fact.id for fact in facts],
            **{name: [getattr(fact, name) for fact in facts] for name in ("relation", "subject", "object", "part")},
            "score": score,
            "low": low,
            "high": high,
            "level": level,
            "level_probability": chances,
            "borderline": [None if chance is None else chance < BORDERLINE for chance in chances],
            "level_probabilities": chances if distribution is None else distribution.tolist(),
            "hits": drawn.hits.astype(np.int64).tolist(),
            "draws": drawn.draws.astype(np.int64).tolist(),
            "template_scores": drawn.by_template.tolist(),
            "p0": [None] * len(facts) if is_plain(method) else drawn.p0.mean(axis=1),
        },
        schema_overrides={
            "level_probability": pl.Float64,
            "borderline": pl.Boolean,
            "level_probabilities": pl.List(pl.Float64),
            "p0": pl.Float64,
            "hits": pl.List(pl.Int64),
            "draws": pl.List(pl.Int64),
        },
    )


def is_plain(method: Way) -> bool:
    """Whether a method draws from all that the model may say, not beside the answers at once."""
    return method in ("sampled", "adaptive")


def unstated(rows: pl.DataFrame, facts: FactSet, method: Way) -> str:
    """Why `score_facts` states no agreement of these rows, in words; empty where it does."""
    return _Drawn.of(rows, len(facts), method).why_unstated()


@dataclass(frozen=True)
class _Drawn:
    """What is known of each prompt; shapes [facts, templates].

    The first facts of `auto` were drawn from plainly, and their p0 is known too. Where the others are graded beside the
    answers at once, so are they: the draws that did not come at once are draws of the rest.
    """

    method: Way
    p0: Floats
    """Zero where the method draws plainly."""
    hits: Floats
    draws: Floats
    late: Floats
    """Hits of `rest`."""
    rest: Floats
    """Draws beside the answers at once; with plain draws all of them."""
    first: Mask
    """[facts] Drawn from plainly though the method does not."""

    @classmethod
    def of(cls, rows: pl.DataFrame, facts: int, method: Way) -> _Drawn:
        rows = rows.sort("fact", "template")
        shape = (facts, int(rows["template"].max()) + 1)  # type: ignore[arg-type]

        def column(name: str) -> Floats:
            return rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape).copy()

        hits, draws = column("hits"), column("draws")
        if is_plain(method):
            return cls(method, np.zeros(shape), hits, draws, hits, draws, np.zeros(facts, dtype=np.bool_))
        at_once = column("at_once")
        first = ~np.isnan(at_once[:, 0])
        at_once[~first] = 0.0
        # a draw at once is a hit, but for a form that more letters would make another word
        late = np.clip(hits - at_once, 0, draws - at_once)
        return cls(method, column("p0"), hits, draws, late, draws - at_once, first)

    @property
    def by_template(self) -> Floats:
        """The estimated hit rate of each template."""
        share = np.divide(self.late, self.draws, out=np.zeros_like(self.late), where=self.draws > 0)
        beside = np.where(self.first[:, None], 1.0, 1 - self.p0)  # of plain draws the share of late ones is whole
        found: Floats = self.p0 + beside * share
        return found

    def why_unstated(self) -> str:
        """Empty where the evidence says how far a fresh probe agrees."""
        if is_plain(self.method):
            return ""
        p0, score = self.p0.mean(axis=1), self.by_template.mean(axis=1)
        if self.method == "hybrid":  # the first facts show how templates differ, whatever comes after
            return why_unstated(p0, score, 2 if self.first.any() else int(self.draws.max()))
        if self.first.any():
            return why_unstated(p0[self.first], score[self.first], 0)
        return (
            "the closed form draws nothing, so it cannot know how many answers come late (--method auto measures that "
            "on the first facts)"
        )

    def interval(self) -> tuple[Floats, Floats]:
        """95 % interval of R; the closed form knows only that R is not lower."""
        score = self.by_template.mean(axis=1)
        fixed, weight, hits, draws = self._residual()
        low, high = score_interval(hits, draws)
        low, high = fixed + weight * low, np.minimum(1.0, fixed + weight * high)
        if self.method == "closed-form":
            low, high = np.where(self.first, low, score), np.where(self.first, high, 1.0)
        return np.minimum(low, score), np.maximum(high, score)

    def _residual(self) -> tuple[Floats, Floats, Floats, Floats]:
        """R as fixed + weight * rate, with the effective hits and draws behind the rate. Shapes [facts].

        The templates' residual rates r_i have weights w_i = 1 - p0_i: rate = sum w_i r_i / sum w_i, and its effective
        number of draws is (sum w_i)^2 / sum(w_i^2 / d_i), the one with the same variance at equal rates.
        """
        if is_plain(self.method):
            zeros = np.zeros(len(self.hits))
            return zeros, zeros + 1, self.hits.sum(axis=1), self.draws.sum(axis=1)
        drawn = self.rest > 0
        weights = np.where(drawn, 1 - self.p0, 0.0)
        total = weights.sum(axis=1)
        rest = np.divide(self.late, self.rest, out=np.zeros_like(self.late), where=drawn)
        noise = np.divide(weights**2, self.rest, out=np.zeros_like(self.late), where=drawn).sum(axis=1)
        rate = np.divide((weights * rest).sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
        effective = np.divide(total**2, noise, out=np.zeros(len(total)), where=noise > 0)
        return self.p0.mean(axis=1), weights.mean(axis=1), rate * effective, effective
