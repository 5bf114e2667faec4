"""Chapter: the search for settings, judged early."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from recollect.core.numbers import number, signed
from recollect.report.chapters.search.charts import (
    STYLES,
    early_final_chart,
    importance_chart,
    learning_chart,
    map_axes,
    map_chart,
    states,
)
from recollect.report.chapters.search.older import older
from recollect.report.chapters.search.record import Finalist, Search, SearchTrial, collect
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.page.svg import COLOURS
from recollect.report.page.text import ends
from recollect.report.scores.papers import published

MOST_TRIALS = 200
STATE_TEXTS = {
    "finished": "trained to the end",
    "paused": "judged early and left there; it can still be taken up",
    "degenerate": "broken: its loss ran away, or its answers are no answers",
    "failed": "raised an error or did not fit into memory",
    "running": "not ended when the report was written",
}
WHY_TEXTS = {
    "baseline": "baseline",
    "forecast": "good forecast",
    "random": "drawn at random, to measure the correlation",
    "asked": "asked for",
}


@dataclass(frozen=True)
class SearchView:
    """Charts and tables; each of them may be missing."""

    s: Search
    settings_names: list[str]
    trials: list[SearchTrial]
    left_out: int
    states: list[tuple[str, str, str]]
    """Those that occur: name, colour, meaning."""
    why: dict[str, str]
    map_names: tuple[str, str] | None
    broken: int
    paper: str
    learning_svg: Markup
    early_svg: Markup | None
    map_svg: Markup | None
    importance_svg: Markup | None


def context(results: Results) -> SearchView | None:
    """Shown for a search."""
    search = results.of(Search)
    if search is None:
        return None
    variables = {value: name for name, value in COLOURS.items()}
    return SearchView(
        s=search,
        settings_names=list(dict.fromkeys(name for trial in search.trials for name in trial.settings)),
        trials=sorted(search.trials, key=lambda trial: trial.number)[:MOST_TRIALS],
        left_out=max(0, len(search.trials) - MOST_TRIALS),
        states=[(state, variables[STYLES[state]["color"]], STATE_TEXTS[state]) for state in states(search)],
        why=WHY_TEXTS,
        map_names=map_axes(search),
        broken=Counter(trial.state for trial in search.trials)["degenerate"],
        paper=published().papers.attribute_extraction.name,
        learning_svg=learning_chart(search),
        early_svg=early_final_chart(search),
        map_svg=map_chart(search),
        importance_svg=importance_chart(search),
    )


def in_short(results: Results) -> InShort:
    """What the search brought: numbers with their intervals, and what these leave out. One training per setting gives
    no verdict."""
    search = results.of(Search)
    return InShort() if search is None else InShort(cards=cards(search), sentences=sentences(search))


def _finalist(search: Search, number: int | None) -> Finalist | None:
    return next((one for one in search.finalists if one.trial == number), None)


def cards(search: Search) -> list[Card]:
    """The gain over the baseline, the cost, and how far the early judgement told."""
    found = []
    best = _finalist(search, search.best)
    if best is not None and best.test is not None:
        note = f"unseen questions, 95 % interval over these; trial {best.trial}, the best on validation"
        what = "Settings that won on validation, on the test" if _below(search, best) else "Best settings on the test"
        found.append(Card(what, f"{100 * best.test.value:.1f}", "%", ends(best.test), note))
        if best.gain is not None and best.trial != search.baseline:
            note = "on the same unseen questions, 95 % interval over these; one training each"
            value = signed(100 * best.gain.value)
            found.append(Card("Gain over the baseline's settings", value, "points", ends(best.gain), note))
    if search.cost_fraction is not None:
        note = f"{search.promoted} of {len(search.trials)} trials were trained beyond the first judgement"
        found.append(Card("Training done, of all to the end", f"{100 * search.cost_fraction:.0f}", "%", "", note))
    if search.correlation is not None and search.early_trials:
        early = f"{100 * search.rungs[0]:g} %"
        note = f"Pearson's, of {search.pairs} finished trials; the 95 % interval is for all {search.early_trials}"
        what = f"Correlation of the score at {early} with the final one"
        found.append(Card(what, number(search.correlation.value, 2), "", ends(search.correlation, 2, 1), note))
    return found


def _below(search: Search, best: Finalist) -> str:
    """What the chosen settings are below on the unseen questions, so that they cannot be called the best."""
    test, base = best.test, search.base_test
    below_base = test is not None and base is not None and 100 * test.value < base
    below_baseline = best.gain is not None and best.gain.value < 0 and best.trial != search.baseline
    names = [*(["the untouched base"] if below_base else []), *(["the baseline"] if below_baseline else [])]
    return " and ".join(names)


def sentences(search: Search) -> list[str]:
    """What the search brought: numbers with their intervals, and what these leave out. One training per setting gives
    no verdict."""
    best = _finalist(search, search.best)
    if best is None:
        return ["No trial was finished, so there are no best settings."]
    found = []
    if (below := _below(search, best)) != "":
        found.append(
            f"The settings that won on validation, trial {best.trial}'s, are below {below} on the unseen test."
        )
    if search.base_validation is not None and search.base_validation >= best.validation:
        found.append(
            f"No training did better than the untouched base on validation: it has {search.base_validation:.1f}, the "
            f"best of {len(search.trials)} trials {best.validation:.1f}."
        )
    gain = best.gain
    if best.trial == search.baseline:
        found.append(f"No settings did better than the baseline's in {len(search.trials)} trials.")
    elif gain is not None:
        points = f"{signed(100 * gain.value)} points (95 % interval over the questions {ends(gain)})"
        found.append(
            f"The settings that are best on validation, trial {best.trial}'s, have {points} against the baseline's on "
            "questions the search never saw. Both were trained once: how far another training seed differs is not in "
            "it."
        )
    if (level := _level_without_random(search, best.trial)) is not None:
        found.append(
            f"No trial drew its examples at random, so whether level {level} beats a random draw was not measured."
        )
    return found


def _level_without_random(search: Search, best: int) -> str | None:
    """The best trial's choice of examples where choices were compared, but none of them with a random draw."""
    levels = {str(trial.settings["level"]) for trial in search.trials if "level" in trial.settings}
    chosen = next(trial.settings.get("level") for trial in search.trials if trial.number == best)
    return None if chosen is None or len(levels) < 2 or "random" in levels else str(chosen)


CHAPTER = Chapter(
    __name__,
    "Which settings",
    context,
    in_short,
    record=Search,
    collect=collect,
    older=older,
)
