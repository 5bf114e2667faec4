"""What does a model put between a prompt and an answer that comes at once, and what do the paths of it cost?

    python benchmarks/leading_forms.py --model FOLDER --facts FACTS [--take 12] [--questions] [--dtype bfloat16]

Exact: the probability of each lead is added up from the scores of its paths, over all 21 templates of each fact (with
--questions: the 21 frames of questions without a relation). Then processor seconds of the scores with the blank alone
and with the leads that `useful_leads` takes, three times in turn, in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import torch
import transformers

from recollect.facts import load_facts, read_relations, relation_of
from recollect.generate import TransformersEngine, prefix_free, starting_probability
from recollect.generate.encoding import BLANK, Paths, accepted_paths
from recollect.generate.leads import LEADS, useful_leads
from recollect.models import ModelSettings, load

TEMPERATURE, LONGEST = 0.7, 32
OTHERS = (" a ", " of ", " in ", ", ", " “", "\nThe ", "\n\nThe ", "\nA: ", "\n- ", " **", " (")
"""Leads that were looked at and left out."""


def starts(engine: TransformersEngine, paths: Sequence[Paths]) -> tuple[float, float]:
    """(mean probability of a start by the paths, mean tokens scored), a few prompts at a time."""
    total, tokens = 0.0, 0
    for at in range(0, len(paths), 16):
        some = paths[at : at + 16]
        forms = [prefix_free(one.right) for one in some]
        scores = engine.score([one.prompt for one in some], forms, TEMPERATURE)
        total += sum(starting_probability(*pair) for pair in zip(forms, scores, strict=True))
        tokens += sum(len(path) for many in forms for path in many)
    return total / len(paths), tokens / len(paths)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", default="pocket")
    parser.add_argument("--take", type=int, default=12)
    parser.add_argument("--questions", action="store_true")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    loaded = load(ModelSettings.make(model=given.model, dtype=given.dtype))
    engine = TransformersEngine(loaded)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {loaded.machine.line()}")
    facts, relations = list(load_facts(given.facts)), read_relations(None)
    facts = facts[:: max(1, len(facts) // given.take)][: given.take]
    prompts, accepted = [], []
    for fact in facts:
        relation = relation_of(relations, "qa" if given.questions else fact.relation, 21)
        prompts += relation.prompts(fact.question if given.questions else fact.subject, 21)
        accepted += [fact.accepted] * 21
    blank = accepted_paths(engine, prompts, accepted)
    plain, tokens = starts(engine, blank)
    print(f"{len(facts)} facts, {len(prompts)} prompts; after a blank {plain:.5f}, {tokens:.1f} tokens a prompt")
    for lead in (*LEADS[1:], *OTHERS):
        gain = starts(engine, accepted_paths(engine, prompts, accepted, (BLANK, lead)))[0] - plain
        print(f"  {lead!r:12} {gain:+.5f}  {gain / plain:+8.1%}{'' if lead in LEADS else '  (left out)'}")
    taken = useful_leads(engine, prompts, accepted, TEMPERATURE, LONGEST)
    chosen = accepted_paths(engine, prompts, accepted, taken)
    whole, tokens = starts(engine, chosen)
    print(f"taken {taken}: {whole:.5f} ({whole / plain:.2f} times), {tokens:.1f} tokens a prompt")
    ratios = []
    for _ in range(3):
        seconds = []
        for paths in (blank, chosen):
            began = time.process_time()
            starts(engine, paths)
            seconds.append(time.process_time() - began)
        ratios.append(seconds[1] / seconds[0])
    print(f"processor time of the scores, against the blank alone: {statistics.median(ratios):.2f} times (of 3)")


if __name__ == "__main__":
    main()
