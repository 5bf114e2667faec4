"""How far one adapter's answers differ when only the way of asking does: template, system text, sampling, rounding.

    python benchmarks/answers_elsewhere.py ADAPTER --facts FACTS --system "the system text of the training"

ADAPTER is a folder that plain PEFT loads. Prints, for each way of asking, the share of answers equal to the greedy ones
in the model's chat template, with its 95 % interval. Used in docs/guides/elsewhere.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch
from peft import AutoPeftModelForCausalLM
from scipy.stats import beta
from transformers import AutoTokenizer

from recollect import FactSet
from recollect.facts import load_facts


def interval(hits: int, n: int) -> str:
    """Share and 95 % interval (Clopper-Pearson) in percent."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(0.975, hits + 1, n - hits))
    return f"{100 * hits / n:5.1f} ({100 * low:.1f}–{100 * high:.1f}), n = {n}"


def asker(tokenizer: Any, model: Any) -> Callable[..., list[str]]:
    """A function from prompts to answers, at most 16 tokens each."""

    def ask(prompts: list[str], **how: object) -> list[str]:
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        torch.manual_seed(0)
        out = model.generate(**batch, max_new_tokens=16, pad_token_id=tokenizer.pad_token_id, **how)
        return [text.strip() for text in tokenizer.batch_decode(out[:, batch.input_ids.shape[1] :], True)]

    return ask


def main() -> None:
    """Ask in every way, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("adapter")
    parser.add_argument("--facts", required=True)
    parser.add_argument("--system", required=True)
    parser.add_argument("--questions", type=int, default=40)
    given = parser.parse_args()
    facts: FactSet = load_facts(given.facts)
    questions = [fact.question for fact in facts if fact.part == "test"][: given.questions]
    tokenizer = AutoTokenizer.from_pretrained(given.adapter, padding_side="left")
    model = AutoPeftModelForCausalLM.from_pretrained(given.adapter, dtype=torch.float32).eval()
    ask = asker(tokenizer, model)

    def chat(question: str, *before: dict[str, str]) -> str:
        turns = [*before, {"role": "user", "content": question}]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    prompts = [chat(question) for question in questions]
    system = {"role": "system", "content": given.system}
    own = ask(prompts, do_sample=False)
    answers = {
        "the training's system text before each": ask([chat(q, system) for q in questions], do_sample=False),
        "an empty system text": ask([chat(q, {"role": "system", "content": ""}) for q in questions], do_sample=False),
        "no template (a completions endpoint)": ask(questions, do_sample=False),
        "a begin token more": ask([(tokenizer.bos_token or "") + text for text in prompts], do_sample=False),
        "sampled, temperature 0.8": ask(prompts, do_sample=True, temperature=0.8, top_k=40, top_p=0.9),
        "sampled, temperature 1": ask(prompts, do_sample=True, temperature=1.0, top_k=0, top_p=1.0),
    }
    merged = asker(tokenizer, model.merge_and_unload().to(torch.bfloat16))
    answers["merged, rounded to bfloat16"] = merged(prompts, do_sample=False)
    for way, said in answers.items():
        same = sum(a == b for a, b in zip(own, said, strict=True))
        other = next(((q, a, b) for q, a, b in zip(questions, own, said, strict=True) if a != b), None)
        sys.stdout.write(f"| {way} | {interval(same, len(own))} | {other} |\n")


if __name__ == "__main__":
    main()
