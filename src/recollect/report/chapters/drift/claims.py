"""What Token and Parameter Levels found about drift and restoration (docs/studies.md §4, §5), beside this run.

"Cannot tell" means not measured, or intervals that overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recollect.core.estimates import Estimate
from recollect.core.numbers import signed
from recollect.report.chapters.drift.groups import DriftGroup, drift_groups
from recollect.report.chapters.drift.record import Drift, Ladder
from recollect.report.page.results import Results
from recollect.report.scores.papers import NO_MIDDLE, ONCE, Agreement, Claim, by_majority, claim, middle_of, published
from recollect.report.scores.record import CHOICES, Trained


def drift_claims(results: Results) -> list[Claim]:
    """The findings in the order of the chapter."""
    drift = results.of(Drift)
    if drift is None:
        return []
    found, ladders = drift_groups(drift.cells), drift.ladders
    return [
        _turn(found),
        _low_levels(found),
        _against_recall(drift, results.of(Trained)),
        _top(drift),
        _gain(ladders),
        _collapse(ladders),
    ]


def _claim(finding: str, tested: int | None = None, places: tuple[int, ...] = ()) -> Callable[[Agreement, str], Claim]:
    return claim(published().papers.token_and_parameter_levels.source, finding, tested, places)


def _turn(found: Sequence[DriftGroup]) -> Claim:
    tell = _claim("The KL falls until about 240 examples and then rises.", 8, (0, 1))
    curves = [{g.size: g.kl_paper for g in found if g.levels == choice and g.kl_paper} for choice in CHOICES]
    middle = middle_of({size for curve in curves for size in curve})
    if middle is None:
        return tell("cannot tell", NO_MIDDLE)
    curves = [curve for curve in curves if middle in curve and min(curve) < middle < max(curve)]
    if not curves:
        return tell("cannot tell", f"No training choice was measured at {middle:,}, at fewer and at more.")
    clear = onward = 0
    for curve in curves:
        first, lowest, last = curve[min(curve)], curve[middle], curve[max(curve)]
        clear += first.gains(lowest) and last.gains(lowest)
        onward += lowest.gains(first) or lowest.gains(last)
    here = (
        f"For {clear} of {len(curves)} training choices it clearly falls up to {middle:,} examples and clearly rises "
        f"after them; {onward} clearly do the opposite on one side."
    )
    return tell(by_majority(clear, onward, len(curves)), here)


def _low_levels(found: Sequence[DriftGroup]) -> Claim:
    tell = _claim("Little-known examples (level 0) move the model further than level 4.")
    pairs = [
        (size, kl["0"], kl["4"])
        for size in sorted({group.size for group in found})
        if {"0", "4"} <= set(kl := {g.levels: g.kl_paper for g in found if g.size == size and g.kl_paper})
    ]
    if not pairs:
        return tell("cannot tell", "This needs models trained on level 0 and on level 4 at one size.")
    size, low, high = pairs[-1]
    here = f"At {size:,} examples the KL is {low.value:.2f} after level 0 and {high.value:.2f} after level 4."
    if low.gains(high):
        return tell("agrees", here)
    once = low.minus(high) is None
    why = ONCE if once else "The interval holds zero."
    return tell("differs", here) if high.gains(low) else tell("cannot tell", f"{here} {why}")


def _against_recall(drift: Drift, trained: Trained | None) -> Claim:
    tell = _claim("The higher the KL, the fewer well-known facts (level 4) are answered.", 8, (2,))
    scored = {(c.levels, c.size, c.seed): c.test.level(4) for c in (trained.cells if trained else [])}
    pairs = [
        (cell.kl_paper.value, right.value)
        for cell in drift.cells
        if cell.kl_paper is not None and (right := scored.get((cell.levels, cell.size, cell.seed))) is not None
    ]
    if len(pairs) < 6 or len({kl for kl, _ in pairs}) < 2 or len({right for _, right in pairs}) < 2:
        return tell("cannot tell", "This needs six tuned models or more, with different values.")
    from scipy import stats

    found = stats.spearmanr(*zip(*pairs, strict=True))
    here = f"Rank correlation over {len(pairs)} tuned models: {signed(found.statistic, 2)} (p = {found.pvalue:.2g})."
    if found.pvalue >= 0.05:
        return tell("cannot tell", here)
    return tell("agrees" if found.statistic < 0 else "differs", here)


def _top(drift: Drift) -> Claim:
    tell = _claim("The most changed 20 % of the weights hold over 90 % of the relative change.", 9, (0,))
    shares = [s for c in drift.cells if (s := c.share_top.get("20")) is not None]
    if not shares:
        return tell("cannot tell", "The share of the top 20 % was not measured.")
    low, high = f"{100 * min(shares):.1f}", f"{100 * max(shares):.1f}"
    here = (
        f"They hold {low if low == high else f'{low} to {high}'} % in {len(shares)} tuned "
        f"{'model' if len(shares) == 1 else 'models'}. Dividing by the old value favours weights near zero, so much of "
        "this is arithmetic."
    )
    over = sum(share > 0.9 for share in shares)
    return tell("agrees" if 2 * over > len(shares) else "differs", here)


def _gain(ladders: Sequence[Ladder]) -> Claim:
    tell = _claim("Setting up to about 20 % of the weights back makes a tuned model better.", 9, (1,))
    judged = [ladder.best for ladder in ladders if ladder.best]
    if not judged:
        return tell("cannot tell", "No ladder had facts enough to choose on one half and judge on the other.")
    within = [best for best in judged if best.beats_tuned and best.percent <= 25]
    worse = sum(_clearly_worse(ladder) for ladder in ladders)
    here = (
        f"{sum(best.beats_tuned for best in judged)} of {len(judged)} tuned models gain beyond noise, {len(within)} of "
        f"them at 25 % or less; {worse} are clearly worse at the rung near 20 %."
    )
    return tell(by_majority(len(within), worse, len(judged)), here)


def _clearly_worse(ladder: Ladder) -> bool:
    rungs = [rung for rung in ladder.main_rungs if 10 <= rung.percent <= 25]
    near = ladder.score(min(rungs, key=lambda rung: abs(rung.percent - 20))) if rungs else None
    tuned = _tuned(ladder)
    return bool(tuned and near and tuned.low > near.high)


def _tuned(ladder: Ladder) -> Estimate | None:
    rung = ladder.end("tuned")
    return ladder.score(rung)


def _collapse(ladders: Sequence[Ladder]) -> Claim:
    tell = _claim("With 60 % set back the model collapses: it answers next to nothing.", 9, (3,))
    pairs = []
    for ladder in ladders:
        tuned = _tuned(ladder)
        rung = next((rung for rung in ladder.main_rungs if 55 <= rung.percent <= 65), None)
        value = ladder.score(rung)
        if tuned and value:
            pairs.append((tuned, value))
    if not pairs:
        return tell("cannot tell", "No ladder has a rung near 60 % (55 to 65) beside the tuned model.")
    fallen = sum(value.high < tuned.low / 2 for tuned, value in pairs)
    stand = sum(value.low > tuned.high / 2 for tuned, value in pairs)
    changes = "; ".join(f"{100 * tuned.value:.1f} → {100 * value.value:.1f} %" for tuned, value in pairs[:4])
    here = (
        f"Tuned to 60 % set back: {changes}. {fallen} of {len(pairs)} clearly fall to less than half, {stand} clearly "
        "keep more."
    )
    return tell(by_majority(fallen, stand, len(pairs)), here)
