"""The answers that are compared: of finished evaluations, on the questions that all of them were asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recollect.compare.settings import Kind
from recollect.core.workspace import Manifest, step_input
from recollect.errors import InputError
from recollect.evaluate import EvaluateFound, EvaluateResult, units_of
from recollect.evaluate.judges import RIGHT

_QUESTION = ("fact_id", "part", "relation", "level", "question", "object", "synonyms")


@dataclass(frozen=True)
class Answers:
    """A model's answers, as one evaluation holds them."""

    name: str
    kind: Kind
    model: str
    path: Path
    manifest: Manifest
    found: EvaluateFound
    outputs: pl.DataFrame
    """The questions, the outputs, the main judge's verdict as the column `right`, and what a question was drawn with as
    the column `unit`."""

    @property
    def judged(self) -> tuple[str, object, object]:
        """The judge, the version of the matchers, and the judge's own where it is none of them."""
        versions = self.manifest.inputs.get("judges") or {}
        return self.found.judge, self.manifest.inputs.get("matcher"), versions.get(self.found.judge)

    @property
    def asked(self) -> dict[str, object]:
        """How a question was put."""
        settings, found = self.manifest.settings, self.found
        template = settings.get("prompt_template") if found.prompt == "plain" else None
        longest = found.max_new_tokens or settings.get("max_new_tokens")
        shots = settings.get("shots", 0)
        return {"prompt": found.prompt, "prompt_template": template, "max_new_tokens": longest, "shots": shots}


def read_answers(path: Path, name: str, kind: Kind = "other") -> Answers:
    """The answers of a finished evaluate step, by its main judge. InputError for anything else, and for pages."""
    manifest = step_input(path, "evaluate")
    found = EvaluateFound.read(path)
    if found.pages is not None:
        raise InputError(
            f"{path} is an evaluation of pages, which are scored by attribute. `recollect report` puts several of them "
            "side by side."
        )
    whole = EvaluateResult(path).outputs()
    outputs = whole.select(*_QUESTION, "output", RIGHT, units_of(whole))
    return Answers(name, kind, found.sources.get("model", ""), path, manifest, found, outputs)


def same_questions(found: Sequence[Answers]) -> tuple[list[Answers], list[str]]:
    """The answers to the questions that all were asked, in the first one's order; and notes on what that leaves out.

    Raises InputError where there is none, or where they were judged in different ways.
    """
    first = found[0]
    for other in found[1:]:
        if first.judged != other.judged:
            raise InputError(
                f"{first.path} and {other.path} were judged in different ways ({first.judged} and {other.judged}), so "
                "their verdicts cannot be compared. Evaluate both by the same judge and version."
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
        replace(
            one, outputs=asked.join(one.outputs, on=keys, how="left", maintain_order="left").select(one.outputs.columns)
        )
        for one in found
    ]
    return kept, [*_left_out(found, asked.height), *_asked_otherwise(found)]


def _left_out(found: Sequence[Answers], n: int) -> list[str]:
    over = [f"{one.name} {one.outputs.height - n:,} more" for one in found if one.outputs.height > n]
    asked = "one question that all were" if n == 1 else f"{n:,} questions that all were"
    return [f"compared on the {asked} asked; left out: {', '.join(over)}"] if over else []


def _asked_otherwise(found: Sequence[Answers]) -> list[str]:
    """In what other models were asked otherwise than the first: a flip may then be the prompt's."""
    notes = []
    for one in found[1:]:
        pairs = [(name, one.asked[name], value) for name, value in found[0].asked.items() if one.asked[name] != value]
        pairs = [pair for pair in pairs if not (one.kind == "few-shot" and pair[0] == "shots")]
        if pairs:
            what = ", ".join(f"{name} {value!r} for {first!r}" for name, value, first in pairs)
            notes.append(f"{one.name} was asked otherwise than {found[0].name}: {what}")
    return notes


def short_names(places: Sequence[str]) -> list[str]:
    """What tables call models or folders: the last part of each place, or the whole where two share it; never twice."""
    short = [Path(place).name or place for place in places]
    short = [place if name == "model" else name for place, name in zip(places, short, strict=True)]
    counts = Counter(short)
    names = [name if counts[name] == 1 else place for name, place in zip(short, places, strict=True)]
    return [name if name not in names[:at] else f"{name} ({at + 1})" for at, name in enumerate(names)]
