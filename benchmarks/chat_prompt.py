"""Facts in a model's own chat template and in the plain prompt: what the base and a training on each say.

    python benchmarks/chat_prompt.py MODEL FACTS [--examples 60] [--questions 200] [--seeds 2] [--epochs 3]

MODEL is a folder with a chat template, FACTS a facts step, table or EntityQuestions folder. For each prompt: the base
asked in it, and per seed a full training on as many random train facts, asked in the same prompt. Accuracies in percent
with 95 % intervals, micro, `contains`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from recollect.core.numbers import estimate
from recollect.evaluate import EvaluateFound, EvaluateSettings, run_evaluate
from recollect.facts import load_facts
from recollect.models import ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train


def main() -> None:
    """Train and ask; print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("facts")
    for name, value in (("examples", 60), ("questions", 200), ("seeds", 2), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl")))
    facts, base = load_facts(given.facts), load(ModelSettings.make(model=given.model))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def ask(model: str, prompt: str, name: str) -> None:
            how = EvaluateSettings.make(model=model, parts="test", limit=given.questions, prompt=prompt)
            held = base if model == given.model else None
            found: EvaluateFound = run_evaluate(how, facts, out=folder / name, loaded=held).found
            accuracy = found.accuracy["test"]
            print(f"{name:24} {found.prompt:6} {estimate(accuracy.micro):>20} n {accuracy.n}", flush=True)

        for prompt in ("plain", "chat"):
            ask(given.model, prompt, f"base {prompt}")
            for seed in range(given.seeds):
                chosen = SelectSettings.make(level="random", size=given.examples, seed=seed)
                selection = run_select(chosen, facts, out=folder / f"select {prompt} {seed}").path
                settings = TrainSettings.make(model=given.model, prompt=prompt, seed=seed, epochs=given.epochs)
                started = time.monotonic()
                tuned = run_train(settings, selection, out=folder / f"train {prompt} {seed}", base=base)
                ask(str(tuned.path), "auto", f"trained {prompt}, seed {seed}")
                print(f"  {time.monotonic() - started:.0f} s, last loss {tuned.found.last_loss:.2f}")


if __name__ == "__main__":
    main()
