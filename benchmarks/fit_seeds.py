"""How far trainings of one kind lie apart, over all questions and in each relation, beyond what questions make of it.

    python benchmarks/fit_seeds.py [--world 1] [--seeds 9] [--keep FOLDER]

Plain fine-tuning of the pocket on a development world (`fit_worlds.py`), by several seeds, asked that world's test and
all other facts of its relations. Of scores seeds x questions, what a seed has on all questions alike: a variance of two
ways, (mean square of seeds - mean square of the rest) / questions; what is negative is printed as such.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fit_worlds import shipped_world
from numpy.typing import NDArray

from recollect import EvaluateSettings, SelectSettings, TrainSettings, run_evaluate, run_select, run_train
from recollect.facts import FactSet, load_facts


def asked(world: int) -> FactSet:
    """The world's training facts, and as a test all others of its relations."""
    facts = shipped_world(world).facts
    mine, relations = {fact.id for fact in facts}, set(facts.part("train").relations)
    more = [one for one in load_facts("pocket") if one.relation in relations and one.id not in mine]
    inside = [one for one in facts if one.part != "ood"]
    return FactSet((*inside, *(replace(one, split="test", domain="in-domain") for one in more)), facts.name)


def answers(facts: FactSet, seed: int, folder: Path) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Verdicts of one training, and the relation of each question."""
    size = len(facts.part("train"))
    chosen = run_select(SelectSettings.make(level="random", size=size, seed=seed), facts, out=folder / f"select-{seed}")
    trained = run_train(TrainSettings.make(preset="pocket", seed=seed), chosen.path, out=folder / f"train-{seed}")
    settings = EvaluateSettings.make(model=str(trained.path), parts="test")
    table = run_evaluate(settings, facts, out=folder / f"evaluate-{seed}").outputs().sort("fact_id")
    return table["contains"].to_numpy().astype(float), table["relation"].to_numpy().astype(np.str_)


def lucky(scores: NDArray[np.float64]) -> tuple[float, float]:
    """The variance of what a seed has on all questions alike, and of what single questions add to a seed's score."""
    seeds, questions = scores.shape
    means = scores.mean(axis=1)
    rest = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
    noise = float((rest**2).sum()) / ((seeds - 1) * (questions - 1))
    of_seeds = questions * float(((means - scores.mean()) ** 2).sum()) / (seeds - 1)
    return (of_seeds - noise) / questions, noise / questions


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=9)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args(arguments)
    folder = given.keep or Path(tempfile.mkdtemp())
    facts = asked(given.world)
    found = [answers(facts, seed, folder) for seed in range(given.seeds)]
    scores, relations = np.stack([right for right, _ in found]), found[0][1]
    sys.stdout.write("| | questions | right, % | of the seed, points | of questions |\n|---|---|---|---|---|\n")
    own = []
    for name in ("all", *sorted(set(relations.tolist()))):
        here = scores if name == "all" else scores[:, relations == name]
        luck, noise = lucky(here)
        own += [luck] if name != "all" else []
        points = math.copysign(100 * math.sqrt(abs(luck)), luck)
        row = f"{here.shape[1]} | {100 * here.mean():.1f} | {points:.1f} | {100 * math.sqrt(noise):.1f}"
        sys.stdout.write(f"| {name} | {row} |\n")
    sys.stdout.write(f"mean of the relations: {100 * math.sqrt(max(0.0, float(np.mean(own)))):.1f} points\n")


if __name__ == "__main__":
    main()
