"""Would a training that the search stops on the way have come back? The pocket at high rates, to the end.

    python benchmarks/search_runaway.py --out FOLDER

Printed for each: the first, the largest and the last losses (mean of three), and the update at which `runs_away` would
have stopped it.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import polars as pl

from recollect.errors import ModelError
from recollect.experiments.search.validation import runs_away
from recollect.facts import load_facts
from recollect.models import ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

RATES = {"full": (3e-3, 6e-3, 1e-2, 2e-2, 5e-2, 0.1), "lora": (1e-2, 3e-2, 0.1, 0.3)}
LORA = {"lora_r": 16, "lora_alpha": 64}


def main() -> None:
    """Train them all, 60 examples and four epochs each, two seeds, with warm-up and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    base = load(ModelSettings.make(model="pocket"))
    chosen = run_select(SelectSettings.make(size=60, level="random"), load_facts("pocket"), None, out=out / "selection")
    print("| method, rate, seed, warm-up | first | largest | last | stopped at |\n|---|---|---|---|---|")
    for method, seed, warmup in itertools.product(RATES, (0, 1), (0.0, 0.1)):
        for rate in RATES[method]:
            name = f"{method}-{rate:g}-{seed}-{warmup:g}"
            given = {"model": "pocket", "method": method, "learning_rate": rate, "epochs": 4, "batch_size": 8}
            given |= {"seed": seed, "warmup_ratio": warmup} | (LORA if method == "lora" else {})
            try:
                trained = run_train(TrainSettings.make(**given), chosen.path, out=out / name, base=base)
            except ModelError:
                print(f"| {name} | – | – | NaN | – |", flush=True)
                continue
            log = pl.read_parquet(trained.path / "log.parquet", columns=["step", "loss"])
            losses = list(log.iter_rows())
            at = next((str(step) for step, _ in losses if runs_away(losses[:step])), "–")
            first, most, last = losses[0][1], max(loss for _, loss in losses), sum(one for _, one in losses[-3:]) / 3
            print(f"| {name} | {first:.2f} | {most:.2f} | {last:.2f} | {at} |", flush=True)


if __name__ == "__main__":
    main()
