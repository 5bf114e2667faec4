"""A search for settings: do early scores forecast final ones, does it gain, and which settings matter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recollect.core.estimates import (
    LEAST_FINISHED,
    LEAST_TRIALS,
    Claimed,
    EarlyCorrelation,
    Extreme,
    ForetoldBetter,
    Line,
    MeanGain,
    SharesApart,
    TopOverlap,
    told_by,
)
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.extracted import NO_SEARCH, Extracted, Tried

EARLY = (0.1, 0.3)
"""Shares of a training that stand for the paper's 20 %."""
LEAST_EACH = 4
"""Trials of either kind for a difference of their shares."""
_OF_DATA = frozenset({"size", "level", "min_level_confidence"})
RATE, ALPHA = "learning_rate", "lora_alpha"


def early_forecasts(study: Extracted) -> Sequence[Check]:
    """The score at a fifth of a training goes with the final one, and the best there are the best at the end."""
    goes = "correlation of the scores at a fifth of the training with the final ones"
    stays = "share of the best at a fifth that are among the best at the end, less what chance gives"
    search, why = study.search, NO_SEARCH
    if search is not None:
        why = _not_early(search.share)
    if search is None or why:
        return [missing(goes, "correlation", why), missing(stays, "share", why)]
    early = [one.early for one in search.trials if one.early is not None]
    pairs = [(one.early, one.final) for one in search.trials if one.early is not None and one.final is not None]
    few = "fewer than 4 trials with different scores were trained to the end: raise trials in the section search"
    if len(pairs) < LEAST_FINISHED or not Line(early, pairs).measured:
        return [missing(goes, "correlation", few), missing(stays, "share", few)]
    alone = Line(early, pairs).correlation().pearson
    rows = [] if alone is None else [(f"over the {len(pairs)} finished trials alone", alone)]
    top = TopOverlap(pairs)
    stays = f"share of the best {top.k} at a fifth that are among the best {top.k} at the end"
    return [
        Check(goes, "correlation", Claimed(EarlyCorrelation(early, pairs), "above"), rows=rows, section="search"),
        Check(
            f"{stays} (above what a blind guess has)", "share", Claimed(top, "above", top.by_chance), section="search"
        ),
    ]


def search_gains(study: Extracted) -> Sequence[Check]:
    """The best that a search finds is better than the baseline, on questions that the search never saw."""
    what = "gain of the best by validation over the baseline, on questions that the search never saw"
    if study.search is None:
        return [missing(what, "points", NO_SEARCH)]
    gains = study.search.gains
    if not gains:
        return [
            missing(
                what, "points", "the baseline did not finish, or there was none: raise trials in the section search"
            )
        ]
    rows = [(f"search {at}", one.value) for at, one in enumerate(gains, 1)] if len(gains) > 1 else []
    return [Check(what, "points", Claimed(MeanGain(gains), "above"), rows=rows, section="search")]


def region_breaks(study: Extracted) -> Sequence[Check]:
    """A high alpha together with a high rate breaks a model: more such trials are broken than others."""
    what = "share of broken trials where alpha and rate are both high less that of the others"
    if study.search is None:
        return [missing(what, "share", NO_SEARCH)]
    both = [
        (rate, alpha, one.broken)
        for one in _judged(study.search.trials)
        if isinstance(rate := one.settings.get(RATE), float) and isinstance(alpha := one.settings.get(ALPHA), float)
    ]
    rates, alphas = [rate for rate, _, _ in both], [alpha for _, alpha, _ in both]
    if len(set(rates)) < 2 or len(set(alphas)) < 2:
        why = "the search did not vary lora_alpha together with learning_rate: method lora, with both in its space"
        return [missing(what, "share", why)]
    rate_from, alpha_from = _middle(rates), _middle(alphas)
    high = [broken for rate, alpha, broken in both if rate > rate_from and alpha > alpha_from]
    rest = [broken for rate, alpha, broken in both if not (rate > rate_from and alpha > alpha_from)]
    where = f"alpha is above {alpha_from:.3g} and the rate above {rate_from:.2g}"
    what = f"share of broken trials where {where}, less that of the others"
    if min(len(high), len(rest)) < LEAST_EACH:
        why = f"fewer than {LEAST_EACH} trials had both high, or not: raise trials in the section search"
        return [missing(what, "share", why)]
    measure = SharesApart((sum(rest), len(rest)), (sum(high), len(high)))
    rows = [
        (f"both high ({len(high)} trials)", sum(high) / len(high)),
        (f"others ({len(rest)})", sum(rest) / len(rest)),
    ]
    return [Check(what, "share", Claimed(measure, "above"), rows=rows, section="search")]


def rate_decides(study: Extracted) -> Sequence[Check]:
    """The learning rate tells more of a trial's score than any other setting."""
    what = "share of the trials' differences that the learning rate foretells: smallest lead over another setting"
    if study.search is None:
        return [missing(what, "share", NO_SEARCH)]
    trials = _judged(study.search.trials)
    named = set.intersection(*(set(one.settings) for one in trials)) - _OF_DATA if trials else set()
    varied = sorted(name for name in named if len({one.settings[name] for one in trials}) > 1)
    if RATE not in varied or len(varied) < 2:
        return [
            missing(
                what, "share", "the search did not vary the learning rate and another setting: put both in its space"
            )
        ]
    if len(trials) < LEAST_TRIALS:
        why = f"fewer than {LEAST_TRIALS} trials were judged at the first rung: raise trials in the section search"
        return [missing(what, "share", why)]
    lowest = min((one.early for one in trials if one.early is not None and not one.broken), default=0.0)
    scores = [lowest - 1 if one.broken or one.early is None else one.early for one in trials]
    values = {name: [one.settings[name] for one in trials] for name in varied}
    each = [ForetoldBetter(values[RATE], values[name], scores) for name in varied if name != RATE]
    rows = [(f"{name} foretells", told_by(values[name], scores)) for name in varied]
    return [Check(what, "share", Claimed(Extreme("smallest", each), "above"), rows=rows, section="search")]


def _not_early(share: float) -> str:
    if EARLY[0] <= share <= EARLY[1]:
        return ""
    return (
        f"trials were first judged at {100 * share:.0f} % of their training: set rungs to 0.2,1 in the section search"
    )


def _judged(trials: Sequence[Tried]) -> list[Tried]:
    """Those of which something is known: a first score, or that they broke."""
    return [one for one in trials if one.broken or one.early is not None]


def _middle(values: Sequence[float]) -> float:
    """Halfway on the log scale."""
    return math.sqrt(min(values) * max(values))
