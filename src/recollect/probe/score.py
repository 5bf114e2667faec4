"""From the rows of all jobs to one row per fact: score, interval, level."""

from __future__ import annotations

import numpy as np
import polars as pl

from recollect.facts import FactSet
from recollect.probe.agreement import level_distribution, why_unstated
from recollect.probe.levels import BORDERLINE, Floats, level_of, score_interval
from recollect.probe.settings import Method


def score_facts(rows: pl.DataFrame, facts: FactSet, method: Method, samples: int) -> pl.DataFrame:
    """Grade every fact from its jobs' rows (columns fact, template, p0, draws, hits; any order).

    Columns: fact_id, relation, subject, object, part, score (R), low and high (95 % interval of R; for closed-form R
    itself and 1, since answers that come later are not in it), level, level_probability, borderline and
    level_probabilities (of the levels 0..4 in a fresh probe; null where not stated), hits (per template), draws (per
    template), template_scores (the estimated hit rate of each template), p0 (mean closed form).
    """
    rows = rows.sort("fact", "template")
    templates = int(rows["template"].max()) + 1  # type: ignore[arg-type]
    shape = (len(facts), templates)
    hits = rows["hits"].to_numpy().astype(np.float64).reshape(shape)
    draws = rows["draws"].to_numpy().astype(np.float64).reshape(shape)
    p0 = np.zeros(shape) if is_plain(method) else rows["p0"].to_numpy().astype(np.float64).reshape(shape)
    rest = np.divide(hits, draws, out=np.zeros(shape), where=draws > 0)
    by_template = p0 + (1 - p0) * rest if method == "hybrid" else p0 if method == "closed-form" else rest
    score = by_template.mean(axis=1)
    total = templates * samples
    level = level_of(score, total)

    distribution = _distribution(method, p0, hits, draws, samples, score)
    chances = [None] * len(level) if distribution is None else distribution[np.arange(len(level)), level].tolist()
    low, high = _interval(method, p0, hits, draws, score)
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
            "hits": hits.astype(np.int64).tolist(),
            "draws": draws.astype(np.int64).tolist(),
            "template_scores": by_template.tolist(),
            "p0": [None] * len(facts) if is_plain(method) else p0.mean(axis=1),
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


def _interval(method: Method, p0: Floats, hits: Floats, draws: Floats, score: Floats) -> tuple[Floats, Floats]:
    """95 % interval of R; the closed form knows only that R is not lower."""
    if method == "closed-form":
        return score, np.ones_like(score)
    fixed, weight, residual_hits, residual_draws = _residual(method, p0, hits, draws)
    low, high = score_interval(residual_hits, residual_draws)
    return fixed + weight * low, np.minimum(1.0, fixed + weight * high)


def is_plain(method: Method) -> bool:
    """Whether a method draws from all that the model may say, not beside the answers at once."""
    return method in ("sampled", "adaptive")


def unstated(levels: pl.DataFrame, method: Method) -> str:
    """Why `score_facts` stated no agreement in this table, in words; empty where it did."""
    if method == "closed-form":
        return (
            "the closed form draws nothing, so it cannot know how many answers come late (--method auto measures that "
            "on the first facts)"
        )
    if is_plain(method):
        return ""
    most = int(levels["draws"].list.max().max())  # type: ignore[arg-type]
    return why_unstated(levels["p0"].to_numpy(), levels["score"].to_numpy(), most)


def _distribution(
    method: Method, p0: Floats, hits: Floats, draws: Floats, samples: int, score: Floats
) -> Floats | None:
    """Probability of each level in a fresh probe [facts, 5]; None where the method cannot say it."""
    if method == "closed-form" or (method == "hybrid" and why_unstated(p0.mean(axis=1), score, int(draws.max()))):
        return None
    return level_distribution(p0, hits, draws, samples)


def _residual(method: Method, p0: Floats, hits: Floats, draws: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """R as fixed + weight * rate, with the effective hits and draws behind the rate. Shapes [facts].

    For hybrid the templates' residual rates r_i have weights w_i = 1 - p0_i: rate = sum w_i r_i / sum w_i, and its
    effective number of draws is (sum w_i)^2 / sum(w_i^2 / d_i), the one with the same variance at equal rates.
    """
    if is_plain(method):
        zeros = np.zeros(len(hits))
        return zeros, zeros + 1, hits.sum(axis=1), draws.sum(axis=1)
    weights = np.where(draws > 0, 1 - p0, 0.0)
    total = weights.sum(axis=1)
    rest = np.divide(hits, draws, out=np.zeros_like(hits), where=draws > 0)
    noise = np.divide(weights**2, draws, out=np.zeros_like(hits), where=draws > 0).sum(axis=1)
    rate = np.divide((weights * rest).sum(axis=1), total, out=np.zeros(len(hits)), where=total > 0)
    effective = np.divide(total**2, noise, out=np.zeros(len(hits)), where=noise > 0)
    return p0.mean(axis=1), weights.mean(axis=1), rate * effective, effective
