"""The verdict in plain sentences, computed from the results alone.

What is said of the best choice comes from questions that did not choose it; a difference is called clear when its
interval, which holds the spread between trainings, excludes zero. "No clear difference" means not shown here, never
shown to be equal.
"""

from __future__ import annotations

from recollect.core.estimates import Estimate
from recollect.core.numbers import interval, number, signed
from recollect.report.page.results import Results
from recollect.report.page.text import ends
from recollect.report.scores.record import Best, Compared, Trained, examples_of

UNCLEAR = "no clear difference (the interval holds zero)"
OTHER_HALF = "; the best was chosen on the other half of the questions, where it was ahead"
ONCE = "one training each, so the spread between trainings is unknown and nothing is claimed: give --repeats 2 or more"


def verdict(results: Results) -> list[str]:
    """Sentences for a newcomer: the best choice; against random, base and next best; out-of-domain.

    Examples:
        `study` is the folder of a `run_study`.

        >>> from recollect import read_results, verdict
        >>> print(verdict(read_results(study))[0])
        No training was better than the untouched base on ...
    """
    trained = results.of(Trained)
    best = trained.best if trained else None
    if best is None:
        return ["No choice was judged on questions kept apart from choosing it, so there is no best choice to name."]
    lines = [_best(best)]
    if best.levels is None:
        return [*lines, *_against(best.rival, "the training that came next on that half, ")]
    if best.random is not None:
        lines += _against(best.random)
    elif best.levels != "random":
        lines.append("No random draw of the same size was trained, so nothing can be said about choosing at all.")
    lines += _against(best.base)
    lines += _against(best.rival, "the next best selection of that size, ", OTHER_HALF)
    lines += _out_of_domain(best)
    lines += _together(best)
    return lines


def against_base(best: Best) -> str:
    """One sentence for a table of several studies: the choice and the untouched base on the questions that judge.

    It opens with what is claimed: a clear gain or loss, or no clear difference.
    """
    found = best.base
    if best.levels is None or found is None:
        return _best(best)
    name, base = examples_of(best.levels, best.size), examples_of(None, 0)
    claim = {
        0: f"no clear difference between {name} and {base}",
        1: f"{name} beat {base}",
        -1: f"{name} did worse than {base}",
    }.get(found.sign, f"{name} and {base} cannot be told apart")  # type: ignore[arg-type]
    score = "–" if best.score is None else f"{number(100 * best.score.value)} %"
    return (
        f"{claim}: right on {score} against {number(100 * (found.score or 0.0))} % of {_kept(best)}, "
        f"{difference(found, judged=False)}. It was the best of {best.candidates - 1:,} choices on the "
        f"{best.chosen_on:,} facts that choose."
    )


def difference(found: Compared, *, judged: bool = True) -> str:
    """For example "+3.1 points (+0.4 to +5.8), a clear gain"; not `judged` without the last part."""
    points = f"{signed(100 * found.value)} points"
    if found.interval is None:
        return f"{points}; {ONCE}"
    _, low, high = found.interval.percent
    said = {0: UNCLEAR, 1: "a clear gain", -1: "a clear loss"}[found.interval.sign]
    return f"{points} ({interval(low, high, sign=True)})" + (f", {said}" if judged else "")


def percent(estimate: Estimate) -> str:
    """For example "57.5 % (55.1 to 59.9)"."""
    return f"{number(100 * estimate.value)} % ({ends(estimate)})"


def _best(best: Best) -> str:
    score = "–" if best.score is None else percent(best.score)
    kept = _kept(best)
    if best.levels is None:
        return (
            f"No training was better than the untouched base on the {best.chosen_on:,} facts that choose. The base is "
            f"right on {score} of {kept}."
        )
    name, chosen = examples_of(best.levels, best.size), f"the {best.chosen_on:,} facts that choose"
    if best.below:
        return f"{name} came first on {chosen}, but is below {best.below} on the others: right on {score} of {kept}."
    alone = ", which beats every choice by level" if best.levels == "random" and best.candidates > 2 else ""
    return (
        f"Best of {best.candidates - 1:,} choices and the untouched base: {name}{alone} on {chosen}; right on {score} "
        f"of {kept}."
    )


def _kept(best: Best) -> str:
    """The questions that judge, and how they are averaged."""
    if best.mean == "micro":
        how = "every fact counted equally, since no memory level has enough of them"
    elif len(best.macro_levels) == 5:
        how = "each memory level counted equally"
    else:
        one, count = len(best.macro_levels) == 1, best.counted
        said = "alone counts" if one else "counted equally"
        of_them = f", {count:,} of these facts" if count < best.judged_on else ""
        levels = ", ".join(map(str, best.macro_levels))
        how = f"memory level{'' if one else 's'} {levels} {said}{of_them}, the others have too few facts"
    return f"the {best.judged_on:,} in-domain test facts that did not choose ({how})"


def _against(found: Compared | None, before: str = "", after: str = "") -> list[str]:
    """`after` explains a loss."""
    if found is None:
        return []
    name = examples_of(found.levels, found.size)
    end = after if found.value < 0 else ""
    return [f"Against {before}{name}, at {100 * (found.score or 0.0):.1f} %: {difference(found)}{end}."]


def _together(best: Best) -> list[str]:
    """What the intervals of several differences count for; nothing where there are none, as with one training each."""
    if best.differences < 2:
        return []
    won = f", whichever of {best.candidates - 1:,} choices had won" if best.candidates > 2 else ""
    return [
        f"These {best.differences} differences hold together at 95 %{won}; so their intervals, and those of the scores "
        "here, are wider than in the tables."
    ]


def _out_of_domain(best: Best) -> list[str]:
    if best.ood_score is None:
        return ["Out-of-domain facts were not scored, so whether the gain carries over is open."]
    against = "" if best.ood_base is None else f"; against the base: {difference(best.ood_base)}"
    return [f"On relations it was never trained on (out-of-domain) it reaches {percent(best.ood_score)}{against}."]
