"""What a training held near its base scores and forgets, on the worlds that `recollect fit` was made on.

    python benchmarks/hold.py [--worlds 1,2,3] [--method full] [--rates 2.5e-4,5e-4] [--epochs 1] [--level random]
                              [--ways "free,anchor 0.1,text anchor 2,mlp frozen"]

Each training is of all facts of the level, with the pocket's own settings but for rate and epochs, one seed. Scored on
the validation questions of a fit of that world; forgotten is the share of those at memory level 3 or 4 (closed form, 7
templates; test and other relations) that are not answered; worth is the score less half of it, as a fit chooses.
Prints each way's mean over the worlds. A way is one of the search's `hold`, or settings of train:
`{freeze: self_attn}`.
Seconds are of the processor, per training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

import polars as pl
from fit_worlds import shipped_world

from recollect.core.settings import mapping_of, parse_yaml
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.experiments.fit import FitSettings
from recollect.experiments.fit.split import split_for_fit
from recollect.experiments.search.hold import HOLDS
from recollect.probe import ProbeSettings, run_probe
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

KNOWN = 3
"""The memory level from which a fact is known."""
WAYS: dict[str, dict[str, object]] = {
    "full": {"preset": "pocket"},
    "lora": {"method": "lora", "batch_size": 8},
}
Row = tuple[float, float, float, float]


def settings_of(way: str) -> Mapping[str, object]:
    """What a way stands for."""
    return HOLDS[way] if way in HOLDS else mapping_of(parse_yaml(way, "the way"), "the way")


def rows_of(seed: int, given: argparse.Namespace, root: Path) -> dict[tuple[float, str], Row]:
    """One world: score, forgotten, worth and seconds by rate and way."""
    facts = split_for_fit(shipped_world(seed).facts, FitSettings.make()).choosing
    probe = ProbeSettings.make(model="pocket", facts="pocket", method="closed-form", templates=7)
    levels = run_probe(probe, facts, root=root).levels
    known = levels.filter(pl.col("level") >= KNOWN)["fact_id"].to_list()
    chosen = run_select(SelectSettings.make(size="all", level=given.level), facts, levels, root=root)
    found = {}
    for rate in map(float, given.rates.split(",")):
        for way in given.ways.split(","):
            how = {**WAYS[given.method], "learning_rate": rate, "epochs": given.epochs, "prompt": "plain"}
            began = time.process_time()
            tuned = run_train(TrainSettings.make(**{**how, **settings_of(way)}, model="pocket"), chosen.path, root=root)
            seconds = time.process_time() - began
            asked = EvaluateSettings.make(model=str(tuned.path), facts="pocket", prompt="plain", parts="test,ood")
            outputs = run_evaluate(asked, facts, root=root).outputs()
            score = _percent(outputs.filter(part="test"))
            lost = 100 - _percent(outputs.filter(pl.col("fact_id").is_in(known)))
            found[rate, way] = (score, lost, score - lost / 2, seconds)
    return found


def _percent(outputs: pl.DataFrame) -> float:
    """Right answers."""
    return 100 * float(outputs["right"].sum()) / outputs.height


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default="1,2,3")
    parser.add_argument("--method", choices=list(WAYS), default="full")
    parser.add_argument("--rates", default="2.5e-4,5e-4")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--level", default="random")
    parser.add_argument("--ways", default=",".join(HOLDS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        worlds = [rows_of(int(seed), given, Path(folder)) for seed in given.worlds.split(",")]
    print("| rate | way | score, % | forgotten, % | worth | worth by world | seconds |\n|---|---|---|---|---|---|---|")
    for place in worlds[0]:
        score, lost, worth, seconds = (mean(world[place][at] for world in worlds) for at in range(4))
        each = ", ".join(f"{world[place][2]:.1f}" for world in worlds)
        print(f"| {place[0]:g} | {place[1]} | {score:.1f} | {lost:.1f} | {worth:.1f} | {each} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
