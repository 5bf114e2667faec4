"""A small search on the tiny model, and what two searches are compared by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from helpers_world import EVALUATE, World
from recollect.experiments.search import SearchResult

SPACE = {"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "batch_size": [4, 8]}
TABLES = ("trials.parquet", "rungs.parquet", "losses.parquet", "test.parquet")


def values(world: World, known: Path, **changed: Any) -> dict[str, Any]:
    """Six trials on twenty examples."""
    return {
        "model": str(world.model),
        "facts": str(world.facts),
        "levels": str(known),
        "space": SPACE,
        "trials": 6,
        "sampler": "random",
        "select": {"size": 20, "level": "random"},
        "train": {"epochs": 2},
        "evaluate": EVALUATE,
        **changed,
    }


def rungs_on_disk(folder: Path) -> dict[str, bytes]:
    """Every finished rung's file, which holds the seconds it took."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.glob("trials/*/rung-*.json")}


def same_tables(one: SearchResult, other: SearchResult) -> None:
    """Equal bytes; of the ledger the values, for it also tells times."""
    for name in TABLES:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert ledger(one.path) == ledger(other.path)


def ledger(folder: Path) -> list[Any]:
    """What the study says of every trial, without times."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "ledger.journal"))
    study = optuna.load_study(study_name="recollect", storage=optuna.storages.JournalStorage(backend))
    found = []
    for trial in study.trials:
        attributes = {name: value for name, value in trial.user_attrs.items() if name != "seconds"}
        attributes["record"] = {name: value for name, value in attributes["record"].items() if name != "seconds"}
        found.append((trial.number, trial.state, trial.params, trial.value, trial.intermediate_values, attributes))
    return found


class Stop(Exception):
    """Stands for a kill inside the process."""
