"""A base in 4 and 8 bits beside itself in plain numbers: memory, answers, and a LoRA training on each.

    python benchmarks/quantised_bases.py --model smollm2 [--device cuda] [--facts 40]

Prints versions first. Needs the extra "quantized". Times are CPU seconds of this process, or on a GPU wall seconds.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import polars as pl


def main() -> None:
    """Measure and print one row a way of holding the base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--facts", type=int, default=40)
    parser.add_argument("--steps", type=int, default=4)
    given = parser.parse_args()
    packages = ("torch", "transformers", "peft", "bitsandbytes")
    print(" · ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        rows = []
        for quantize in ("none", "4bit", "8bit"):
            rows.append(_row(given, quantize, Path(place) / quantize))
            print({name: value for name, value in rows[-1].items() if name != "answers"}, flush=True)
    plain = rows[0].pop("answers")
    rows[0]["same answers"] = 1.0
    for row in rows[1:]:
        answers = row.pop("answers")
        row["same answers"] = sum(one == other for one, other in zip(answers, plain, strict=True)) / len(plain)
    with pl.Config(tbl_cols=-1, tbl_width_chars=160):
        print(pl.DataFrame(rows))


def _row(given: argparse.Namespace, quantize: str, place: Path) -> dict[str, Any]:
    from recollect import EvaluateSettings, SelectSettings, TrainSettings, run_evaluate, run_select, run_train
    from recollect.facts import FactSet, load_facts
    from recollect.models import ModelSettings, load

    facts = load_facts("pocket")
    few = FactSet(tuple(facts)[: given.facts], "few")
    held = {"model": given.model, "device": given.device, "quantize": quantize}
    loaded = load(ModelSettings.make(**held))
    clock = time.process_time if loaded.device == "cpu" else time.perf_counter
    began = clock()
    base = run_evaluate(
        EvaluateSettings.make(**held, max_new_tokens=8, parts="test,ood,train"), few, out=place / "base", loaded=loaded
    )
    asked = clock() - began
    memory = loaded.model.get_memory_footprint() / 1e6
    del loaded
    chosen = run_select(SelectSettings.make(size=32, level="random"), facts, out=place / "select")
    settings = TrainSettings.make(**held, method="lora", max_steps=given.steps, batch_size=8, learning_rate=1e-3)
    began = clock()
    trained = run_train(settings, chosen.path, out=place / "train").found
    took = clock() - began
    outputs = pl.read_parquet(base.path / "outputs.parquet")
    return {
        "quantize": quantize,
        "MB": round(memory),
        "asking s": round(asked, 1),
        "training s": round(took, 1),
        "first loss": round(trained.first_loss or 0, 3),
        "last loss": round(trained.last_loss or 0, 3),
        "answers": outputs["output"].to_list(),
    }


if __name__ == "__main__":
    main()
