"""Probes of facts on an enumerable model, a few draws each: what the tests of adaptive and auto share."""

from __future__ import annotations

from pathlib import Path

from enumerable import Small
from recollect.facts import Fact, FactSet
from recollect.probe import ProbeSettings, run_probe

TEMPLATES = ["c [X]", "[X] d", "d c [X] b", "[X]"]
TABLES = ("levels.parquet", "templates.parquet", "completions.parquet", "examples.parquet")


def facts(answers: str = "abcd") -> FactSet:
    """Each subject with each answer."""
    subjects = ["a", "b", "c", "d d", "a b", "b c a", "c c", "d a", "a d c b a"]
    return FactSet(tuple(Fact("R", x, y, f"what of {x}") for x in subjects for y in answers))


def run(small: Small, frames: str, out: Path, given: FactSet | None, **values: object) -> Path:
    """The folder of a probe of the facts."""
    how = {"samples": 10, "templates": 4, "max_new_tokens": 3, "batch_size": 16, **values}
    settings = ProbeSettings.make(model=str(small.loaded.folder), template_file=frames, parts="train", **how)
    return run_probe(settings, facts() if given is None else given, out, loaded=small.loaded).path
