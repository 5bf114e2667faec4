"""A tiny random model and facts whose memory levels spread: their answers are letters it says by chance.

Also `Command`, which calls the command line in this process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers_tiny import RELATIONS, tiny_model
from recollect.cli.main import main
from recollect.facts import Fact, FactSet

LETTERS = ("e", "er", "i", "Zq", "1", "a", "n")
PROBE = {"templates": 3, "samples": 4, "max_new_tokens": 8}
EVALUATE = {"max_new_tokens": 4, "least_per_level": 1}  # levels of the small world have a handful of facts
TRAIN = {"learning_rate": 1e-3, "batch_size": 4}


@dataclass(frozen=True)
class World:
    """Where the model and the facts lie."""

    model: Path
    facts: Path
    fact_set: FactSet


def make_world(folder: Path) -> World:
    """Write model and facts: 40 train and 20 test facts of two relations, 8 out-of-domain ones."""
    facts = []
    for relation in RELATIONS[:2]:
        for number in range(30):
            answer, split = LETTERS[number % len(LETTERS)], "train" if number < 20 else "test"
            question = f"What is {relation} of thing {number}?"
            facts.append(Fact(relation, f"thing {number}", answer, question, split=split))
    for number in range(8):
        answer, question = LETTERS[number % len(LETTERS)], f"Who wrote book {number}?"
        facts.append(Fact("P50", f"book {number}", answer, question, domain="out-of-domain", split="test"))
    fact_set = FactSet(tuple(facts), "small")
    path = folder / "facts.parquet"
    fact_set.table().write_parquet(path)
    return World(tiny_model(folder / "model"), path, fact_set)


def flags(values: dict[str, Any]) -> list[str]:
    """Settings as they stand on a command line."""
    return [part for name, value in values.items() for part in ("--" + name.replace("_", "-"), str(value))]


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of stdout, which must be the only line."""
        assert self.code == 0, self.err
        lines = self.out.splitlines()
        assert len(lines) == 1, f"stdout must hold the answer alone, but holds {self.out}"
        found = json.loads(lines[0])
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Command:
    """`recollect ARGUMENTS` in this process; an exception that the command line lets through fails the test."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Answer:
        self.capsys.readouterr()
        self.monkeypatch.setattr("sys.argv", ["recollect", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = self.capsys.readouterr()
        code = stop.value.code
        assert code is None or isinstance(code, int), code
        return Answer(code or 0, out, err)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def tables(folder: Path) -> dict[str, bytes]:
    """The Parquet tables directly in a folder."""
    return {file.name: file.read_bytes() for file in folder.glob("*.parquet")}


def probe_flags(world: World) -> list[str]:
    """The flags of a small probe of the world."""
    return ["--model", str(world.model), "--facts", str(world.facts), *flags({**PROBE, "batch_size": 8})]
