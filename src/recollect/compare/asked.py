"""The answers that are compared: of finished evaluations, on the questions that all of them were asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recollect.compare.settings import Kind
from recollect.core.workspace import Manifest, step_input
from recollect.errors import InputError
from recollect.evaluate import EvaluateFound, EvaluateResult
from recollect.match import DEFAULT_JUDGE

_ASKED_BY = ("prompt", "prompt_template", "max_new_tokens", "shots")
"""Settings of an evaluation that decide how a question is put."""
_QUESTION = ("fact_id", "part", "relation", "level", "question", "object", "synonyms")


@dataclass(frozen=True)
class Answers:
    """A model's answers, as one evaluation holds them."""

    name: str
    kind: Kind
    model: str
    path: Path
    manifest: Manifest
    outputs: pl.DataFrame
    """Its `outputs.parquet`, with the verdict as the column `right`."""


def read_answers(path: Path, name: str, kind: Kind = "other", judge: str | None = None) -> Answers:
    """The answers of a finished evaluate step. InputError for anything else, and for one about pages.

    judge: the column with the verdict; None for the one the evaluation was judged by.
    """
    manifest = step_input(path, "evaluate")
    found = EvaluateFound.read(path)
    if found.pages is not None:
        raise InputError(
            f"{path} is an evaluation of pages, which are scored by attribute. `recollect report` puts several of them "
            "side by side."
        )
    outputs = EvaluateResult(path).outputs()
    column = judge or judge_of(manifest)
    if column not in outputs.columns:
        raise InputError(f"{path} holds no verdicts by the judge {column!r}.")
    outputs = outputs.select(*_QUESTION, "output", pl.col(column).alias("right"))
    return Answers(name, kind, found.sources.get("model", ""), path, manifest, outputs)


def judge_of(manifest: Manifest) -> str:
    """The judge whose verdict an evaluation goes by."""
    return str(manifest.settings.get("judge") or DEFAULT_JUDGE).split(",")[0]


def _version(manifest: Manifest) -> str | None:
    """Of the judge, where it is not one of the usual two, whose version is that of the matchers."""
    versions: dict[str, str] = manifest.inputs.get("judges") or {}
    return versions.get(judge_of(manifest))


def same_questions(found: Sequence[Answers]) -> tuple[list[Answers], list[str]]:
    """The answers to the questions that all were asked, in the first one's order; and notes on what that leaves out.

    Raises InputError where there is none, or where they were judged in different ways.
    """
    first = found[0]
    for other in found[1:]:
        ways = [
            (judge_of(one.manifest), one.manifest.inputs.get("matcher"), _version(one.manifest))
            for one in (first, other)
        ]
        if ways[0] != ways[1]:
            raise InputError(
                f"{first.path} and {other.path} were judged in different ways ({ways[0]} and {ways[1]}), so their "
                "verdicts cannot be compared. Evaluate both by the same judge and version."
            )
    keys = ["fact_id", "question", "object"]
    asked = first.outputs.select(keys)
    for other in found[1:]:
        asked = asked.join(other.outputs.select(keys), on=keys, how="semi", maintain_order="left")
    if not asked.height:
        raise InputError(
            f"{first.path} and {found[1].path} have no question in common. Evaluate both on the same facts, with the "
            "same limit and seed."
        )
    kept = [
        Answers(
            one.name, one.kind, one.model, one.path, one.manifest,
            asked.join(one.outputs, on=keys, how="left", maintain_order="left").select(one.outputs.columns),
        )
        for one in found
    ]  # fmt: skip
    return kept, [*_left_out(found, asked.height), *_asked_otherwise(found)]


def _left_out(found: Sequence[Answers], n: int) -> list[str]:
    over = [f"{one.name} {one.outputs.height - n:,} more" for one in found if one.outputs.height > n]
    return [f"compared on the {n:,} questions that all were asked; left out: {', '.join(over)}"] if over else []


def _asked_otherwise(found: Sequence[Answers]) -> list[str]:
    """In what other models were asked otherwise than the first: a flip may then be the prompt's."""
    notes = []
    first = found[0].manifest.settings
    for one in found[1:]:
        names = [name for name in _ASKED_BY if first.get(name) != one.manifest.settings.get(name)]
        names = [name for name in names if not (one.kind == "few-shot" and name == "shots")]
        if names:
            what = ", ".join(f"{name} {one.manifest.settings.get(name)!r} for {first.get(name)!r}" for name in names)
            notes.append(f"{one.name} was asked otherwise than {found[0].name}: {what}")
    return notes


def short_names(places: Sequence[str]) -> list[str]:
    """What tables call models or folders: the last part of each place, or the whole where two share it; never twice."""
    short = [Path(place).name or place for place in places]
    short = [place if name == "model" else name for place, name in zip(places, short, strict=True)]
    counts = Counter(short)
    names = [name if counts[name] == 1 else place for name, place in zip(short, places, strict=True)]
    return [name if name not in names[:at] else f"{name} ({at + 1})" for at, name in enumerate(names)]
