"""Chapter: the models of a grid beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from recollect.compare import LevelPair, LevelsFound, LevelShares
from recollect.core.estimates import Estimate
from recollect.core.numbers import NOTHING, estimate, interval, number, with_interval
from recollect.report.chapters.models.charts import (
    MOST_MODELS,
    gains_chart,
    model_colour,
    shares_chart,
    table_chart,
)
from recollect.report.chapters.models.record import Agreement, ModelsFound, OnData, Reaction, collect
from recollect.report.chapters.parts.view import METHODS
from recollect.report.page.chapter import Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.page.text import choice

_NOISE = 0.1
"""A ceiling below which it is not told as a number."""
_SEEN = 0.05
"""A part of a fact that the chart shows."""
MOST_PAIRS = 6
"""Pairs of models that the page draws; results.json has all."""


@dataclass(frozen=True)
class PairView:
    """Two models by what they know."""

    pair: LevelPair
    verdict: str
    rows: list[tuple[str, str, str]]
    """What is measured, with its interval, and what two probes of one model would show."""
    svg: Markup
    fractions: bool
    """Whether the squares hold parts of facts."""
    relations: list[tuple[str, int, str, str, str, str]]


@dataclass(frozen=True)
class ReactionView:
    """Two models by what the same data brought them."""

    reaction: Reaction
    title: str
    lines: list[str]
    svg: Markup
    rows: list[tuple[str, int, str, str]]


@dataclass(frozen=True)
class SetView:
    """All on one set of facts."""

    data: str
    levels: LevelsFound | None
    key: list[tuple[str, str]]
    """Colour and name of each model."""
    shares: list[tuple[str, list[str], str]]
    svg: Markup | None
    expected: list[str]
    """Models whose shares are expected ones."""
    pairs: list[PairView]
    pairs_left: int
    reactions: list[ReactionView]
    notes: list[str]


@dataclass(frozen=True)
class ModelsView:
    """What the chapter shows."""

    sets: list[SetView]


def context(results: Results) -> ModelsView | None:
    """Shown for a grid with two models or more on the same facts."""
    found = results.of(ModelsFound)
    return ModelsView([_set(one) for one in found.sets]) if found is not None and found.sets else None


def _set(found: OnData) -> SetView:
    levels = found.levels
    models = levels.models if levels else ()
    pairs = levels.pairs if levels else ()
    return SetView(
        data=found.data,
        levels=levels,
        key=[(model_colour(at), one.name) for at, one in enumerate(models[:MOST_MODELS])],
        shares=[_shares(one) for one in models],
        svg=shares_chart(models) if models else None,
        expected=[one.name for one in models if one.grades == "expected"],
        pairs=[_pair(one, levels) for one in pairs[:MOST_PAIRS] if levels],
        pairs_left=max(0, len(pairs) - MOST_PAIRS),
        reactions=[_reaction(one) for one in found.reactions[:MOST_PAIRS]],
        notes=found.notes,
    )


def _shares(one: LevelShares) -> tuple[str, list[str], str]:
    return one.name, [estimate(share) for share in (*one.shares, one.known)], number(one.mean_level, 2)


def _pair(pair: LevelPair, found: LevelsFound) -> PairView:
    first, second = found.shares(pair.first), found.shares(pair.second)
    again = pair.by_draws(first, second)
    rows = [
        ("Total variation, 0 to 1", _plain(pair.total_variation), again["total_variation"]),
        ("Apart, in levels (0 to 4)", _plain(pair.levels_apart), again["levels_apart"]),
        (f"Mean level of {pair.second} less {pair.first}", _plain(pair.difference, sign=True), ""),
        ("Both know, %", estimate(pair.both), ""),
        (f"{pair.first} alone, %", estimate(pair.first_alone), ""),
        (f"{pair.second} alone, %", estimate(pair.second_alone), ""),
        ("Neither, %", estimate(pair.neither), ""),
        ("Kappa, known or not", _plain(pair.kappa_known), again["kappa_known"]),
        ("Kappa, levels (weighted)", _plain(pair.kappa_levels), again["kappa_levels"]),
    ]
    relations = [
        (
            one.name,
            one.n,
            estimate(one.known_first, 0),
            estimate(one.known_second, 0),
            number(100 * one.both, 0),
            "too few facts" if one.difference is None else _plain(one.difference, sign=True),
        )
        for one in pair.relations
    ]
    fractions = any(abs(count - round(count)) >= _SEEN for row in pair.table for count in row)
    return PairView(pair, pair.verdict(first, second), rows, table_chart(pair), fractions, relations)


def _plain(found: Estimate | None, *, sign: bool = False) -> str:
    return "not defined" if found is None else with_interval(found.value, found.low, found.high, 2, sign=sign)


def _reaction(found: Reaction) -> ReactionView:
    method = f", {METHODS.get(found.method, found.method)}" if found.method else ""
    lines = [_told("Over all cells", found.over_all)]
    if found.inside is not None and (found.over_all.interval or found.inside.interval):
        lines.append(_told("Inside a size, with each size's mean taken off", found.inside))
    rows = [(choice(cell.levels), cell.size, _seeds(cell.first), _seeds(cell.second)) for cell in found.cells]
    return ReactionView(found, f"{found.first} and {found.second}{method}", lines, gains_chart(found), rows)


def _told(where: str, found: Agreement) -> str:
    rho = NOTHING if found.value is None else number(found.value, 2, sign=True)
    if found.interval is None:
        return f"{where}: cannot tell how alike they are (rank correlation {rho}, {found.cells} cells): {found.reason}."
    ends = interval(found.interval.low, found.interval.high, 2, sign=True)
    verdict = {1: "the models rank the cells alike", -1: "the models rank the cells the other way round"}
    said = verdict.get(found.interval.sign, "cannot tell whether the models rank the cells alike")
    full = ""
    if found.ceiling is not None:
        full = (
            "; the trainings' own noise is as large as the differences between cells"
            if found.ceiling < _NOISE
            else f"; under the noise of trainings full agreement would show about {number(found.ceiling, 2, sign=True)}"
        )
    return f"{where}: {said}: rank correlation {rho} ({ends}) over {found.cells} cells{full}."


def _seeds(gains: list[float]) -> str:
    mean = number(100 * sum(gains) / len(gains), sign=True)
    ends = interval(100 * min(gains), 100 * max(gains), sign=True)
    return f"{mean} ({ends})" if len(gains) > 1 else mean


def in_short(results: Results) -> InShort:
    """How far apart the first two models lie in what they know."""
    found = results.of(ModelsFound)
    levels = next((one.levels for one in found.sets if one.levels is not None), None) if found else None
    if levels is None:
        return InShort()
    pair = levels.pairs[0]
    verdict = pair.verdict(levels.shares(pair.first), levels.shares(pair.second))
    known = f"{pair.first} and {pair.second} both know {estimate(pair.both)} % of {pair.n:,} facts"
    told = "" if verdict.startswith("cannot") else f"; by their levels they lie {verdict}"
    return InShort(sentences=[f"{known}{told}."])


def terms(results: Results) -> list[tuple[str, str]]:
    """The distances and kappa."""
    if results.of(ModelsFound) is None:
        return []
    return [
        ("Known", "A fact of memory level 1 or higher: at least one of the draws was right."),
        (
            "Total variation; apart, in levels",
            "Two distances of level distributions: the share of facts that would have to change its level, and by how "
            "many levels they would move on average (earth mover's distance).",
        ),
        (
            "Kappa",
            "Cohen's: agreement beyond that of two models that know as much as these, but each its own facts. 1 is "
            "full agreement, 0 as by chance. Weighted: a disagreement counts by the levels that it spans.",
        ),
    ]


CHAPTER = Chapter(
    __name__,
    "Model against model",
    context,
    in_short,
    terms=terms,
    record=ModelsFound,
    collect=collect,
)
