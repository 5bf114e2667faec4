"""From the rows of all jobs to one row per fact: score, interval, level."""

from __future__ import annotations

import numpy as np
import polars as pl

from recollect.facts import FactSet
from recollect.probe._levels import (
    BORDERLINE,
    Floats,
    fit_prior,
    level_of,
    repeat_probability,
    score_interval,
)
from recollect.probe._settings import Method


def score_facts(rows: pl.DataFrame, facts: FactSet, method: Method, samples: int) -> pl.DataFrame:
    """Grade every fact from its jobs' rows (columns fact, template, p0, draws, hits; any order).

    Columns: fact_id, relation, subject, object, part, score (R), low and high (95 % interval of R; equal to R for
    closed-form, which has no sampling error), level, level_probability, borderline, hits (per template), draws (per
    template), template_scores (the estimated hit rate of each template), p0 (mean closed form).
    """
    rows = rows.sort("fact", "template")
    templates = int(rows["template"].max()) + 1  # type: ignore[arg-type]
    shape = (len(facts), templates)
    hits = rows["hits"].to_numpy().astype(np.float64).reshape(shape)
    draws = rows["draws"].to_numpy().astype(np.float64).reshape(shape)
    p0 = np.zeros(shape) if method == "sampled" else rows["p0"].to_numpy().astype(np.float64).reshape(shape)
    rest = np.divide(hits, draws, out=np.zeros(shape), where=draws > 0)
    by_template = p0 + (1 - p0) * rest if method == "hybrid" else p0 if method == "closed-form" else rest
    score = by_template.mean(axis=1)
    total = templates * samples
    level = level_of(score, total)

    fixed, weight, residual_hits, residual_draws = _residual(method, p0, hits, draws)
    a, b = fit_prior(residual_hits, residual_draws) if method != "closed-form" else (0.5, 0.5)
    if method == "closed-form":
        low = high = score
        probability = repeat_probability(level, np.ones_like(score), np.ones_like(score), total, score, score * 0)
    else:
        rate_low, rate_high = score_interval(residual_hits, residual_draws)
        low, high = fixed + weight * rate_low, np.minimum(1.0, fixed + weight * rate_high)
        probability = repeat_probability(
            level, residual_hits + a, residual_draws - residual_hits + b, total, fixed, weight
        )
    everything = facts.facts
    return pl.DataFrame(
        {
            "fact_id": [fact.id for fact in everything],
            "relation": [fact.relation for fact in everything],
            "subject": [fact.subject for fact in everything],
            "object": [fact.object for fact in everything],
            "part": [fact.part for fact in everything],
            "score": score,
            "low": low,
            "high": high,
            "level": level,
            "level_probability": probability,
            "borderline": probability < BORDERLINE,
            "hits": hits.astype(np.int64).tolist(),
            "draws": draws.astype(np.int64).tolist(),
            "template_scores": by_template.tolist(),
            "p0": p0.mean(axis=1) if method != "sampled" else [None] * len(facts),
        },
        schema_overrides={"p0": pl.Float64, "hits": pl.List(pl.Int64), "draws": pl.List(pl.Int64)},
    )


def _residual(method: Method, p0: Floats, hits: Floats, draws: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """R as fixed + weight * rate, with the effective hits and draws behind the rate. Shapes [facts].

    For hybrid the templates' residual rates r_i have weights w_i = 1 - p0_i: rate = sum w_i r_i / sum w_i, and its
    effective number of draws is (sum w_i)^2 / sum(w_i^2 / d_i), the one with the same variance at equal rates.
    """
    if method == "sampled":
        zeros = np.zeros(len(hits))
        return zeros, zeros + 1, hits.sum(axis=1), draws.sum(axis=1)
    weights = np.where(draws > 0, 1 - p0, 0.0)
    total = weights.sum(axis=1)
    rest = np.divide(hits, draws, out=np.zeros_like(hits), where=draws > 0)
    noise = np.divide(weights**2, draws, out=np.zeros_like(hits), where=draws > 0).sum(axis=1)
    rate = np.divide((weights * rest).sum(axis=1), total, out=np.zeros(len(hits)), where=total > 0)
    effective = np.divide(total**2, noise, out=np.zeros(len(hits)), where=noise > 0)
    return p0.mean(axis=1), weights.mean(axis=1), rate * effective, effective
