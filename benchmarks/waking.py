"""How many examples wake the pocket, and how much does the learning rate decide? Mean over seeds, one table.

    python benchmarks/waking.py [--seeds 3]

Trains the pocket on mixed and random selections of rising size at two learning rates, and prints macro accuracy in- and
out-of-domain with level-4 accuracy, mean (lowest to highest seed).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import load_facts
from recollect.models import ModelSettings, load
from recollect.probe import ProbeSettings, run_probe
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

CHOICES = (
    ("mixed", 15),
    ("mixed", 60),
    ("mixed", 240),
    ("mixed", 480),
    ("random", 60),
    ("random", 240),
    ("random", 960),
)


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    facts, base = load_facts("pocket"), load(ModelSettings())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        probe = run_probe(ProbeSettings.make(residual_samples=1), facts, folder / "probe", loaded=base)
        for rate in (5e-4, 1.5e-3):
            for choice, size in CHOICES:
                scores = []
                for seed in range(given.seeds):
                    here = folder / f"{rate}-{choice}-{size}-{seed}"
                    chosen = run_select(
                        SelectSettings.make(level=choice, size=size, seed=seed),
                        facts,
                        probe.levels,
                        out=here / "select",
                    )
                    trained = run_train(
                        TrainSettings.make(preset="pocket", learning_rate=rate, seed=seed),
                        chosen.path,
                        out=here / "train",
                        base=base,
                    )
                    tuned = load(ModelSettings.make(model=str(trained.path)))
                    found = run_evaluate(EvaluateSettings(), facts, probe.levels, out=here / "evaluate", loaded=tuned)
                    accuracy = found.found.accuracy
                    means = (accuracy["test"].macro, accuracy["ood"].macro, accuracy["test"].by_level["4"])
                    scores.append(tuple(100 * one.value for one in means if one))
                cells = [
                    f"{sum(column) / len(column):5.1f} ({min(column):.1f}–{max(column):.1f})"
                    for column in zip(*scores, strict=True)
                ]
                print(
                    f"lr {rate:g}  {choice:6} {size:4}  macro {cells[0]}  ood {cells[1]}  level 4 {cells[2]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
