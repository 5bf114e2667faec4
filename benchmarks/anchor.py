"""What a training held to its base gains and forgets: anchors of several weights, on the pocket.

    python benchmarks/anchor.py [--size 60] [--seeds 2] [--weights 0,0.1,0.5] [--on inputs,text] [--limit 200]
                                [--methods full,lora]

Each training is of `--size` random facts, with the pocket's own settings (full) or a rate of 5e-3 and 6 epochs (lora).
Gained: test facts right after it less those that the base has right in the same prompt (none), in points. Lost: of the
facts (test and other relations) at memory level 3 or 4 by closed form over 7 templates, those that the tuned model does
not answer; the base's own prompts elicit them, the tuning's prompt does so only after a training.
Text: the rise of the loss on the pocket's held-out text, in nats per token. With --on text that very text is learned
from, so its rise is no held-out figure there. Risk: the chance that a lost fact had a smaller memory score than a kept
one, which is the forecast of `recollect fit`. Seeds draw other facts, and another order of them. Seconds are of the
processor, per training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import mean

import polars as pl

from recollect.core.estimates import roc_area
from recollect.core.texts import read_texts
from recollect.drift.tokens import general_loss
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import FactSet, load_facts
from recollect.models import ModelSettings, load
from recollect.probe import ProbeSettings, run_probe
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train

WAYS: dict[str, dict[str, object]] = {
    "full": {"preset": "pocket"},
    "lora": {"method": "lora", "learning_rate": 5e-3, "batch_size": 8, "epochs": 6.0, "prompt": "plain"},
}
KNOWN = 3
"""The memory level from which a fact is known."""
Row = dict[str, float]


class Work:
    """The base as it was, and what it answered."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.facts: FactSet = load_facts("pocket")
        self.text = read_texts("pocket")
        base = load(ModelSettings.make(model="pocket", device="cpu", dtype="float32"))
        loss = general_loss(base, self.text)
        assert loss is not None
        self.base_loss = loss
        self.before = self.right("pocket")
        names = self.before["fact_id"].to_list()
        asked = FactSet(tuple(fact for fact in self.facts if fact.id in set(names)), "asked")
        probe = ProbeSettings.make(model="pocket", facts="pocket", method="closed-form", templates=7, device="cpu")
        levels = run_probe(probe, asked, root=folder).levels
        self.scores = dict(zip(levels["fact_id"].to_list(), levels["score"].to_list(), strict=True))
        self.known = set(levels.filter(pl.col("level") >= KNOWN)["fact_id"].to_list())

    def right(self, model: str) -> pl.DataFrame:
        """Test facts and those of other relations, with whether the answer is right."""
        settings = EvaluateSettings.make(
            model=model, facts="pocket", limit=self.given.limit, device="cpu", prompt="plain"
        )
        found = run_evaluate(settings, self.facts, root=self.folder).outputs()
        return found.filter(pl.col("part") != "train").select("fact_id", "part", "right")

    def row(self, method: str, weight: float, on: str, seed: int) -> Row:
        """One training."""
        chosen = run_select(
            SelectSettings.make(size=self.given.size, level="random", seed=seed), self.facts, root=self.folder
        )
        settings = TrainSettings.make(
            **WAYS[method], model="pocket", device="cpu", seed=seed, anchor=weight, anchor_on=on
        )
        started = time.process_time()
        tuned = run_train(settings, chosen.path, root=self.folder)
        seconds = time.process_time() - started
        after = self.right(str(tuned.path))
        known = after.filter(pl.col("fact_id").is_in(list(self.known)))
        sides = {kept: known.filter(right=kept)["fact_id"].to_list() for kept in (False, True)}
        risk = {kept: [-self.scores[name] for name in names] for kept, names in sides.items()}
        loss = general_loss(load(ModelSettings.make(model=str(tuned.path), device="cpu", dtype="float32")), self.text)
        assert loss is not None
        return {
            "gained": 100 * (self.share(after) - self.share(self.before)),
            "lost": 100 * (1 - float(known["right"].sum()) / max(1, known.height)),
            "text": loss - self.base_loss,
            "risk": roc_area(risk[False], risk[True]).value,
            "seconds": seconds,
        }

    @staticmethod
    def share(table: pl.DataFrame) -> float:
        """Right answers among the test facts."""
        mine = table.filter(part="test")
        return float(mine["right"].sum()) / mine.height


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--weights", default="0,0.1,0.5")
    parser.add_argument("--on", default="inputs,text")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--methods", default="full,lora")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Work(given, Path(folder))
        asked = {part: work.before.filter(part=part).height for part in ("test", "ood")}
        print(f"asked {asked}; right before {100 * work.share(work.before):.1f} % of test; known {len(work.known)}")
        print(
            "| method | anchor | gained, points | lost, % of known | text, nats | seconds |\n|---|---|---|---|---|---|"
        )
        for method in given.methods.split(","):
            for weight in map(float, given.weights.split(",")):
                for on in given.on.split(",") if weight else ["inputs"]:
                    rows = [work.row(method, weight, on, seed) for seed in range(given.seeds)]
                    cells = [_cell([row[name] for row in rows], name) for name in rows[0]]
                    label = f"{weight:g} on {on}" if weight else "0"
                    print(f"| {method} | {label} | {' | '.join(cells)} |", flush=True)


def _cell(values: list[float], name: str) -> str:
    """The mean, with each seed's."""
    digits = 3 if name == "text" else 2 if name == "risk" else 1
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"{mean(values):.{digits}f} ({each})" if name != "seconds" else f"{mean(values):.1f}"


if __name__ == "__main__":
    main()
