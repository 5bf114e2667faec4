"""How fast is the probe, beside what a user would write with transformers? One run, one machine, ratios.

    python benchmarks/probe_speed.py [--count 10]                                      # the pocket
    python benchmarks/probe_speed.py --model SMOLLM2 --facts ENTITYQUESTIONS --count 4 --repeats 3
    python benchmarks/probe_speed.py --model GEMMA3 --facts ENTITYQUESTIONS --count 2

Peers: `model.generate(num_return_sequences=10)` in batches of 42 prompts, with top_k=0 and top_p=1 as the studies'
definition wants; with --continuous `model.generate_batch` (paged cache, continuous batching); with --lm-eval the model
class of lm-evaluation-harness, which is given every prompt ten times, as its `repeats` do. All read the same prompts
(21 templates a fact) and draw 10 continuations of at most 32 tokens each, in the number format that `dtype: auto` takes
(or --dtype). The ways are run in turn, `repeats` times; seconds are of processor time, so that
other work on the machine counts little, and ratios are medians over the turns. Last, the rate at which the model reads
prompts of 32 tokens: the most that any sampler of one token a draw and step could reach. --json ends with one line of
JSON.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from transformers import GenerationConfig

from recollect.facts import FactSet, load_facts, read_relations
from recollect.models import LoadedModel, ModelSettings, load
from recollect.probe import ProbeSettings, run_probe

DRAWS, TOKENS = 10, 32


def generate(loaded: LoadedModel, prompts: list[str], batch: int) -> None:
    """The peer: transformers' own sampling, `batch` prompts at a time."""
    torch.manual_seed(0)
    for at in range(0, len(prompts), batch):
        given = loaded.tokenizer(prompts[at : at + batch], return_tensors="pt", padding=True, padding_side="left")
        loaded.model.generate(
            input_ids=given["input_ids"].to(loaded.device),
            attention_mask=given["attention_mask"].to(loaded.device),
            do_sample=True,
            temperature=0.7,
            top_k=0,
            top_p=1.0,
            num_return_sequences=DRAWS,
            max_new_tokens=TOKENS,
            pad_token_id=loaded.tokenizer.pad_token_id,
        )


def continuous(loaded: LoadedModel, prompts: list[str]) -> None:
    """transformers' continuous batching; it knows no several draws of a prompt, so each prompt is given ten times."""
    given = [ids for ids in loaded.tokenizer(prompts)["input_ids"] for _ in range(DRAWS)]
    config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        top_k=0,
        top_p=1.0,
        max_new_tokens=TOKENS,
        pad_token_id=loaded.tokenizer.pad_token_id,
        eos_token_id=loaded.tokenizer.eos_token_id,
    )
    before = loaded.model.config._attn_implementation
    try:
        found = loaded.model.generate_batch(inputs=given, generation_config=config, progress_bar=False)
    finally:
        loaded.model.set_attn_implementation(before)
    if len(found) < len(given):
        raise RuntimeError(f"generate_batch answered {len(found)} of {len(given)}")


def harness(loaded: LoadedModel, prompts: list[str], batch: int) -> Callable[[], object]:
    """lm-evaluation-harness' own model class; a task with `repeats: 10` asks each prompt ten times."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch, max_length=512)
    how = {"until": [], "do_sample": True, "temperature": 0.7, "top_k": 0, "top_p": 1.0, "max_gen_toks": TOKENS}
    asked = [
        Instance("generate_until", {}, (prompt, how), index)
        for index, prompt in enumerate(prompt for prompt in prompts for _ in range(DRAWS))
    ]
    return lambda: model.generate_until(asked, disable_tqdm=True)


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time (of the wall on a GPU) of one call."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started = clock()
    work()
    return clock() - started


def prefill_rate(loaded: LoadedModel) -> float:
    """Tokens a second that the model reads, 48 prompts of 32 tokens at a time, with the logits of every token."""
    ids = torch.randint(5, loaded.model.config.get_text_config().vocab_size, (48, TOKENS), device=loaded.device)
    with torch.inference_mode():
        loaded.model(input_ids=ids[:2])
        return ids.numel() / statistics.median(timed(lambda: loaded.model(input_ids=ids)) for _ in range(3))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", default="pocket")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--methods", default="sampled,hybrid,closed-form")
    parser.add_argument("--continuous", action="store_true")
    parser.add_argument("--lm-eval", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    loaded = load(ModelSettings.make(model=given.model, dtype=given.dtype))
    if given.threads:
        torch.set_num_threads(given.threads)
    every, relations = load_facts(given.facts), read_relations(None)
    facts = FactSet(every.facts[:: max(1, len(every) // given.count)][: given.count])
    prompts = [prompt for fact in facts for prompt in relations[fact.relation].prompts(fact.subject)]
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {loaded.machine.line()}")
    print(f"{torch.get_num_threads()} threads of torch")
    print(f"{len(facts)} facts, {len(prompts)} prompts, {len(prompts) * DRAWS} completions\n", flush=True)

    def ours(method: str, some: FactSet) -> Callable[[], object]:
        def work() -> None:
            with tempfile.TemporaryDirectory() as folder:
                settings = ProbeSettings.make(model=given.model, dtype=given.dtype, method=method)
                run_probe(settings, some, Path(folder) / "p", loaded=loaded)

        return work

    ways: dict[str, Callable[[], object]] = {"generate, 42 prompts at a time": lambda: generate(loaded, prompts, 42)}
    ways |= {f"recollect {method}": ours(method, facts) for method in given.methods.split(",")}
    if given.continuous:
        ways["generate_batch"] = lambda: continuous(loaded, prompts)
    if given.lm_eval:
        name = f"lm-evaluation-harness {importlib.metadata.version('lm_eval')}"
        ways[name] = harness(loaded, prompts, 42 * DRAWS)
    ours("closed-form", FactSet(facts.facts[:1]))()  # warm-up
    seconds = report(ways, given.repeats)
    rate = prefill_rate(loaded)
    tokens = len(prompts) * DRAWS * TOKENS
    print(f"\nreading prompts: {rate:.0f} tokens/s; {tokens / rate:.1f} s for all tokens")
    if given.json:
        print(json.dumps({"facts": len(facts), "seconds": seconds, "prefill_seconds": tokens / rate}))


def report(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Run the ways in turn, print their seconds and ratios, return the seconds; what fails is printed and left out."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in list(ways.items()):
            try:
                seconds[name].append(timed(work))
                print(f"  {name:32} {seconds[name][-1]:8.2f} s", flush=True)
            except Exception:  # the others are worth having
                print(f"  {name}: FAILED\n{traceback.format_exc()}", flush=True)
                del ways[name]
    peer = next(iter(seconds.values()))
    print()
    for name, values in seconds.items():
        if values:
            ratio = statistics.median(one / other for one, other in zip(peer, values, strict=True))
            print(f"{name:32} {statistics.median(values):8.2f} s  {ratio:6.1f} x the speed of batched generate")
    return {name: values for name, values in seconds.items() if len(values) == repeats}


if __name__ == "__main__":
    main()
