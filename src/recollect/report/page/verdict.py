"""The verdict in plain sentences, computed from the results alone.

What is said of the best choice comes from questions that did not choose it; a difference is called clear when its
interval, which holds the spread between trainings, excludes zero. "No clear difference" means not shown here, never
shown to be equal.
"""

from __future__ import annotations

from recollect.report.page.environment import signed
from recollect.report.results.best import Best, Compared
from recollect.report.results.common import Choice
from recollect.report.results.groups import Estimate, choice_name
from recollect.report.results.results import Results

UNCLEAR = "no clear difference (the interval holds zero)"
ONCE = "one training each, so the spread between trainings is unknown and nothing is claimed: give --repeats 2 or more"


def verdict(results: Results) -> list[str]:
    """Sentences for a newcomer: the best choice; against random, base and next best; out-of-domain."""
    best = results.best
    if best is None:
        return ["No choice was judged on questions kept apart from choosing it, so there is no best choice to name."]
    lines = [_best(best)]
    if best.levels is None:
        return [*lines, *_against(best.rival, "the best training by that half, ")]
    if best.random is not None:
        lines += _against(best.random)
    elif best.levels != "random":
        lines.append("No random draw of the same size was trained, so nothing can be said about choosing at all.")
    lines += _against(best.base)
    lines += _against(best.rival, "the next best selection of that size, ")
    lines += _out_of_domain(best)
    lines += _together(best)
    return lines


def named(levels: Choice | None, size: int) -> str:
    """For sentences: "60 examples of level 2", "the untouched base model"."""
    if levels is None:
        return "the untouched base model"
    return f"{size:,} {'example' if size == 1 else 'examples'} {choice_name(levels)}"


def difference(found: Compared) -> str:
    """For example "+3.1 points (+0.4 to +5.8), a clear gain"."""
    points = f"{signed(found.value)} points"
    if found.sign is None:
        return f"{points}; {ONCE}"
    points = f"{points} ({signed(found.low)} to {signed(found.high)})"
    return f"{points}, {UNCLEAR if not found.sign else 'a clear gain' if found.sign > 0 else 'a clear loss'}"


def percent(estimate: Estimate) -> str:
    """For example "57.5 % (55.1 to 59.9)"."""
    return f"{estimate.value:.1f} % ({estimate.low:.1f} to {estimate.high:.1f})"


def _best(best: Best) -> str:
    score = f"{best.score:.1f} % ({best.low:.1f} to {best.high:.1f})"
    if best.mean == "micro":
        how = "every fact counted equally, since no memory level has enough of them"
    elif len(best.macro_levels) == 5:
        how = "each memory level counted equally"
    else:
        how = f"memory levels {', '.join(map(str, best.macro_levels))} counted equally, the others have too few facts"
    kept = f"the {best.judged_on:,} in-domain test facts that did not choose ({how})"
    if best.levels is None:
        return (
            f"No training was better than the untouched base on the {best.chosen_on:,} facts that choose. The base is "
            f"right on {score} of {kept}."
        )
    alone = ", which beats every choice by level" if best.levels == "random" and best.candidates > 2 else ""
    return (
        f"Best of {best.candidates - 1:,} choices and the untouched base: {named(best.levels, best.size)}{alone} on "
        f"the {best.chosen_on:,} facts that choose; right on {score} of {kept}."
    )


def _against(found: Compared | None, before: str = "") -> list[str]:
    if found is None:
        return []
    name = named(found.levels, found.size)
    return [f"Against {before}{name}, at {found.score:.1f} %: {difference(found)}."]


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
    score = f"{best.ood_score:.1f} % ({best.ood_low:.1f} to {best.ood_high:.1f})"
    against = "" if best.ood_base is None else f": {difference(best.ood_base)} against the base"
    return [f"On relations it was never trained on (out-of-domain) it reaches {score}{against}."]
