"""Does `recollect fit` beat plain fine-tuning, a prompt, and a random draw, on worlds drawn from the pocket?

    python benchmarks/fit_worlds.py [--worlds 101,102,103,104,105] [--budget "10 trials"] [--keep FOLDER]

A world is a task on the shipped base: seven of the pocket's relations, drawn by the world's seed, 400 of their facts to
train on and 250 to test, and 240 facts of the other relations that are only asked, to see what is forgotten. The base
is the same in all (building one takes a quarter of an hour of a processor), so the worlds differ in their facts,
relations and draws, not in what the base has read. Worlds 101 to 105 were fixed before the first run and are used for
nothing else; the method was made on worlds 1 and 2.

Prints one line per world with paired 95 % intervals, and the aims of the issue below it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from recollect.core.numbers import estimate
from recollect.core.random import draw
from recollect.core.workspace.fit import FitFound
from recollect.experiments.fit import FitSettings, run_fit
from recollect.facts import FactSet, load_facts

RELATIONS, TRAIN, TEST, OTHERS = 7, 400, 250, 240
HEAD = ("world", "chosen", "test %", "base", "few-shot", "plain", "random", "over plain", "over random")
MORE = ("forgot", "plain forgot", "examples", "cost", "cpu s", "s")


def world(seed: int) -> FactSet:
    """The facts of one world."""
    facts = load_facts("pocket")
    names = sorted(facts.relations, key=lambda name: draw(seed, "world", name))
    task = set(names[:RELATIONS])
    drawn = sorted(facts, key=lambda one: draw(seed, "world", one.id))
    mine = [one for one in drawn if one.relation in task]
    others = [one for one in drawn if one.relation not in task and one.part != "train"][:OTHERS]
    train = min(TRAIN, len(mine) - TEST)
    return FactSet(
        (
            *(replace(one, split="train", domain="in-domain") for one in mine[:train]),
            *(replace(one, split="test", domain="in-domain") for one in mine[train : train + TEST]),
            *(replace(one, split="test", domain="out-of-domain") for one in others),
        ),
        f"world-{seed}",
    )


def row(seed: int, found: FitFound, cpu: float) -> list[str]:
    """One world, in words."""

    def test(name: str) -> str:
        one = found.contender(name)
        return "–" if one is None or one.test is None else f"{one.test.percent[0]:.1f}"

    def over(name: str) -> str:
        one = found.contender(name)
        return "–" if one is None else estimate(one.behind, sign=True)

    best, plain = found.best, found.contender("plain")
    return [
        *(str(seed), found.chosen, estimate(best.test)),
        *(test(name) for name in ("base", "few-shot", "plain", "random")),
        *(over("plain"), over("random")),
        *(estimate(best.forgot), estimate(plain.forgot if plain else None)),
        f"{best.examples} of {found.sets.train}",
        f"{100 * found.updates / found.full_updates:.0f} %",
        *(f"{cpu:.0f}", f"{found.seconds:.0f}"),
    ]


def aims(found: list[FitFound]) -> list[str]:
    """What the issue asks for, and what came."""
    gaps, halves, costs = [], [], []
    for one in found:
        plain, best = one.contender("plain"), one.best
        if plain is not None and plain.behind is not None:
            gaps.append(plain.behind)
        if plain is not None and plain.forgot is not None and best.forgot is not None:
            halves.append(best.forgot.value / max(plain.forgot.value, 1e-9))
        costs.append(one.updates / one.full_updates)
    better, clear = sum(gap.value > 0 for gap in gaps), sum(gap.low > 0 for gap in gaps)
    worse = sum(gap.high < 0 for gap in gaps)
    shares = ", ".join(f"{share:.2f}" for share in halves)
    return [
        f"over plain fine-tuning: higher in {better} of {len(found)}, beyond noise in {clear}, "
        f"worse beyond noise in {worse}",
        f"forgetting as a share of plain's: {shares} (aim: 0.50)",
        f"updates as a share of an exhaustive search's: {', '.join(f'{cost:.2f}' for cost in costs)} (aim: 0.25)",
    ]


def main() -> None:
    """Fit, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", default="101,102,103,104,105")
    parser.add_argument("--budget", default="10 trials")
    parser.add_argument("--keep", type=Path, help="folder for the fits; what is finished there is read")
    given = parser.parse_args()
    found = []
    sys.stdout.write("| " + " | ".join((*HEAD, *MORE)) + " |\n|" + "---|" * len((*HEAD, *MORE)) + "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        for seed in [int(one) for one in given.worlds.split(",")]:
            began = time.process_time()
            settings = FitSettings.make(model="pocket", budget=given.budget)
            fitted = run_fit(settings, folder / f"world-{seed}", facts=world(seed))
            found.append(fitted.found)
            sys.stdout.write("| " + " | ".join(row(seed, fitted.found, time.process_time() - began)) + " |\n")
            sys.stdout.flush()
    for line in aims(found):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
