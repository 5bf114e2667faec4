"""The benchmarks of this package as one table: what was done, beside whom, how much faster, and what was aimed at.

    python benchmarks/run.py --list
    python benchmarks/run.py --only probe-smollm2,probe-gemma --facts ENTITYQUESTIONS [--json]
    python benchmarks/run.py --vllm-python PYTHON_OF_VLLM     # with the rows that need vLLM

A row is one or more commands of this folder, each in a process of its own; ratios are medians over turns in which the
ways took their turn, all in that one process. Machine and versions stand above the table. A row whose peer, model or
data is missing says so instead of a number. --json ends with one line for each row: {"name": ..., "ratio": ..., ...}.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from recollect.errors import RecollectError
from recollect.models import resolve_name

HERE = Path(__file__).resolve().parent
PACKAGES = ("torch", "transformers", "trl", "peft", "numpy")
Found = dict[str, Any]


class Missing(Exception):
    """Why a row cannot be run here."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    peer: str
    ratio: float
    aim: float
    seconds: float
    """Ours, of the processor or the wall as the row says."""
    note: str = ""

    def json(self, work: str) -> str:
        """The line of `--json`."""
        return json.dumps({**self.__dict__, "ratio": round(self.ratio, 3), "work": work})


@dataclass(frozen=True)
class Row:
    """A piece of work, and how it is measured."""

    name: str
    work: str
    measure: Callable[[argparse.Namespace], Iterator[Line]]


def model(name: str) -> str:
    """The folder of a model, if it is here."""
    try:
        return str(resolve_name(name).folder)
    except RecollectError as error:
        raise Missing(f"{name} is not here (recollect models get {name})") from error


def facts_of(given: argparse.Namespace) -> str:
    """The folder of EntityQuestions."""
    if given.facts is None:
        raise Missing("needs --facts, the folder of EntityQuestions")
    return str(given.facts)


def script(name: str, *arguments: str, threads: int = 1, python: str = sys.executable) -> Found:
    """Run a script of this folder; its last line is JSON. What it prints goes on to stderr as it comes."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    last = ""
    command = [python, str(HERE / name), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(f"    {line}")
            last = line if line.startswith("{") else last
    if process.returncode or not last:
        raise Missing(f"{name} ended with {process.returncode}; its words stand above")
    found: Found = json.loads(last)
    return found


def ratios(ours: list[float], theirs: list[float]) -> float:
    """Median over the turns of how many times as long the peer took."""
    return median(other / one for one, other in zip(ours, theirs, strict=True))


def sampled(given: argparse.Namespace, name: str, aims: dict[str, float], count: int, threads: int) -> Iterator[Line]:
    """The sampled probe beside the peers of `probe_speed.py`, and beside the rate at which the model reads."""
    has = importlib.util.find_spec("lm_eval") is not None and "lm-evaluation-harness" in aims
    arguments = ["--model", model(name), "--facts", facts_of(given), "--count", str(count), "--methods", "sampled"]
    arguments += ["--threads", str(threads), "--repeats", str(given.repeats), "--json", *(["--lm-eval"] if has else [])]
    found = script("probe_speed.py", *arguments, threads=threads)
    seconds: dict[str, list[float]] = found["seconds"]
    ours = seconds["recollect sampled"]
    named = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
    for peer, aim in aims.items():
        for full, values in seconds.items():
            if full.startswith(peer):
                yield Line(named, full, ratios(ours, values), aim, median(ours), "processor seconds")
    share = found["prefill_seconds"] / median(ours)
    yield Line(named, "reading the same number of tokens", share, 0.6, median(ours), "share of the prefill rate")


def smollm2(given: argparse.Namespace) -> Iterator[Line]:
    """One thread and two."""
    for threads in (1, 2):
        yield from sampled(given, "smollm2", {"generate": 2.5, "lm-evaluation-harness": 2.5}, 4, threads)


def gemma(given: argparse.Namespace) -> Iterator[Line]:
    """A vocabulary of 262,144."""
    yield from sampled(given, "gemma3-270m", {"generate": 4.0}, 2, 1)


def vllm(given: argparse.Namespace) -> Iterator[Line]:
    """Two engines of two environments, in turn."""
    if given.vllm_python is None:
        raise Missing("needs --vllm-python, the python of an environment with vLLM (docs/engines.md)")
    arguments = ["--model", model("smollm2"), "--facts", facts_of(given), "--count", "4", "--compiled"]
    arguments += ["--repeats", str(given.repeats), "--beside", sys.executable]
    summary = script("probe_speed_vllm.py", *arguments, python=given.vllm_python)["summary"]
    ratio = summary["vllm_seconds_for_one_of_transformers"]["wall"]
    yield Line(
        "smollm2, 1 thread", "vLLM for CPU, compiled", ratio, 1.3, summary["transformers"]["median_seconds"], "wall"
    )


def gpu(given: argparse.Namespace) -> Iterator[Line]:
    """Needs a CUDA device."""
    import torch

    if not torch.cuda.is_available():
        raise Missing("needs a CUDA device")
    arguments = ["--model", model("smollm2"), "--facts", facts_of(given), "--count", "120", "--methods", "sampled"]
    found = script("probe_speed.py", *arguments, "--repeats", str(given.repeats), "--json")
    ours, theirs = found["seconds"]["recollect sampled"], found["seconds"]["generate, 42 prompts at a time"]
    yield Line(
        "smollm2, 120 facts, GPU", "generate, 42 prompts at a time", ratios(ours, theirs), 4.0, median(ours), "wall"
    )


def levels(name: str, count: int, aim: float) -> Callable[[argparse.Namespace], Iterator[Line]]:
    """`auto` beside our own sampled probe, in one process."""

    def measure(given: argparse.Namespace) -> Iterator[Line]:
        facts = "pocket" if name == "pocket" else facts_of(given)
        folder = "pocket" if name == "pocket" else model(name)
        found = script("levels_cost.py", "--model", folder, "--facts", facts, "--count", str(count), "--json")
        note = f"agrees with a fresh sampled probe on {100 * found['agreement']:.0f} % of {found['n']}"
        yield Line(f"{name}, {count} facts", "our own sampled probe", found["ratio"], aim, found["seconds"], note)

    return measure


def scale(_: argparse.Namespace) -> Iterator[Line]:
    """Flat means 1."""
    found = script("facts_scale.py", "--json")
    first, last = found["lines"][0], found["lines"][-1]
    peak = f"{last['bytes_per_fact'] / first['bytes_per_fact']:.2f} times the memory per fact"
    yield Line(
        f"{last['facts']} facts",
        f"{first['facts']} facts, seconds per fact",
        found["ratio"],
        1.0,
        last["seconds"],
        peak,
    )


def adapters(name: str, questions: int, sample: int) -> Callable[[argparse.Namespace], Iterator[Line]]:
    """16 adapters asked the same, beside PEFT and our own one by one."""

    def measure(given: argparse.Namespace) -> Iterator[Line]:
        facts, folder = ("pocket", "pocket") if name == "pocket" else (facts_of(given), model(name))
        arguments = ["--model", folder, "--facts", facts, "--questions", str(questions), "--sample", str(sample)]
        arguments += ["--trained", "4"]
        found = script("adapters_asked.py", *arguments, "--repeats", str(given.repeats), "--json")
        for peer, aim in (("PEFT, merged", 4.0), ("PEFT, switched", 4.0), ("ours, one by one", 1.0)):
            note = f"processor seconds; {found['differ'][peer]} of {found['asked']} texts differ"
            seconds = median(found["seconds"]["ours, together"])
            yield Line(f"{name}, 16 adapters, {questions} questions", peer, found["ratios"][peer], aim, seconds, note)

    return measure


def together(name: str) -> Callable[[argparse.Namespace], Iterator[Line]]:
    """Many trainings in one pass beside TRL and ourselves one after another, and beside the arithmetic of the work."""

    def measure(given: argparse.Namespace) -> Iterator[Line]:
        facts = [] if name == "pocket" else ["--facts", facts_of(given)]
        folder = "pocket" if name == "pocket" else model(name)
        arguments = ["--model", folder, *facts, "--count", "16", "--examples", "240"]
        found = script("lora_together.py", *arguments, "--repeats", str(given.repeats))
        peers = {"trl": "TRL, one after another", "one by one": "ours, one by one", "arithmetic": "the arithmetic"}
        aims = {"trl": 3.0, "one by one": 3.0, "arithmetic": 1.0}
        for way, peer in peers.items():
            ratio, seconds = found["ratio"][way], median(found["seconds"]["pass"])
            yield Line(f"{name}, 16 trainings, 1 thread", peer, ratio, aims[way], seconds, "processor seconds")

    return measure


def studied(name: str, cells: int, method: str) -> Callable[[argparse.Namespace], Iterator[Line]]:
    """A whole study, its cells one by one and as it chooses itself."""

    def measure(given: argparse.Namespace) -> Iterator[Line]:
        facts, folder = ("pocket", "pocket") if name == "pocket" else (facts_of(given), model(name))
        arguments = ["--model", folder, "--facts", facts, "--cells", str(cells), "--method", method, "--json"]
        threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        found = script("study_together.py", *arguments, threads=threads)
        *others, chosen = found["ways"]
        note = f"wall; cells alone {others[0]['cells'] / max(0.1, chosen['cells']):.2f} x"
        yield Line(f"{name}, {cells} cells, {method}", "one by one", found["ratio"], 2.0, chosen["whole"], note)

    return measure


ROWS = (
    Row("probe-smollm2", "sampled probe, 4 facts x 21 x 10 x 32", smollm2),
    Row("probe-vllm", "the same draws", vllm),
    Row("levels-smollm2", "levels at 89 % agreement", levels("smollm2", 60, 2.0)),
    Row("levels-pocket", "levels at 89 % agreement", levels("pocket", 200, 10.0)),
    Row("probe-gemma", "sampled probe, 2 facts, vocabulary of 262k", gemma),
    Row("probe-gpu", "sampled probe, 120 facts", gpu),
    Row("eval16-pocket", "16 adapters, 300 questions", adapters("pocket", 300, 4)),
    Row("eval16-smollm2", "16 adapters, 64 questions", adapters("smollm2", 64, 4)),
    Row("lora16-pocket", "16 LoRA trainings of 240 examples, one epoch", together("pocket")),
    Row("lora16-smollm2", "16 LoRA trainings of 240 examples, one epoch", together("smollm2")),
    Row("study36-pocket", "a study of 36 cells", studied("pocket", 36, "lora")),
    Row("study36-pocket-full", "a study of 36 cells", studied("pocket", 36, "full")),
    Row("study12-smollm2", "a study of 12 cells", studied("smollm2", 12, "lora")),
    Row("facts-scale", "closed form over many facts, pocket", scale),
)


def processor() -> str:
    """Its name, where the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> str:
    """Machine and libraries, in one line."""
    found = []
    for package in (*PACKAGES, "lm_eval"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    load = f"load {os.getloadavg()[0]:.1f}"
    return " · ".join([f"Python {platform.python_version()}", *found, processor(), f"{os.cpu_count()} cores", load])


def main() -> None:
    """Measure the rows that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names of rows, separated by commas")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--facts", type=Path, help="the folder of EntityQuestions")
    parser.add_argument("--vllm-python", help="the python of an environment with vLLM")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each way")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{row.name:16} {row.work}" for row in ROWS))
        return
    names = given.only.split(",") if given.only else [row.name for row in ROWS]
    if unknown := set(names) - {row.name for row in ROWS}:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are: {', '.join(row.name for row in ROWS)}")
    print(versions(), flush=True)
    table = Table("work", "model", "beside", "ratio", "aim", "ours, s", "")
    for row in ROWS:
        if row.name not in names:
            continue
        sys.stderr.write(f"{row.name}: {row.work}\n")
        try:
            for line in row.measure(given):
                reached = "" if line.ratio >= line.aim else "below the aim"
                numbers = f"{line.ratio:.2f} x", f"{line.aim:g} x", f"{line.seconds:.1f}"
                table.add_row(row.work, line.name, line.peer, *numbers, "; ".join(filter(None, [line.note, reached])))
                if given.json:
                    print(line.json(row.work), flush=True)
        except Missing as error:
            table.add_row(row.work, "", "", "–", "", "", f"not run: {error}")
    Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    main()
