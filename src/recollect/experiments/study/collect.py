"""From the steps of a study to the one object that the report shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from recollect._version import __version__
from recollect.core.settings import Settings
from recollect.core.workspace import Step, read_manifest
from recollect.evaluate import Accuracy, EvaluateFound, EvaluateResult
from recollect.experiments.study.cells import StudyParts, TrainedCell
from recollect.experiments.study.collect_drift import collect_drift
from recollect.experiments.study.judge import judge
from recollect.experiments.study.settings import StudySettings
from recollect.facts import FactSet, read_relations
from recollect.match import MATCHER_VERSION
from recollect.models import LoadedModel
from recollect.probe import ProbeResult, read_examples
from recollect.report import Best, Results
from recollect.train import PRESETS

_EXAMPLES_PER_KIND = 4
_PARTS = ("train", "test", "ood")


def collect(
    settings: StudySettings,
    parts: StudyParts,
    facts: FactSet,
    loaded: LoadedModel,
    probe: ProbeResult,
    base: EvaluateResult,
    cells: list[TrainedCell],
    notes: list[str],
    step: Step,
) -> Results:
    """Read every step's tables and put the report's numbers together."""
    rows = []
    for cell in cells:
        accuracy = cell.evaluation.found.accuracy
        rows.append(
            {
                "levels": cell.levels,
                "size": cell.size,
                "seed": cell.seed,
                "test": _scores(accuracy.get("test")),
                "ood": _scores(accuracy.get("ood")),
                "train_seconds": cell.train_seconds,
            }
        )
    folders = [
        probe.path,
        base.path,
        *(path for cell in cells for path in (cell.train, cell.evaluation.path)),
        *(found.path for cell in cells for found in (cell.drift, cell.ladder) if found is not None),
    ]
    answers = [(cell.levels, cell.size, cell.evaluation.outputs()) for cell in cells]
    best = judge(base.outputs(), answers, seed=settings.seed, least=parts.evaluate.least_per_level)
    manifests = [(folder, read_manifest(folder)) for folder in folders]
    return Results.make(
        title=settings.title,
        created=manifests[-1][1]["finished"],
        version=__version__,
        model={
            "name": settings.model,
            "fingerprint": loaded.fingerprint,
            "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
        },
        facts={"name": facts.name, "fingerprint": facts.fingerprint(), **facts.counts()},
        probe={
            "method": parts.probe.method,
            "templates": parts.probe.templates,
            "samples": parts.probe.samples,
            "temperature": parts.probe.temperature,
            "max_new_tokens": parts.probe.max_new_tokens,
            "seconds": probe.found.seconds,
            "matcher_version": MATCHER_VERSION,
            "agreement_note": _agreement(probe, parts),
        },
        levels=[
            {"part": part, "level": level, "n": probe.found.levels_by_part[part][level]}
            for part in _PARTS
            for level in range(5)
        ],
        levels_by_relation=_by_relation(probe.levels, facts, parts),
        template_rates=_template_rates(probe),
        borderline=_borderline(probe),
        base={part: _scores(base.found.accuracy.get(part)) for part in ("test", "ood")},
        cells=rows,
        best=best,
        drift=collect_drift(cells, parts),
        examples=_examples(base, cells, best),
        mapping_examples=_mapping_examples(probe),
        settings=_settings(settings, parts),
        steps=[
            {
                "step": manifest["step"],
                "path": folder.relative_to(step.folder).as_posix(),
                "fingerprint": manifest["fingerprint"],
                "seconds": manifest["metrics"].get("seconds"),
            }
            for folder, manifest in manifests
        ],
        machine=loaded.machine.line(),
        notes=list(dict.fromkeys([*notes, *_missing(base.found), *probe.found.notes, *base.found.notes])),
    )


def _scores(one: Accuracy | None) -> dict[str, Any] | None:
    if one is None:
        return None
    macro, micro = one.macro.percent if one.macro else (None,) * 3, one.micro.percent
    levels = {
        level: {**dict(zip(("accuracy", "low", "high"), found.percent, strict=True)), "n": found.n}
        for level, found in one.by_level.items()
    }
    return {
        **dict(zip(("macro", "macro_low", "macro_high"), macro, strict=True)),
        **dict(zip(("micro", "micro_low", "micro_high"), micro, strict=True)),
        "by_level": levels,
        "n": one.n,
        "without_level": one.without_level,
        "left_out": one.left_out,
        "word_macro": None if one.word_macro is None else 100 * one.word_macro,
    }


def _borderline(probe: ProbeResult) -> dict[str, int]:
    if probe.found.borderline is None:
        return {}
    return {part: int(probe.levels.filter(part=part)["borderline"].sum()) for part in _PARTS}


def _agreement(probe: ProbeResult, parts: StudyParts) -> str:
    agreement = probe.found.expected_repeat_agreement
    if agreement is None:
        return (
            "How far a fresh probe would agree on the levels is not stated: late answers are not measured well enough."
        )
    percent = 100 * float(agreement)
    draws = parts.probe.templates * parts.probe.samples
    return (
        f"A fresh probe of {probe.found.facts:,} facts by {draws} draws each is expected to give "
        f"{percent:.0f} % of them the same level; {probe.found.borderline:,} facts are borderline."
    )


def _by_relation(levels: pl.DataFrame, facts: FactSet, parts: StudyParts) -> list[dict[str, Any]]:
    relations = read_relations(Path(parts.probe.template_file) if parts.probe.template_file else None)
    domain_of = {fact.relation: fact.domain for fact in facts}
    rows = []
    for relation in facts.relations:
        for part in _PARTS:
            chosen = levels.filter((pl.col("relation") == relation) & (pl.col("part") == part))
            if chosen.height:
                rows.append(
                    {
                        "relation": relation,
                        "name": relations[relation].name if relation in relations else relation,
                        "domain": domain_of[relation],
                        "part": part,
                        "counts": [int((chosen["level"] == level).sum()) for level in range(5)],
                        "mean_score": float(chosen["score"].mean()),  # type: ignore[arg-type]
                    }
                )
    return rows


def _template_rates(probe: ProbeResult) -> list[dict[str, Any]]:
    table = pl.read_parquet(probe.path / "templates.parquet", glob=False)
    return [
        {
            "relation": row["relation"],
            "template_index": row["template"],
            "rate": min(1.0, max(0.0, row["rate"])),
        }
        for row in table.iter_rows(named=True)
    ]


def _examples(base: EvaluateResult, cells: list[TrainedCell], best: Best | None) -> list[dict[str, Any]]:
    """Facts on which the best training changed the answer and on which it did not, some of each kind."""
    if not cells:
        return []
    cell = next((one for one in cells if best and (one.levels, one.size) == (best.levels, best.size)), cells[-1])
    name = f"{cell.size} facts, {'level ' + cell.levels if cell.levels.isdigit() else cell.levels}, seed {cell.seed}"
    before, after = base.outputs(), cell.evaluation.outputs()
    both = before.join(
        after.select("fact_id", "output", "contains"), on="fact_id", suffix="_tuned", maintain_order="left"
    )
    found: list[dict[str, Any]] = []
    kinds = {
        "woken": ~pl.col("contains") & pl.col("contains_tuned"),
        "lost": pl.col("contains") & ~pl.col("contains_tuned"),
        "still wrong": ~pl.col("contains") & ~pl.col("contains_tuned"),
        "still right": pl.col("contains") & pl.col("contains_tuned"),
    }
    for kind, rule in kinds.items():
        chosen = both.filter(rule & pl.col("level").is_not_null())
        for row in _spread(chosen, _EXAMPLES_PER_KIND).iter_rows(named=True):
            found.append(
                {
                    "question": row["question"],
                    "object": row["object"],
                    "accepted": [row["object"], *row["synonyms"]],
                    "level": row["level"],
                    "part": row["part"],
                    "base_answer": row["output"],
                    "tuned_answer": row["output_tuned"],
                    "tuned_by": name,
                    "base_right": row["contains"],
                    "tuned_right": row["contains_tuned"],
                    "kind": kind,
                }
            )
    return found


def _spread(table: pl.DataFrame, count: int) -> pl.DataFrame:
    """`count` rows evenly spaced in the order of level, so that the examples are not all of one kind."""
    table = table.sort("level", "fact_id")
    if table.height <= count:
        return table
    return table[[round(at * (table.height - 1) / (count - 1)) for at in range(count)]]


def _mapping_examples(probe: ProbeResult) -> list[dict[str, Any]]:
    """One test fact per level with one draw after some of its mapping templates: what the probe sees."""
    table = read_examples(probe.path)
    if table is None:
        return []
    found = []
    for draws in table.filter(pl.col("part") != "train").partition_by("level", maintain_order=True):
        first = draws.row(0, named=True)
        shown = draws.filter(fact_id=first["fact_id"])
        found.append(
            {
                "question": first["question"],
                "object": first["object"],
                "level": first["level"],
                "part": first["part"],
                "score": min(1.0, max(0.0, first["score"])),
                "completions": [
                    {"template": row["prompt"], "text": row["text"], "hit": row["hit"]}
                    for row in shown.iter_rows(named=True)
                ],
            }
        )
    return found


def _settings(settings: StudySettings, parts: StudyParts) -> list[dict[str, Any]]:
    sections: list[tuple[str, Settings, set[str]]] = [
        ("study", settings, set(settings.model_fields_set)),
        ("probe", parts.probe, set(settings.probe)),
        ("train", parts.train, set(settings.train)),
        ("evaluate", parts.evaluate, set(settings.evaluate)),
        *([("drift", parts.drift, set(settings.drift))] if settings.measure_drift else []),
        *([("ladder", parts.ladder, set(settings.ladder))] if settings.repair else []),
    ]
    preset, filled = f"preset {parts.train.preset}", PRESETS.get(parts.train.preset or "", {})
    found = []
    for name, values, given in sections:
        sections_of_study = {"probe", "train", "evaluate", "drift", "ladder"}
        skipped = sections_of_study if name == "study" else {"model", "facts", "levels"}
        for field, value in values.model_dump(mode="json").items():
            if field not in skipped:
                origin = "study" if field in given else preset if name == "train" and field in filled else "default"
                found.append({"step": name, "name": field, "value": value, "origin": origin})
    return found


def _missing(base: EvaluateFound) -> list[str]:
    notes = []
    for where, part in (("in-domain", base.accuracy.get("test")), ("out-of-domain", base.accuracy.get("ood"))):
        if part is None:
            continue
        if part.missing:
            named = ", ".join(part.missing)
            notes.append(f"No {where} test fact has level {named}; the macro score is the mean of the others.")
        if part.left_out:
            notes.append(
                f"Level {', '.join(part.left_out)} has too few {where} test facts to enter the macro score (evaluate's "
                "least_per_level)."
            )
        if part.without_level:
            notes.append(
                f"{part.without_level:,} of {part.n:,} {where} test facts have no level: they count in micro only."
            )
    return notes
