"""Chapter: the memory levels of the facts, per part and per relation, and how much the wording matters."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from recollect.core.estimates import proportion
from recollect.core.numbers import number
from recollect.facts import Part
from recollect.report.chapters.knows.charts import (
    PART_NAMES,
    RelationRow,
    levels_chart,
    part_counts,
    relation_rows,
    relations_chart,
    wording_chart,
)
from recollect.report.chapters.knows.record import HiddenFacts, Known, Probe, collect
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results
from recollect.report.page.text import duration, ends


@dataclass(frozen=True)
class KnowsView:
    """Charts and tables of the probe."""

    probe: Probe | None
    hidden: HiddenFacts | None
    borderline: dict[Part, int]
    part_names: dict[Part, str]
    parts: dict[Part, list[int]]
    levels_svg: Markup | None
    relations: list[RelationRow]
    relations_svg: Markup | None
    wording_svg: Markup | None


def context(results: Results) -> KnowsView | None:
    """Shown for every study with a probe."""
    known = results.of(Known)
    if known is None or not (known.probe or known.levels):
        return None
    parts, relations = part_counts(known), relation_rows(known)
    return KnowsView(
        probe=known.probe,
        hidden=known.hidden,
        borderline=known.borderline,
        part_names=PART_NAMES,
        parts=parts,
        levels_svg=levels_chart(parts) if parts else None,
        relations=relations,
        relations_svg=relations_chart(relations),
        wording_svg=wording_chart(relations),
    )


def in_short(results: Results) -> InShort:
    """How many of the in-domain test facts the base knows at all."""
    known = results.of(Known)
    counts = part_counts(known).get("test") if known else None
    if not counts:
        return InShort()
    n = sum(counts)
    share = proportion(n - counts[0], n)
    card = Card(
        "In-domain test facts the base knows at all (level 1 or higher)",
        number(100 * share.value),
        "%",
        ends(share),
        f"{n - counts[0]:,} of {n:,} facts; {counts[4]:,} nearly always",
    )
    return InShort(cards=[card])


def terms(results: Results) -> list[tuple[str, str]]:
    """Memory score, level, right answer."""
    known = results.of(Known)
    probe = known.probe if known else None
    found = [] if probe is None else [("Memory score R", _score(probe))]
    version = f" (matcher version {probe.matcher_version})" if probe else ""
    return [
        *found,
        (
            "Memory level",
            f"0: {_never(probe)}. Levels 1 to 4: R above that up to ¼, ½, ¾, 1. Levels belong to one model; another "
            "model has others.",
        ),
        (
            "Right answer",
            f"The answer or an accepted synonym occurs in the text, letter for letter{version}. “Whole words” is "
            "stricter: no letter may touch the match, so “Paris” is not found in “Parisian”.",
        ),
    ]


def _never(probe: Probe | None) -> str:
    if probe is None or probe.method in ("sampled", "adaptive"):
        return "R = 0"
    return f"R under half of one in {probe.templates * probe.samples}, as good as never right"


def _score(probe: Probe) -> str:
    counts = {"sampled": f" × {probe.samples} samples", "adaptive": f" × up to {probe.samples} samples"}
    draws = counts.get(probe.method, "")
    time = "" if probe.seconds is None else f", {duration(probe.seconds)}"
    note = "".join(f" {text[:400]}" for text in (probe.choice_note, probe.agreement_note) if text)
    return (
        f"Share of right completions of a fact by the untouched base: {probe.templates} mapping templates{draws} at "
        f"temperature {probe.temperature}, at most {probe.max_new_tokens} new tokens (method {probe.method[:200]}"
        f"{time}).{note}"
    )


CHAPTER = Chapter(
    __name__,
    "What the base knows",
    context,
    in_short,
    terms=terms,
    record=Known,
    collect=collect,
    flat=("probe", "levels", "levels_by_relation", "template_rates", "borderline"),
)
