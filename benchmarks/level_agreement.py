"""How far do two ways of grading the same facts agree? Sampled with sampled is the ceiling.

    python benchmarks/level_agreement.py [--facts 300] [--seeds 3]

Prints the share of facts given the same level (exact interval, n), how far the scores are apart, and the time
of each method, all in one run on one machine.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from recollect.core.estimates import proportion
from recollect.facts import load_facts
from recollect.models import ModelSettings, load
from recollect.probe import ProbeSettings, run_probe

METHODS = {
    "sampled": {"method": "sampled"},
    "hybrid": {"method": "hybrid"},
    "hybrid, 1 draw": {"method": "hybrid", "residual_samples": 1},
    "closed-form": {"method": "closed-form"},
}


def main() -> None:
    """Probe, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    facts = load_facts("pocket" if given.model == "pocket" else given.model)
    loaded = load(ModelSettings.make(model=given.model))
    print(loaded.machine.line())
    runs: dict[str, list[pl.DataFrame]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, own in METHODS.items():
            for seed in range(1 if name == "closed-form" else given.seeds):
                settings = ProbeSettings.make(
                    model=given.model, limit=given.facts, seed=seed, parts="train,test", **own
                )
                result = run_probe(settings, facts, Path(folder) / f"{name}-{seed}", loaded=loaded)
                runs.setdefault(name, []).append(result.levels)
                found = result.found
                print(
                    f"{name:20} seed {seed}: {found.seconds:7.1f} s  levels {found.levels}  "
                    f"expected agreement of a fresh probe {found.expected_repeat_agreement or 'not stated'}"
                )
    print()
    pairs = {
        "sampled – sampled": list(itertools.combinations(runs["sampled"], 2)),
        "hybrid – sampled": list(itertools.product(runs["hybrid"], runs["sampled"])),
        "hybrid, 1 draw – sampled": list(itertools.product(runs["hybrid, 1 draw"], runs["sampled"])),
        "hybrid – hybrid": list(itertools.combinations(runs["hybrid"], 2)),
        "closed-form – sampled": list(itertools.product(runs["closed-form"], runs["sampled"])),
    }
    for name, compared in pairs.items():
        same = sum(int((one["level"] == two["level"]).sum()) for one, two in compared)
        total = sum(len(one) for one, _ in compared)
        if not total:
            continue
        facts_compared = total // len(compared)
        _, low, high = proportion(round(same / len(compared)), facts_compared).percent
        spread = np.concatenate([(one["score"] - two["score"]).to_numpy() for one, two in compared])
        print(
            f"{name:25} same level {100 * same / total:5.1f} % ({low:.1f}–{high:.1f}, n = {facts_compared} "
            f"facts x {len(compared)} pairs)  R differs by {np.sqrt((spread**2).mean()):.4f} (root mean square), "
            f"{spread.mean():+.4f} (mean)"
        )


if __name__ == "__main__":
    main()
