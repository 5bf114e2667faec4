"""Record of the chapter on what the base knows: how it was probed, and the memory levels of the facts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

import polars as pl
from pydantic import Field, model_validator

from recollect.core.workspace import MANIFEST, read_manifest
from recollect.facts import Domain, Part, read_relations
from recollect.hidden import HiddenFound
from recollect.probe import ProbeFound
from recollect.report.page.chapter import Source
from recollect.report.page.record import Count, Fraction, Level, Rate, Record, Share

PARTS: tuple[Part, ...] = ("train", "test", "ood")


class Probe(Record):
    """How the memory scores were measured."""

    method: str
    templates: Count
    samples: Count
    temperature: float
    max_new_tokens: Count
    seconds: float | None = None
    matcher_version: str
    agreement_note: str | None = None
    """Text on how far two ways of measuring agree, if that was checked."""
    choice_note: str | None = None
    """Which way was taken and why, where the probe chose it."""


class LevelCount(Record):
    """How many facts of a part have a memory level."""

    part: Part
    level: Level
    n: Count


class RelationLevels(Record):
    """The memory levels of one relation's facts in one part."""

    relation: str
    name: str
    domain: Domain
    part: Part
    counts: Annotated[list[Count], Field(min_length=5, max_length=5)]
    """Facts of level 0, 1, 2, 3, 4."""
    mean_score: Share = None
    """Mean memory score R, 0 to 1."""


class TemplateRate(Record):
    """Share of right completions (0 to 1) that one mapping template of a relation gets."""

    relation: str
    template_index: Count
    rate: Rate


class HiddenFacts(Record):
    """The facts of level 0, split by where the base ranks the right answer."""

    hidden: Count
    absent: Count
    undecided: Count
    fdr: Rate
    """The share of those called hidden that may be so by chance."""
    share: Fraction | None = None
    """The share that is hidden, without calling any."""


class Known(Record):
    """What the base knows, by part, relation and template."""

    probe: Probe | None = None
    levels: list[LevelCount] = Field(default_factory=list)
    levels_by_relation: list[RelationLevels] = Field(default_factory=list)
    template_rates: list[TemplateRate] = Field(default_factory=list)
    borderline: dict[Part, Count] = Field(default_factory=dict)
    """Facts per part whose score lies so near to an edge that another probe could give the next level."""
    hidden: HiddenFacts | None = None
    """Of level 0, where that was measured."""

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        twice = [key for key, n in Counter((row.part, row.level) for row in self.levels).items() if n > 1]
        if twice:
            part, level = min(twice)
            raise ValueError(f"every level count (part, level) may occur once, but ({part}, {level}) occurs twice")
        return self


def collect(source: Source) -> Known | None:
    """Of a study's probe; None of anything else."""
    probe = source.path / "steps" / "probe"
    if source.step != "study" or not (probe / MANIFEST).is_file():
        return None
    manifest, found = read_manifest(probe), ProbeFound.read(probe)
    settings = manifest.settings
    levels = pl.read_parquet(probe / "levels.parquet", glob=False)
    return Known(
        probe=Probe(
            method=found.method,
            **{name: settings[name] for name in ("templates", "samples", "temperature", "max_new_tokens")},
            seconds=found.seconds,
            matcher_version=manifest.inputs["matcher"],
            agreement_note=_agreement(found, settings["templates"] * settings["samples"]),
            choice_note=None if found.choice is None else f"Chosen on the facts themselves: {found.choice.words}.",
        ),
        levels=[
            LevelCount(part=part, level=level, n=n)
            for part in PARTS
            for level, n in enumerate(found.levels_by_part[part])
        ],
        levels_by_relation=_by_relation(levels, settings.get("template_file")),
        template_rates=[
            TemplateRate(relation=relation, template_index=template, rate=min(1.0, max(0.0, rate)))
            for relation, template, rate in pl.read_parquet(probe / "templates.parquet", glob=False)
            .select("relation", "template", "rate")
            .rows()
        ],
        borderline={}
        if found.borderline is None
        else {part: int(levels.filter(part=part)["borderline"].sum()) for part in PARTS},
        hidden=_hidden(source.path / "steps" / "hidden"),
    )


def _hidden(step: Path) -> HiddenFacts | None:
    if not (step / MANIFEST).is_file():
        return None
    found = HiddenFound.read(step)
    names = ("hidden", "absent", "undecided", "fdr", "share")
    return HiddenFacts(**{name: getattr(found, name) for name in names})


def _agreement(found: ProbeFound, draws: int) -> str:
    if found.expected_repeat_agreement is None:
        why = found.unstated or "late answers are not measured well enough"
        return f"How far a fresh probe would agree on the levels is not stated: {why}."
    return (
        f"A fresh probe of {found.facts:,} facts by {draws} draws each is expected to give "
        f"{100 * found.expected_repeat_agreement:.0f} % of them the same level; {found.borderline:,} facts are "
        "borderline."
    )


def _by_relation(levels: pl.DataFrame, template_file: str | None) -> list[RelationLevels]:
    """In the order of the facts; the names are those of the template file, where it is still there."""
    own = Path(template_file) if template_file and Path(template_file).is_file() else None
    names = read_relations(own)
    found = []
    for relation in levels["relation"].unique(maintain_order=True):
        for part in PARTS:
            chosen = levels.filter(relation=relation, part=part)
            if chosen.height:
                found.append(
                    RelationLevels(
                        relation=relation,
                        name=names[relation].name if relation in names else relation,
                        domain="out-of-domain" if part == "ood" else "in-domain",
                        part=part,
                        counts=[chosen.filter(level=level).height for level in range(5)],
                        mean_score=float(chosen["score"].mean()),  # type: ignore[arg-type]
                    )
                )
    return found
