"""What the shop base can do: copying from unseen pages, and what fine-tuning on few pages brings. Two tables.

    python benchmarks/pocket_shop.py copying [--model pocket-shop] [--documents 240]
    python benchmarks/pocket_shop.py tuning  [--sizes 0,15,60,250,1000] [--seeds 2] [--train "learning_rate=1e-3,…"]

`copying`: values right when the base goes on, greedily, from just before a value, on corpus documents it has not read
(shops and pages with other numbers). `tuning`: share of right values by attribute, macro, and answers that are no JSON,
in-domain (new pages of known shops) and out-of-domain (new shops); mean over seeds. It is for trying settings of the
training; `recollect curve --model pocket-shop --facts pocket-shop` gives the same numbers with intervals.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recollect.core.estimates import proportion
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import load_facts
from recollect.generate import TransformersEngine
from recollect.models import LoadedModel, ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train
from recollect.worlds.shop import ATTRIBUTES
from recollect.worlds.shop.corpus import document

UNREAD = 10_000_000  # documents from here on are in no corpus


@dataclass(frozen=True)
class Asked:
    """A value to copy: the document as it stands before it."""

    document: str
    attribute: str
    value: str
    ids: list[int]


def asked_to_copy(tokenizer: Any, count: int, seed: int = 0) -> list[Asked]:
    """All values of so many documents that no base of this seed has read, the shortest first."""
    asked = []
    for number in range(count):
        read = document(seed, UNREAD + number, summaries=1)
        before = read.page
        for piece in read.pieces:
            if piece.attribute:
                asked.append(Asked(str(number), piece.attribute, piece.text, tokenizer(before)["input_ids"]))
            before += piece.text
    return sorted(asked, key=lambda one: len(one.ids))


def copied(loaded: LoadedModel, asked: list[Asked]) -> list[bool]:
    """Which values are right, greedily."""
    right = []
    for at in range(0, len(asked), 64):
        batch = asked[at : at + 64]
        said = TransformersEngine(loaded).greedy([one.ids for one in batch], 24)
        texts = (loaded.tokenizer.decode(tokens) for tokens in said)
        right += [text.startswith(one.value) for one, text in zip(batch, texts, strict=True)]
    return right


def copying(loaded: LoadedModel, count: int) -> None:
    """Greedy continuation up to the length of the right value, from the document as it stands before the value."""
    asked = asked_to_copy(loaded.tokenizer, count)
    right: dict[str, list[bool]] = defaultdict(list)
    for one, is_right in zip(asked, copied(loaded, asked), strict=True):
        right[one.attribute].append(is_right)
    for name in ATTRIBUTES:
        hits, n = sum(right[name]), len(right[name])
        value, low, high = proportion(hits, n).percent
        print(f"{name:12} {value:5.1f} %  ({low:.1f} to {high:.1f}, n = {n})")


def tuning(loaded: LoadedModel, model: str, sizes: list[int], seeds: int, train: dict[str, Any]) -> None:
    """Train on random pages of each size, ask for every test page, print a line per size."""
    facts = load_facts("pocket-shop")
    print(f"{'examples':>8} {'part':5} {'macro':>6} {'invalid':>7}  " + " ".join(f"{name:>12}" for name in ATTRIBUTES))
    for size in sizes:
        found, seconds = [], []
        for seed in range(seeds if size else 1):
            with tempfile.TemporaryDirectory() as name:
                here, tuned = Path(name), loaded
                started = time.monotonic()
                if size:
                    select = SelectSettings.make(facts="pocket-shop", level="random", size=size, seed=seed)
                    chosen = run_select(select, facts, out=here / "select")
                    settings = TrainSettings.make(**{"model": model, "seed": seed, **train})
                    trained = run_train(settings, chosen.path, out=here / "train", base=loaded)
                    seconds.append(time.monotonic() - started)
                    tuned = load(ModelSettings.make(model=str(trained.path)))
                evaluate = EvaluateSettings.make(model=str(tuned.folder), facts="pocket-shop")
                found.append(run_evaluate(evaluate, facts, out=here / "evaluate", loaded=tuned).found.pages or {})
        for part in ("test", "ood"):
            scores = [one if part == "test" else one["ood"] for one in found]
            columns = [_mean(one["by_attribute"][name]["accuracy"] for one in scores) for name in ATTRIBUTES]
            means = [_mean(one[key] for one in scores) for key in ("macro", "invalid")]
            time_taken = f"  {_mean(seconds):.0f} s a training" if seconds and part == "test" else ""
            line = " ".join(f"{value:12.1f}" for value in columns)
            print(f"{size:8} {part:5} {means[0]:6.1f} {means[1]:7.1f}  {line}{time_taken}", flush=True)


def _mean(values: Any) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def main() -> None:
    """Read the arguments, print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("table", choices=("copying", "tuning"))
    parser.add_argument("--model", default="pocket-shop")
    parser.add_argument("--documents", type=int, default=240)
    parser.add_argument("--sizes", default="0,15,60,250,1000")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--train", default="preset=pocket-shop", help="settings of the training, name=value,name=value")
    given = parser.parse_args()
    loaded = load(ModelSettings.make(model=given.model))
    if given.table == "copying":
        copying(loaded, given.documents)
    else:
        sizes = [int(size) for size in given.sizes.split(",")]
        train = dict(pair.split("=", 1) for pair in given.train.split(","))
        tuning(loaded, given.model, sizes, given.seeds, train)


if __name__ == "__main__":
    main()
