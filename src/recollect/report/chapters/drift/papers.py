"""What study C found about drift and restoration (docs/studies.md §4, §5), and whether this run agrees.

"Cannot tell" means not measured, or intervals that overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

from recollect.report.chapters.drift.chart_ladder import score
from recollect.report.chapters.drift.groups import DriftGroup, drift_groups
from recollect.report.chapters.drift.record import Ladder
from recollect.report.chapters.papers import Agreement, C, Claim
from recollect.report.results.common import CHOICES
from recollect.report.results.groups import Estimate
from recollect.report.results.results import Results
from recollect.restore import Rung

SHARES = {1.0: 0.7059, 3.0: 0.7882, 5.0: 0.8235, 10.0: 0.8706, 20.0: 0.9176, 40.0: 0.9647, 60.0: 0.9912}
"""Share of the summed relative change by top percent: LLaMA-3-8B, 240 examples of level 0."""
MODULES = {
    "mlp.down": 0.289,
    "mlp.up": 0.283,
    "mlp.gate": 0.234,
    "attn.o": 0.094,
    "attn.q": 0.064,
    "attn.v": 0.026,
    "attn.k": 0.011,
}
"""Where the restored weights sit."""
LADDER: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    0: ((44.96, 52.43, 58.80, 57.70, 55.22), (49.40, 52.38, 54.04, 53.79, 51.70)),
    1: ((46.73, 53.72, 59.85, 58.68, 55.88), (50.78, 54.20, 55.17, 54.75, 52.62)),
    5: ((49.85, 55.96, 61.10, 59.65, 57.34), (52.54, 55.12, 56.34, 55.84, 53.77)),
    10: ((52.10, 57.14, 61.67, 60.02, 58.24), (53.42, 55.08, 56.68, 55.54, 54.32)),
    20: ((54.81, 58.33, 62.21, 58.93, 58.66), (54.50, 53.91, 57.10, 52.23, 53.82)),
    40: ((55.44, 22.06, 59.97, 6.92, 56.50), (53.64, 20.51, 53.84, 9.67, 50.17)),
    60: ((1.48, 1.12, 1.62, 0.51, 0.60), (0.30, 0.10, 0.27, 0.07, 0.18)),
}
"""Macro accuracy in- and out-of-domain by percent restored, trained on level 0 to 4: LLaMA-3-8B, 1,920 examples."""


def drift_claims(results: Results) -> list[Claim]:
    """The findings in the order of the chapter."""
    if results.drift is None:
        return []
    found, ladders = drift_groups(results.drift.cells), results.drift.ladders
    return [
        _turn(found),
        _low_levels(found),
        _against_recall(results),
        _top(results),
        _gain(ladders),
        _collapse(ladders),
    ]


def _turn(found: Sequence[DriftGroup]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "The KL falls until about 240 examples and then rises.", agreement, here)

    curves = [[g.kl_paper for g in found if g.levels == choice and g.kl_paper] for choice in CHOICES]
    curves = [curve for curve in curves if len(curve) >= 3]
    if not curves:
        return claim("cannot tell", "This needs a training choice measured at three sizes or more.")
    lowest = [min(range(len(curve)), key=lambda i: curve[i].value) for curve in curves]
    pairs = list(zip(curves, lowest, strict=True))
    turned = sum(0 < at < len(curve) - 1 for curve, at in pairs)
    clear = sum(curve[0].gains(curve[at]) and curve[-1].gains(curve[at]) for curve, at in pairs)
    onward = sum(
        at in (0, len(curve) - 1) and (curve[0].gains(curve[-1]) or curve[-1].gains(curve[0])) for curve, at in pairs
    )
    here = (
        f"{turned} of {len(curves)} training choices have their lowest KL at a middle size, {clear} of them clearly; "
        f"{onward} clearly only fall or only rise."
    )
    if 2 * clear > len(curves):
        return claim("agrees", here)
    return claim("differs" if 2 * onward > len(curves) else "cannot tell", here)


def _low_levels(found: Sequence[DriftGroup]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "Little-known examples (level 0) move the model further than level 4.", agreement, here)

    pairs = [
        (size, kl["0"], kl["4"])
        for size in sorted({group.size for group in found})
        if {"0", "4"} <= set(kl := {g.levels: g.kl_paper for g in found if g.size == size and g.kl_paper})
    ]
    if not pairs:
        return claim("cannot tell", "This needs models trained on level 0 and on level 4 at one size.")
    size, low, high = pairs[-1]
    here = f"At {size:,} examples the KL is {low.value:.2f} after level 0 and {high.value:.2f} after level 4."
    if low.gains(high):
        return claim("agrees", here)
    once = low.minus(high) is None
    why = "Each was trained once, so the spread between trainings is unknown." if once else "The interval holds zero."
    return claim("differs", here) if high.gains(low) else claim("cannot tell", f"{here} {why}")


def _against_recall(results: Results) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "The higher the KL, the fewer well-known facts (level 4) are answered.", agreement, here)

    scored = {(c.levels, c.size, c.seed): c.test.by_level.get("4") for c in results.cells}
    pairs = [
        (cell.kl_paper, right.accuracy)
        for cell in (results.drift.cells if results.drift else [])
        if cell.kl_paper is not None
        and (right := scored.get((cell.levels, cell.size, cell.seed))) is not None
        and right.accuracy is not None
    ]
    if len(pairs) < 6 or len({kl for kl, _ in pairs}) < 2 or len({right for _, right in pairs}) < 2:
        return claim("cannot tell", "This needs six tuned models or more, with different values.")
    from scipy import stats

    found = stats.spearmanr(*zip(*pairs, strict=True))
    here = f"Rank correlation over {len(pairs)} tuned models: {found.statistic:+.2f} (p = {found.pvalue:.2g})."
    if found.pvalue >= 0.05:
        return claim("cannot tell", here)
    return claim("agrees" if found.statistic < 0 else "differs", here)


def _top(results: Results) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "The most changed 20 % of the weights hold over 90 % of the relative change.", agreement, here)

    shares = [s for c in (results.drift.cells if results.drift else []) if (s := c.share_top.get("20")) is not None]
    if not shares:
        return claim("cannot tell", "The share of the top 20 % was not measured.")
    here = (
        f"They hold {100 * min(shares):.1f} to {100 * max(shares):.1f} % in {len(shares)} tuned "
        f"{'model' if len(shares) == 1 else 'models'}. Dividing by the old value favours weights near zero, so much of "
        "this is arithmetic."
    )
    over = sum(share > 0.9 for share in shares)
    return claim("agrees" if 2 * over > len(shares) else "differs", here)


def _gain(ladders: Sequence[Ladder]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "Setting up to about 20 % of the weights back makes a tuned model better.", agreement, here)

    judged = [ladder.best for ladder in ladders if ladder.best]
    if not judged:
        return claim("cannot tell", "No ladder had facts enough to choose on one half and judge on the other.")
    within = [best for best in judged if best.beats_tuned and best.percent <= 25]
    worse = sum(_clearly_worse(ladder) for ladder in ladders)
    here = (
        f"{sum(best.beats_tuned for best in judged)} of {len(judged)} tuned models gain beyond noise, {len(within)} of "
        f"them at 25 % or less; {worse} are clearly worse at the rung near 20 %."
    )
    if 2 * len(within) > len(judged):
        return claim("agrees", here)
    return claim("differs" if 2 * worse > len(judged) else "cannot tell", here)


def _clearly_worse(ladder: Ladder) -> bool:
    rungs = [rung for rung in main_rungs(ladder) if 10 <= rung.percent <= 25]
    tuned = next((_estimate(rung, ladder) for rung in ladder.rungs if rung.order == "tuned"), None)
    near = _estimate(min(rungs, key=lambda rung: abs(rung.percent - 20)), ladder) if rungs else None
    return bool(tuned and near and tuned.above(near))


def _collapse(ladders: Sequence[Ladder]) -> Claim:
    def claim(agreement: Agreement, here: str) -> Claim:
        return Claim(C, "With 60 % set back the model collapses: it answers next to nothing.", agreement, here)

    pairs = []
    for ladder in ladders:
        tuned = next((_estimate(rung, ladder) for rung in ladder.rungs if rung.order == "tuned"), None)
        rung = next((rung for rung in main_rungs(ladder) if 55 <= rung.percent <= 65), None)
        value = _estimate(rung, ladder) if rung else None
        if tuned and value:
            pairs.append((tuned, value))
    if not pairs:
        return claim("cannot tell", "No ladder has a rung near 60 % (55 to 65) beside the tuned model.")
    fallen = sum(value.high < tuned.low / 2 for tuned, value in pairs)
    stand = sum(value.low > tuned.high / 2 for tuned, value in pairs)
    changes = "; ".join(f"{tuned.value:.1f} → {value.value:.1f} %" for tuned, value in pairs[:4])
    here = (
        f"Tuned to 60 % set back: {changes}. {fallen} of {len(pairs)} clearly fall to less than half, {stand} clearly "
        "keep more."
    )
    if 2 * fallen > len(pairs):
        return claim("agrees", here)
    return claim("differs" if 2 * stand > len(pairs) else "cannot tell", here)


def main_rungs(ladder: Ladder) -> list[Rung]:
    """The rungs of the main order, by rising percent."""
    main = ladder.best.order if ladder.best else "relative"
    return sorted((rung for rung in ladder.rungs if rung.order == main), key=lambda rung: rung.percent)


def _estimate(rung: Rung, ladder: Ladder) -> Estimate | None:
    found = score(rung, ladder.mean, "test")
    return Estimate(*found, found[0], found[0]) if found else None
