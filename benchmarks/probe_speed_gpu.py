"""The sampler on a GPU beside a plain batched loop, each phase timed. Needs torch, transformers, numpy and the package.

    python benchmarks/probe_speed_gpu.py --model FOLDER --facts FILE_OR_FOLDER [--count 120]

Prints: seconds to load; a plain loop like `generate` (a cache that is concatenated, softmax and multinomial, 42 prompts
at a time); this package's sampler, eager, with batches by free memory; the same steps replayed as a CUDA graph (fixed
rows and memory; what fails there is printed and the rest goes on); where the time of a batch goes; hits by each way,
and whether first tokens follow the softmax. One warm-up each, on few prompts.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from recollect.core.machine import Machine
from recollect.facts import FactSet, load_facts, read_relations
from recollect.generate import Ask, Sampling, TransformersEngine, distribution
from recollect.generate.attention import packed
from recollect.generate.cache import InPlaceLayer
from recollect.generate.encoding import prompt_ids
from recollect.generate.random import draw_keys, uniforms
from recollect.generate.state import State, prefill
from recollect.match import contains
from recollect.models import LoadedModel

T, DRAWS, TOKENS = 0.7, 10, 32


def synchronize() -> None:
    """Wait for the device, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def timed(name: str, into: dict[str, float]) -> Any:
    """Print and keep the seconds of what is inside, and the peak of memory."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    synchronize()
    started = time.perf_counter()
    yield
    synchronize()
    into[name] = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    print(f"{name:58} {into[name]:8.2f} s   peak {peak:6.1f} GiB", flush=True)


def plain_loop(loaded: LoadedModel, prompts: list[list[int]], batch: int) -> list[list[list[int]]]:
    """What one writes: every draw its own row, transformers' cache, softmax, multinomial, stops looked at once."""
    model, device, said = loaded.model, loaded.model.device, []
    generator = torch.Generator(device).manual_seed(0)
    with torch.inference_mode():
        for at in range(0, len(prompts), batch):
            some = [ids for ids in prompts[at : at + batch] for _ in range(DRAWS)]
            longest = max(map(len, some))
            mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in some], device=device)
            tokens = torch.tensor([[0] * (longest - len(ids)) + ids for ids in some], device=device)
            positions, cache, out = (mask.cumsum(1) - 1).clamp(min=0), None, []
            for _ in range(TOKENS):
                found = model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                cache = found.past_key_values
                weights = torch.softmax(found.logits[:, -1].float() / T, dim=-1)
                tokens = torch.multinomial(weights, 1, generator=generator)
                out.append(tokens)
                mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
                positions = positions[:, -1:] + 1
            rows = torch.cat(out, dim=1).tolist()
            said += [rows[at : at + DRAWS] for at in range(0, len(rows), DRAWS)]
    return said


def asks_of(prompts: list[list[int]]) -> list[Ask]:
    """One ask a prompt."""
    return [Ask(ids, "fact", number, DRAWS) for number, ids in enumerate(prompts)]


def ours(engine: TransformersEngine, prompts: list[list[int]], batch: int) -> list[list[list[int]]]:
    """The package's sampler."""
    asks = asks_of(prompts)
    found = [engine.sample(asks[at : at + batch], Sampling(T, TOKENS)) for at in range(0, len(asks), batch)]
    return [list(one.draws) for some in found for one in some]


class FixedLayer(InPlaceLayer):
    """Written at a place that is a tensor, and read whole: what a graph can replay."""

    place: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write at `place`; without one as its parent does."""
        if self.place is None:
            return super().update(key_states, value_states)
        rows = key_states.shape[0]
        for memory, new in self._pairs(key_states, value_states):
            memory[:rows].index_copy_(2, self.place, new)
        return self._memory[0][:rows], self._memory[1][:rows]


class Graph:
    """One token of every row, captured once and replayed: read the last token, draw the next, write all in place."""

    def __init__(self, state: State, first: torch.Tensor) -> None:
        self.state, self.tokens = state, first.clone()
        rows, read, device = state.rows, int(state.mask.shape[1]), state.mask.device
        self.mask = torch.zeros(rows, read + TOKENS, dtype=torch.bool, device=device)
        self.mask[:, :read] = state.mask.bool()
        self.place = torch.tensor([read], device=device)
        self.position = state.position.clone()
        self.uniform = torch.zeros(rows, dtype=torch.float64, device=device)
        for layer in state.cache.layers:
            layer.__class__ = FixedLayer
            layer.place = self.place
        kept = [one.clone() for one in (self.tokens, self.mask, self.place, self.position)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), torch.inference_mode():
            self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            for one, value in zip((self.tokens, self.mask, self.place, self.position), kept, strict=True):
                one.copy_(value)
            with torch.cuda.graph(self.graph):
                self.step()
            for one, value in zip((self.tokens, self.mask, self.place, self.position), kept, strict=True):
                one.copy_(value)

    def step(self) -> None:
        """One token; everything it changes is changed in place."""
        self.mask.index_fill_(1, self.place, True)
        output = self.state.model(
            input_ids=self.tokens[:, None],
            attention_mask=self.mask[:, None, None, :],
            position_ids=self.position[:, None],
            past_key_values=self.state.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.tokens.copy_(distribution.pick(output.logits[:, -1], self.uniform, temperature=T))
        self.place += 1
        self.position += 1

    def token(self, uniform: torch.Tensor) -> torch.Tensor:
        """The next token of every row."""
        self.uniform.copy_(uniform)
        self.graph.replay()
        return self.tokens.clone()


def replayed(loaded: LoadedModel, prompts: list[list[int]], batch: int) -> list[list[list[int]]]:
    """The same draws with fixed rows and memory, each step a graph's replay."""
    said: list[list[list[int]]] = []
    for at in range(0, len(prompts), batch):
        some = prompts[at : at + batch]
        rows = np.repeat(np.arange(len(some)), DRAWS)
        keys = draw_keys(0, ["fact"] * len(rows), (rows + at).tolist(), list(range(DRAWS)) * len(some))
        state = prefill(loaded.model, some, loaded.tokenizer.pad_token_id or 0, room=TOKENS, rows=len(rows))
        device = state.mask.device
        numbers = torch.as_tensor(np.stack([uniforms(keys, step) for step in range(TOKENS)]), device=device)
        out = [distribution.pick(state.logits, numbers[0], rows, temperature=T)]
        state.select(torch.as_tensor(rows, device=device))
        with packed(loaded.model):
            graph = Graph(state, out[0])
            out += [graph.token(number) for number in numbers[1:]]
        drawn = torch.stack(out, dim=1).tolist()
        said += [drawn[at : at + DRAWS] for at in range(0, len(drawn), DRAWS)]
    return said


def attempt(name: str, work: Callable[[], Any], into: dict[str, float]) -> Any:
    """Run and time; a failure is printed and None is given back."""
    try:
        with timed(name, into):
            return work()
    except Exception:  # the other measurements are worth having
        print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
        return None


def until_stop(draws: list[list[list[int]]], stops: set[int]) -> list[list[list[int]]]:
    """Each draw up to its first stop token."""
    return [
        [ids[: next((at for at, token in enumerate(ids) if token in stops), len(ids))] for ids in some]
        for some in draws
    ]


def profile_step(engine: TransformersEngine, prompts: list[list[int]]) -> None:
    """The kernels of one batch."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        engine.sample(asks_of(prompts), Sampling(T, 9))
        synchronize()
    by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    print(profiler.key_averages().table(sort_by=by, row_limit=18, max_name_column_width=60), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--facts", default="pocket")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--templates", type=int, default=21)
    parser.add_argument("--plain-batch", type=int, default=42, help="prompts of the plain loop at a time")
    given = parser.parse_args()
    seconds: dict[str, float] = {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {name}", flush=True)
    with timed("load", seconds):
        model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.bfloat16).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(given.model)
        machine = Machine(1, "benchmark", device, "benchmark", "bfloat16", "benchmark")
        loaded = LoadedModel(model, tokenizer, Path(given.model), "", machine)
        engine = TransformersEngine(loaded)
    every, relations = load_facts(given.facts), read_relations(None)
    facts = FactSet(every.facts[:: max(1, len(every) // given.count)][: given.count])
    texts = [text for fact in facts for text in relations[fact.relation].prompts(fact.subject)[: given.templates]]
    prompts = [list(ids) for ids in prompt_ids(tokenizer, texts)]
    batch = engine.batch_size(DRAWS)
    print(
        f"{len(facts)} facts, {len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens, "
        f"{len(prompts) * DRAWS} completions of {TOKENS} tokens; {batch} prompts at a time by memory\n",
        flush=True,
    )
    few = prompts[:4]
    attempt("warm-up, plain", lambda: plain_loop(loaded, few, 4), seconds)
    attempt("warm-up, ours", lambda: ours(engine, few, 4), seconds)
    measure(loaded, engine, prompts, facts, batch, given, seconds)


def measure(
    loaded: LoadedModel,
    engine: TransformersEngine,
    prompts: list[list[int]],
    facts: FactSet,
    batch: int,
    given: argparse.Namespace,
    seconds: dict[str, float],
) -> None:
    """Every way once, the two that matter twice, and what they agree in."""
    attempt(f"self-test (p = {engine.self_test(T)})", lambda: engine.self_test(T), seconds)
    plain = attempt(
        f"plain loop, {given.plain_batch} prompts at a time",
        lambda: plain_loop(loaded, prompts, given.plain_batch),
        seconds,
    )
    mine = attempt("ours, eager, batches by memory", lambda: ours(engine, prompts, batch), seconds)
    for size in (given.plain_batch, 512, 1024):
        attempt(f"ours, eager, {size} prompts at a time", lambda size=size: ours(engine, prompts, size), seconds)
    attempt("ours, eager, batches by memory, again", lambda: ours(engine, prompts, batch), seconds)
    graph = None
    if torch.cuda.is_available():
        for size in (given.plain_batch, 512, batch):
            graph = attempt(
                f"fixed rows and memory, CUDA graph, {size} prompts at a time",
                lambda size=size: replayed(loaded, prompts, size),
                seconds,
            )
    attempt("plain loop, batches as large as ours", lambda: plain_loop(loaded, prompts, batch), seconds)
    compare(loaded, engine, prompts, facts, given, {"plain": plain, "ours": mine, "graph": graph})
    base = next((value for name, value in seconds.items() if name.startswith("plain loop")), None)
    if base is not None:
        print("\nspeed beside the plain loop:")
        for name, value in seconds.items():
            print(f"  {name:58} {base / value:6.2f} x")
    attempt("profile of one batch", lambda: profile_step(engine, prompts[:batch]), seconds)


def compare(
    loaded: LoadedModel,
    engine: TransformersEngine,
    prompts: list[list[int]],
    facts: FactSet,
    given: argparse.Namespace,
    found: dict[str, list[list[list[int]]] | None],
) -> None:
    """Hits by each way, equal draws of ours and the graph's, and first tokens against softmax of a plain pass."""
    stops = set(engine._stops)
    cut = {name: until_stop(draws, stops) for name, draws in found.items() if draws is not None}
    for name, draws in cut.items():
        hits = sum(
            contains(engine.decode(ids), facts.facts[at // given.templates].accepted)
            for at, some in enumerate(draws)
            for ids in some
        )
        total = sum(map(len, draws))
        print(
            f"hits, {name:6}: {hits} of {total} = {hits / total:.4f} (standard error about {(hits**0.5) / total:.4f})"
        )
    for name in ("graph",):
        if "ours" in cut and name in cut:
            pairs = [(a, b) for x, y in zip(cut["ours"], cut[name], strict=True) for a, b in zip(x, y, strict=True)]
            first = sum(a[:1] == b[:1] for a, b in pairs) / len(pairs)
            print(
                f"ours and {name}: the same first token in {first:.2%} of the draws, the same text in "
                f"{sum(a == b for a, b in pairs) / len(pairs):.2%} (bfloat16: kernels round otherwise for other shapes)"
            )
    z = _z_of_first_tokens(loaded, prompts[:64], {name: draws[:64] for name, draws in cut.items()}, stops)
    print("first tokens: mean log-probability less its expectation, in standard errors:", z)


def _z_of_first_tokens(
    loaded: LoadedModel, prompts: list[list[int]], found: dict[str, list[list[list[int]]]], stops: set[int]
) -> dict[str, float]:
    """Each way's drawn first tokens (of those that are no stop) against softmax(z / T) of an unbatched pass."""
    sums = {name: [0.0, 0.0] for name in found}
    with torch.inference_mode():
        for at, ids in enumerate(prompts):
            logits = loaded.model(input_ids=torch.tensor([ids], device=loaded.model.device)).logits[0, -1].double()
            logits[list(stops)] = -torch.inf
            logs = torch.log_softmax(logits / T, dim=-1).cpu()
            p = logs.exp()
            finite = torch.where(p > 0, logs, 0.0)
            mean = float((p * finite).sum())
            variance = float((p * finite**2).sum()) - mean**2
            for name, draws in found.items():
                firsts = [said[0] for said in draws[at] if said]
                sums[name][0] += sum(float(logs[token]) - mean for token in firsts)
                sums[name][1] += variance * len(firsts)
    return {name: round(total / max(1e-9, spread) ** 0.5, 2) for name, (total, spread) in sums.items()}


if __name__ == "__main__":
    main()
