"""Does restoring the most changed weights help on the pocket, and more than the controls do?

    OMP_NUM_THREADS=1 python benchmarks/restore_pocket.py --out restore-pocket [--seeds 3]

Trains on each memory level and on a random draw at two sizes, and on one over-trained setting; climbs the ladder with
all controls on 300 test and 200 out-of-domain facts; prints tables. The study's KL is followed over more sizes. Steps
are kept in --out, so a second run only prints.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from recollect.core.estimates import Estimate
from recollect.drift.tokens import (
    Seen,
    best_templates,
    first_token_kl,
    known_best,
    mapping_readings,
    question_readings,
    see,
)
from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import LoadedModel, ModelSettings, load
from recollect.probe import ProbeSettings, run_probe
from recollect.restore import Choice, LadderFound, LadderResult, LadderSettings, Rung, run_ladder
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

CHOICES = ("0", "1", "2", "3", "4", "random")
SIZES = (60, 150)
MORE_SIZES = {15: CHOICES, 400: ("random",), 1000: ("random",)}
LADDER, LONG_LADDER = "5,20,40,60", "1,5,10,20,40,60,80"
ORDERS = ("relative", "absolute", "bottom", "random", "interpolation")
OVER = "over-trained"  # 150 random facts at three times the learning rate
OVER_RATE = 1.5e-3
Ladders = dict[tuple[str, int], list[LadderFound]]


class Experiment:
    """The base, its probe and the facts; one trained model at a time."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.base = load(ModelSettings())
        self.all = load_facts("pocket")
        self.facts = FactSet((*self.all.part("test").facts[::2][:300], *self.all.part("ood").facts[::4][:200]), "asked")
        self.probe = run_probe(ProbeSettings(method="closed-form"), self.all, out / "probe", loaded=self.base)
        import polars as pl

        self.best = best_templates(pl.read_parquet(self.probe.path / "templates.parquet"))
        self.known = known_best(self.all.facts, self.probe.levels)
        readings = mapping_readings(self.base.tokenizer, self.known, read_relations(None), self.best)
        self.base_seen = see(self.base, {"first": readings}, 64)

    def train(self, choice: str, size: int, seed: int) -> Path:
        """Train on a selection; gives the train step."""
        name = f"{choice}-{size}-{seed}"
        level = "random" if choice == OVER else choice
        chosen = run_select(
            SelectSettings(level=level, size=size, seed=seed), self.all, self.probe.levels, out=self.out / f"sel-{name}"
        )
        rate = {"learning_rate": OVER_RATE} if choice == OVER else {}
        settings = TrainSettings.make(preset="pocket", seed=seed, **rate)
        return run_train(settings, chosen.path, out=self.out / f"train-{name}", base=self.base).path

    def kl(self, tuned: LoadedModel) -> float:
        """The study's KL of a tuned model."""
        ours: Seen = see(tuned, {"first": question_readings(tuned.tokenizer, self.known)}, 64)
        theirs = self.base_seen
        return float(first_token_kl(ours.hidden["first"], ours.head, theirs.hidden["first"], theirs.head).kl.mean())

    def ladder(self, choice: str, size: int, seed: int, model: Path) -> LadderResult:
        """The ladder of a tuned model."""
        settings = LadderSettings.make(
            ladder=LONG_LADDER if choice == OVER else LADDER,
            limit=None,
            max_new_tokens=12,
            batch_size=250,
            text_tokens=3000,
            export="none",
        )
        where = self.out / f"ladder-{choice}-{size}-{seed}"
        return run_ladder(settings, "pocket", str(model), self.facts, self.probe.levels, out=where)


def main() -> None:
    """Run what is not there yet, print everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    started = time.monotonic()
    experiment = Experiment(given.out)
    print(f"{len(experiment.known)} level-4 test facts; probe {time.monotonic() - started:.0f} s", flush=True)
    cells = [(choice, size) for size in SIZES for choice in CHOICES] + [(OVER, 150)]
    more = [(choice, size) for size, choices in MORE_SIZES.items() for choice in choices]
    kls: dict[tuple[str, int], list[float]] = defaultdict(list)
    ladders: Ladders = defaultdict(list)
    for seed in range(given.seeds):
        for choice, size in cells + more:
            model = experiment.train(choice, size, seed)
            kls[choice, size].append(experiment.kl(load(ModelSettings(model=str(model)))))
            if (choice, size) in cells:
                ladders[choice, size].append(experiment.ladder(choice, size, seed, model).found)
            print(f"seed {seed} {choice} {size}: {time.monotonic() - started:.0f} s", flush=True)
    print_kl(kls)
    print_rungs(ladders)
    print_choices(ladders)
    print_forgetting(ladders)
    print(f"\n{time.monotonic() - started:.0f} s in all; {shutil.disk_usage(given.out).free >> 30} GiB free")


def print_kl(kls: Mapping[tuple[str, int], Sequence[float]]) -> None:
    """The study's KL by training size."""
    print("\nKL of the study by training size: mean over seeds (smallest to largest)")
    for (choice, size), values in sorted(kls.items(), key=lambda item: (item[0][0], item[0][1])):
        print(f"  {choice:13} {size:5}  {np.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})")


def rung(found: LadderFound, order: str, percent: float) -> Rung | None:
    """One rung of a ladder."""
    return next((one for one in found.rungs if (one.order, one.percent) == (order, percent)), None)


def percent_of(one: Rung | None, part: str) -> float:
    """A rung's accuracy in percent; NaN where it was not measured."""
    value: Estimate | None = getattr(one, part, None)
    return value.percent[0] if value else float("nan")


def print_rungs(ladders: Ladders) -> None:
    """Accuracy at each rung minus the tuned model's, over choices and seeds, at fixed percentages."""
    groups = {
        f"size {size}": [m for (c, s), ms in ladders.items() if s == size and c != OVER for m in ms] for size in SIZES
    }
    groups[OVER] = ladders[OVER, 150]
    for name, found in groups.items():
        tuned = [rung(metrics, "tuned", 0.0) for metrics in found]
        for part in ("macro", "ood"):
            before = mean_of(percent_of(one, part) for one in tuned if one)
            print(f"\n{name}, {part}: tuned {before}; change by restoring (points)")
            for percent in (1, 5, 10, 20, 40, 60, 80):
                row = []
                for order in ORDERS:
                    rungs = [rung(metrics, order, float(percent)) for metrics in found]
                    pairs = [(one, base) for one, base in zip(rungs, tuned, strict=True) if one and base]
                    changes = [percent_of(one, part) - percent_of(base, part) for one, base in pairs]
                    row.append(f"{order} {interval(changes)}" if changes else "")
                if any(row):
                    print(f"  {percent:3} %  " + "  ".join(row))
    print("\nmacro by choice: tuned, then relative at each rung (mean over seeds)")
    for (choice, size), found in ladders.items():
        percents = sorted({one.percent for one in found[0].rungs if one.order == "relative"})
        tuned_mean = mean_of(percent_of(rung(metrics, "tuned", 0.0), "macro") for metrics in found)
        values = [
            f"{percent:g} %: {mean_of(percent_of(rung(one, 'relative', percent), 'macro') for one in found)}"
            for percent in percents
        ]
        print(f"  {choice:13} {size:4}  {tuned_mean}  " + "  ".join(values))


def print_choices(ladders: Ladders) -> None:
    """The percentage chosen on one half, its gain on the other."""
    print("\nchosen on the validation half, gain over tuned on the test half / out-of-domain (points)")
    for (choice, size), found in ladders.items():
        for order in ORDERS:
            chosen = [pick(metrics, order) for metrics in found]
            percents = ", ".join(f"{one.percent:g}" for one in chosen)
            clear = sum(one.beats_tuned for one in chosen)
            print(
                f"  {choice:13} {size:4} {order:13} at {percents:10} %  {interval(points(chosen, 'gain'))} / "
                f"{interval(points(chosen, 'ood_gain'))}  beyond noise in {clear} of {len(chosen)}"
            )
    for name, wanted in (*((f"size {size}", (size, False)) for size in SIZES), (OVER, (150, True))):
        print(f"\n{name}: all choices and seeds together")
        group = [m for (c, s), ms in ladders.items() if (s, c == OVER) == wanted for m in ms]
        for order in ORDERS:
            chosen = [pick(metrics, order) for metrics in group]
            clear = sum(one.beats_tuned for one in chosen)
            ahead = points(chosen, "ahead")
            behind = f"; relative ahead of it by {interval(ahead)}" if ahead else ""
            print(
                f"  {order:13} {interval(points(chosen, 'gain'))} / "
                f"{interval(points(chosen, 'ood_gain'))}  beyond noise in {clear} of {len(chosen)}{behind}"
            )


def print_forgetting(ladders: Ladders) -> None:
    """Loss on held-out text and answers at the rungs."""
    print(
        "\nloss on held-out text (nats per token) | length of answers (characters): base, tuned, relative at each rung"
    )
    for (choice, size), found in ladders.items():
        keys = [("base", 100.0), ("tuned", 0.0)]
        keys += [("relative", one.percent) for one in found[0].rungs if one.order == "relative"]
        values = [
            f"{np.mean([one.loss for m in found if (one := rung(m, *key)) and one.loss]):.3f} | "
            f"{np.mean([one.answer_length for m in found if (one := rung(m, *key)) and one.answer_length]):.0f}"
            for key in keys
        ]
        print(f"  {choice:13} {size:4}  " + "  ".join(values))


def pick(found: LadderFound, order: str) -> Choice:
    """The choice of one order."""
    return next(one for one in (found.best, *found.controls) if one and one.order == order)


def points(chosen: Sequence[Choice], name: str) -> list[float]:
    """One difference of some choices, in points."""
    return [100 * value.value for one in chosen if (value := getattr(one, name))]


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % t-interval over trained models; they share the test facts, whose luck is not in it."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:+.1f}"
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean:+.1f} ±{half:.1f}"


def mean_of(values: Any) -> str:
    """Mean of percentages."""
    return f"{np.mean(list(values)):.1f}"


if __name__ == "__main__":
    main()
