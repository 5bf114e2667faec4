"""How fast is the probe, beside what a user would write with transformers? One run, one machine, ratios.

    python benchmarks/probe_speed.py [--facts 10]

Peers: `model.generate(num_return_sequences=10)` prompt by prompt, and the same in batches of 16 prompts, with top_k=0
and top_p=1 as the studies' definition wants. All read the same prompts (21 templates a fact) and draw 10 continuations
of at most 32 tokens each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import LoadedModel, ModelSettings, load
from recollect.probe import ProbeSettings, run_probe


def generate(loaded: LoadedModel, prompts: list[str], batch: int) -> None:
    """The peer: transformers' own sampling, `batch` prompts at a time."""
    torch.manual_seed(0)
    for at in range(0, len(prompts), batch):
        given = loaded.tokenizer(prompts[at : at + batch], return_tensors="pt", padding=True)
        loaded.model.generate(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            do_sample=True,
            temperature=0.7,
            top_k=0,
            top_p=1.0,
            num_return_sequences=10,
            max_new_tokens=32,
            pad_token_id=loaded.tokenizer.pad_token_id,
        )


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", type=int, default=10)
    given = parser.parse_args()
    loaded = load(ModelSettings.make(model=given.model))
    every = load_facts("pocket" if given.model == "pocket" else given.model)
    step = max(1, len(every) // given.facts)
    facts = FactSet(every.facts[::step][: given.facts])
    relations = read_relations(None)
    prompts = [prompt for fact in facts for prompt in relations[fact.relation].prompts(fact.subject)]
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {loaded.machine.line()}")
    print(f"{len(facts)} facts, {len(prompts)} prompts, {len(prompts) * 10} completions\n")

    def ours(method: str) -> Callable[[], object]:
        def work() -> None:
            with tempfile.TemporaryDirectory() as folder:
                run_probe(
                    ProbeSettings.make(model=given.model, method=method),
                    facts,
                    Path(folder) / "p",
                    loaded=loaded,
                )

        return work

    ours("hybrid")()  # warm-up
    seconds = {
        "generate, one prompt at a time": timed(lambda: generate(loaded, prompts, 1)),
        "generate, 16 prompts at a time": timed(lambda: generate(loaded, prompts, 16)),
        "recollect sampled": timed(ours("sampled")),
        "recollect hybrid": timed(ours("hybrid")),
        "recollect closed-form": timed(ours("closed-form")),
    }
    peer = seconds["generate, 16 prompts at a time"]
    for name, value in seconds.items():
        print(f"{name:32} {value:8.2f} s  {peer / value:6.1f} x the speed of batched generate")


if __name__ == "__main__":
    main()
