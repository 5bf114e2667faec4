"""What the tests of the command line share: a small world, the command, a finished probe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers_world import PROBE, World


@pytest.fixture(scope="module")
def probed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished probe of the world by `recollect probe`."""
    from recollect.probe import ProbeSettings, run_probe

    settings = ProbeSettings.make(model=str(world.model), facts=str(world.facts), batch_size=8, **PROBE)
    return run_probe(settings, world.fact_set, tmp_path_factory.mktemp("probed") / "probe").path


def broken_model(world: World, folder: Path, how: str) -> Path:
    """A copy of the model with one thing wrong."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(world.model, folder)
    weights = folder / "model.safetensors"
    if how == "pickled":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    elif how == "own code":
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["auto_map"] = {"AutoModelForCausalLM": "modeling_mine.Mine"}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "modeling_mine.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    else:
        values = load_file(weights)
        values["lm_head.weight"][3, 4] = float("nan")
        save_file(values, weights, metadata={"format": "pt"})
    return folder


FILES = {
    "empty.csv": b"",
    "latin.csv": "question,answer\nWo?,K\xf6ln\n".encode("latin-1"),
    "column.csv": b"question,text\nWho?,Ada\n",
    "answer.csv": b"question,answer\nWho?,\n",
    "junk.parquet": b"this is no parquet",
    "list.jsonl": b"[1]\n",
    "unknown.yaml": b"sise: 5\n",
    "bad.yaml": b"size: [5\n",
    "nothing.yaml": b"- 1\n",
    "slot.yaml": b"P17: [no slot here, '[X] is in']\n",
    "results.json": b'{"schema_version": 2}',
}


@pytest.fixture(scope="module")
def bad_place(world: World, probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of unusable file in it."""
    from recollect.select import SelectSettings, run_select

    folder = tmp_path_factory.mktemp("bad")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "few.csv").write_text("question,answer\nWho?,Ada\nWhere?,Rome\n", encoding="utf-8")
    (folder / "folder").mkdir()
    for name, how in (("pickled", "pickled"), ("own-code", "own code"), ("nan", "nan")):
        broken_model(world, folder / name, how)
    run_select(SelectSettings.make(level="random", size=4), world.fact_set, out=folder / "selection")
    return folder
