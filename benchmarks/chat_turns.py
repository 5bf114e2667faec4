"""What a conversation of several turns costs to learn: whole, as `recollect fit` does, or each turn by itself after the
turns before it.

    python benchmarks/chat_turns.py --data talks.jsonl [--model smollm2] [--time 16]

Prints the tokens of both over all conversations, and with `--time N` the processor seconds of one pass over the first N
of them, the two ways in turn. `chat_of_facts.py --questions 3` writes such a file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recollect.chat.read import read_conversations
from recollect.chat.render import render
from recollect.chat.turns import asked, learned
from recollect.facts import Fact, FactSet
from recollect.models import ModelSettings, load
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train


def main() -> None:
    """Count and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--time", type=int, default=0)
    given = parser.parse_args()
    base = load(ModelSettings.make(model=given.model, device="cpu", dtype="float32"))
    talks, _ = read_conversations(given.data)
    turns = [replace(one, turns=one.turns[: at + 1], train_on=(at,)) for one in talks for at in one.answers]
    counts = {}
    for name, some in (("whole", talks), ("turn by turn", turns)):
        examples = [example for one in some for example in render(base.tokenizer, one)]
        read, told = sum(len(one.ids) for one in examples), sum(sum(one.mask) for one in examples)
        counts[name] = read
        print(f"{name}: {len(examples):,} examples, {read:,} tokens read, {told:,} of them learned")
    print(f"turn by turn reads {counts['turn by turn'] / counts['whole']:.2f} times as many tokens")
    if given.time:
        facts = [learned(one) for one in talks[: given.time]]
        apart = [replace(one, split="train") for fact in facts for one in asked(fact)]
        for name, some in (("whole", facts), ("turn by turn", apart)):
            print(f"{name}: {seconds(given.model, some):.1f} s for one pass over {len(facts)} conversations")


def seconds(model: str, facts: Sequence[Fact]) -> float:
    """Of the processor, for one pass."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        chosen = run_select(SelectSettings.make(size="all", level="random"), FactSet(tuple(facts), "talks"), root=root)
        settings = TrainSettings.make(model=model, device="cpu", epochs=1, learning_rate=1e-5, batch_size=4)
        began = time.process_time()
        run_train(settings, chosen.path, root=root)
        return time.process_time() - began


if __name__ == "__main__":
    main()
