"""Does `recollect fit` beat plain fine-tuning, a prompt, and a random draw, on worlds drawn by a seed?

    python benchmarks/fit_worlds.py [--worlds 101,102,103,104,105] [--budget "10 trials"] [--keep FOLDER]
    python benchmarks/fit_worlds.py --kind pages --worlds 301,302,303,304,305
    python benchmarks/fit_worlds.py --worlds-folder FOLDER --kind facts --worlds 201,202,203,204,205
    python benchmarks/fit_worlds.py --worlds-folder FOLDER --kind pages --worlds 201,202,203,204,205

A world of the first line is a task on the shipped base: seven of the pocket's relations, drawn by the world's seed, 400
of their facts to train on and 250 to test, and 240 facts of the other relations that are only asked, to see what is
forgotten. The base is the same in all, so they differ in their facts, relations and draws, not in what the base has
read. Those of the second line are tasks on the shipped shop base: 200 of its pages to learn from and choose by, 240
others of the same shops in the test, 160 of new shops. Those of the other lines have a base, facts, pages and text of
their own (`build_worlds.py`; FOLDER/quiz-SEED and FOLDER/shop-SEED). Their own split is kept: of the facts 400 of the
training part, 250 of the test and 240 of the other relations; of the pages 200, 240 and 160 of new shops. `--draw 2`
asks the same bases for other facts, none of them trained on or tested in the first draw; the test pages are then pages
of the training part, whose test part is used up.

Worlds 101 to 105, 201 to 205 and 301 to 305 were fixed before the first run and are used for nothing else; the method
was made on others of the shipped bases.

Prints one line per world with paired 95 % intervals, the aims of the issue below it, and every world's advice. A base
of pages answers nothing in the fine-tuning prompt, so the fit counts what it forgets by its own words; what it can do
is copy, so forgetting is measured beside it by what no fit has seen: of the values that the base copies right when
unread documents of its world go on, the share that the tuned model does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pocket_shop import asked_to_copy, copied

from recollect.core.estimates import Estimate, clustered
from recollect.core.numbers import estimate, interval
from recollect.core.random import draw
from recollect.core.workspace.fit import FitFound
from recollect.experiments.fit import FitResult, FitSettings, run_fit
from recollect.experiments.search.validation import Scored, pages_gain
from recollect.facts import Fact, FactSet, Part, load_facts
from recollect.models import ModelSettings, load

SHOP = "pocket-shop"
RELATIONS, TRAIN, TEST, OTHERS = 7, 400, 250, 240
PAGES = {"train": 200, "test": 240, "ood": 160}
FACTS = {"train": TRAIN, "test": TEST, "ood": OTHERS}
COPIED = 80
"""Unread documents whose values are copied, to see what of that is lost."""
HEAD = (
    "world",
    "chosen",
    "test %",
    "base",
    "few-shot",
    "plain",
    "random",
    "over plain",
    "with luck",
    "won, lost",
    "over random",
)
MORE = ("forgot", "plain forgot", "forgot more", "examples", "cost", "cpu s", "s")


@dataclass(frozen=True)
class World:
    """What one fit gets."""

    seed: int
    facts: FactSet
    model: str = "pocket"
    preset: str = ""
    """Of the plain training, where the base is not the shipped one: the preset of its kind."""
    pages: bool = False


@dataclass(frozen=True)
class Fitted:
    """A world and what came of it."""

    world: World
    result: FitResult
    cpu: float
    forgot: Estimate | None
    plain_forgot: Estimate | None
    forgot_more: Estimate | None
    """The chosen model less the plain one, paired."""

    @property
    def found(self) -> FitFound:
        """Of the fit."""
        return self.result.found


def shipped_world(seed: int) -> World:
    """A task on the shipped base."""
    facts = load_facts("pocket")
    names = sorted(facts.relations, key=lambda name: draw(seed, "world", name))
    task = set(names[:RELATIONS])
    drawn = sorted(facts, key=lambda one: draw(seed, "world", one.id))
    mine = [one for one in drawn if one.relation in task]
    others = [one for one in drawn if one.relation not in task and one.part != "train"][:OTHERS]
    train = min(TRAIN, len(mine) - TEST)
    parts = (
        *(replace(one, split="train", domain="in-domain") for one in mine[:train]),
        *(replace(one, split="test", domain="in-domain") for one in mine[train : train + TEST]),
        *(replace(one, split="test", domain="out-of-domain") for one in others),
    )
    return World(seed, FactSet(parts, f"world-{seed}"))


def shipped_shop(seed: int) -> World:
    """A task on the shipped shop base."""

    def drawn(part: Part) -> list[Fact]:
        return sorted(facts.part(part), key=lambda one: draw(seed, "world", one.id))

    facts = load_facts(SHOP)
    first, after = PAGES["train"], PAGES["train"] + PAGES["test"]
    here = drawn("train")
    tested = [replace(one, split="test") for one in here[first:after]]
    kept = (*here[:first], *tested, *drawn("ood")[: PAGES["ood"]])
    return World(seed, FactSet(kept, f"shop-draw-{seed}"), SHOP, SHOP, pages=True)


def own_world(folder: Path, seed: int, pages: bool, drawn: int) -> World:
    """A world with a base of its own, its split kept. drawn: 1 for the first facts of a shuffle, 2 for the next."""
    step = folder / f"{'shop' if pages else 'quiz'}-{seed}"
    facts, kept = load_facts(str(step)), list[Fact]()
    for part, most in (PAGES if pages else FACTS).items():
        rows = sorted(facts.part(part), key=lambda one: draw(seed, "world", one.id))
        here = rows[(drawn - 1) * most : drawn * most]
        if pages and drawn > 1 and part == "test":  # all of that part were asked in the first draw
            rest = sorted(facts.part("train"), key=lambda one: draw(seed, "world", one.id))[drawn * PAGES["train"] :]
            here = [replace(one, split="test") for one in rest[:most]]
        elif pages and drawn > 1 and part == "ood":
            here = rows[:most]
        if len(here) < most:
            raise SystemExit(f"{step}: {len(here)} {part} rows are left for draw {drawn}, {most} are needed")
        kept += here
    preset = "pocket-shop" if pages else "pocket"
    return World(seed, FactSet(tuple(kept), step.name), str(step), preset, pages)


def fit(world: World, budget: str, folder: Path) -> Fitted:
    """Fit it, or read what is finished."""
    began = time.process_time()
    given = {"train": {"preset": world.preset}} if world.preset else {}
    settings = FitSettings.make(model=world.model, budget=budget, goal="attributes" if world.pages else "auto", **given)
    result = run_fit(settings, folder / f"world-{world.seed}", facts=world.facts)
    cpu = time.process_time() - began
    found = result.found
    best, plain = found.best, found.contender("plain")
    if world.pages:
        return Fitted(world, result, cpu, *lost_copying(world, result))
    more = None if plain is None else plain.forgot_more
    return Fitted(world, result, cpu, best.forgot, plain.forgot if plain else None, more)


def lost_copying(world: World, result: FitResult) -> tuple[Estimate, Estimate, Estimate]:
    """Of what the base copies right, the share lost by the chosen model, by the plain one, and the difference.

    Values of one document are not independent, so they are clustered by document.
    """
    before = load(ModelSettings.make(model=world.model))
    asked = asked_to_copy(before.tokenizer, COPIED, 0 if world.model == SHOP else world.seed)
    could = copied(before, asked)
    known = [one for one, right in zip(asked, could, strict=True) if right]
    documents = [one.document for one in known]
    lost = []
    for model in (result.model, result.path / "steps" / "train-plain"):
        now = copied(load(ModelSettings.make(model=str(model))), known)
        lost.append([not right for right in now])
    shares = [clustered(one, documents) for one in lost]
    by_document = Scored(
        {0: np.asarray(lost[1]), 1: np.asarray(lost[0])},
        np.asarray(["all"] * len(known)),
        np.asarray(documents),
        pages=True,
        how="",
    )
    return shares[0], shares[1], pages_gain(by_document, 1, 0)


def over_plain(found: FitFound) -> Estimate | None:
    """What the fit's own model has over the plain one, also where the plain one was taken in its place."""
    if found.chosen != "plain":
        plain = found.contender("plain")
        return plain.behind if plain else None
    ours = found.contender("ours")
    if ours is None or ours.behind is None:
        return None
    return replace(ours.behind, value=-ours.behind.value, low=-ours.behind.high, high=-ours.behind.low)


def won_lost(found: FitFound) -> tuple[int, int]:
    """Test questions that the fit's own model alone has right, and the plain one alone."""
    if found.chosen == "plain":
        ours = found.contender("ours")
        return (ours.losses, ours.wins) if ours else (0, 0)
    plain = found.contender("plain")
    return (plain.wins, plain.losses) if plain else (0, 0)


def used(found: FitFound) -> str:
    """Examples of one training; of a mean of each of its trainings."""
    if found.chosen != "ours" or len(found.members) < 2:
        return str(found.best.examples)
    least, most = min(found.members), max(found.members)
    return f"{len(found.members)} × {most if least == most else f'{least} to {most}'}"


def with_luck(found: FitFound) -> str:
    """What its own model has over the plain one, corrected and over the luck of a training, as the advice says."""
    plain = found.contender("ours" if found.chosen == "plain" else "plain")
    if plain is None or plain.held is None or plain.over_questions is None:
        return "–"
    turned = found.chosen == "plain"
    low, high = (-plain.held.high, -plain.held.low) if turned else (plain.held.low, plain.held.high)
    return f"{interval(100 * low, 100 * high, sign=True)} at {100 * plain.held.confidence:.3g} %"


def row(one: Fitted) -> list[str]:
    """One world, in words."""
    found = one.found

    def test(name: str) -> str:
        here = found.contender(name)
        return "–" if here is None or here.test is None else f"{here.test.percent[0]:.1f}"

    best, random = found.best, found.contender("random")
    wins, losses = won_lost(found)
    return [
        *(str(one.world.seed), found.chosen + (" (by the test)" if found.by_test else ""), estimate(best.test)),
        *(test(name) for name in ("base", "few-shot", "plain", "random")),
        *(estimate(over_plain(found), sign=True), with_luck(found), f"{wins}, {losses}"),
        estimate(random.behind if random else None, sign=True),
        *(estimate(one.forgot), estimate(one.plain_forgot), estimate(one.forgot_more, sign=True)),
        f"{used(found)} of {found.sets.train}",
        f"{100 * found.updates / found.full_updates:.0f} %",
        *(f"{one.cpu:.0f}", f"{found.seconds:.0f}"),
    ]


def aims(fitted: list[Fitted]) -> list[str]:
    """What the issue asks for, and what came."""
    gaps = [gap for one in fitted if (gap := over_plain(one.found)) is not None]
    costs = [one.found.updates / one.found.full_updates for one in fitted]
    better, clear = sum(gap.value > 0 for gap in gaps), sum(gap.low > 0 for gap in gaps)
    worse = sum(gap.high < 0 for gap in gaps)
    shares = [
        f"{one.forgot.value / one.plain_forgot.value:.2f}"
        for one in fitted
        if one.forgot is not None and one.plain_forgot is not None and one.plain_forgot.value
    ]
    return [
        f"the fit's own model over plain fine-tuning: higher in {better} of {len(fitted)}, beyond noise in {clear}, "
        f"worse beyond noise in {worse}",
        f"forgetting as a share of plain's: {', '.join(shares) or 'nothing was forgotten'} (aim: 0.50)",
        f"updates as a share of an exhaustive search's: {', '.join(f'{cost:.2f}' for cost in costs)} (aim: 0.25)",
        f"its trainings: {', '.join(str(one.found.full_trainings) for one in fitted)}",
    ]


def advised(one: Fitted) -> str:
    """Its advice, with what it is about."""
    return f"world {one.world.seed}:\n" + "\n".join(f"  - {line}" for line in one.found.advice)


def main() -> None:
    """Fit, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", default="101,102,103,104,105")
    parser.add_argument("--worlds-folder", type=Path, help="worlds with a base of their own")
    parser.add_argument("--kind", choices=("facts", "pages"), default="facts", help="of those")
    parser.add_argument("--draw", type=int, default=1, help="of those: which part of their facts")
    parser.add_argument("--budget", default="10 trials")
    parser.add_argument("--keep", type=Path, help="folder for the fits; what is finished there is read")
    given = parser.parse_args()
    fitted = []
    sys.stdout.write("| " + " | ".join((*HEAD, *MORE)) + " |\n|" + "---|" * len((*HEAD, *MORE)) + "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = given.keep or Path(name)
        for seed in [int(one) for one in given.worlds.split(",")]:
            own = given.worlds_folder
            pages = given.kind == "pages"
            shipped = shipped_shop if pages else shipped_world
            world = shipped(seed) if own is None else own_world(own, seed, pages, given.draw)
            fitted.append(fit(world, given.budget, folder))
            sys.stdout.write("| " + " | ".join(row(fitted[-1])) + " |\n")
            sys.stdout.flush()
    for line in (*aims(fitted), *map(advised, fitted)):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
