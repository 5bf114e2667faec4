"""The start of a command: from `recollect probe` to its first token, in wall and CPU time, by its parts.

    python benchmarks/startup.py [--model smollm2] [--repeats 5]

The command runs in a process of its own and ends itself at the first call of the sampler. `cpu` counts all threads.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_PROGRAM = """
import os, sys
import recollect.cli.main as command
import recollect.generate.transformers as engine
from recollect.core import phases
def first(*arguments, **named):
    used = os.times()
    print("CPU", used.user + used.system, file=sys.stderr)
    print(phases.start_up_line(), file=sys.stderr, flush=True)
    os._exit(0)
engine.TransformersEngine.sample = first
sys.argv = ["recollect", "probe", *sys.argv[1:]]
command.main()
"""


def once(model: str, folder: Path) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds and the command's own line."""
    given = ["--model", model, "--method", "sampled", "--dtype", "bfloat16", "--limit", "4", "--out", str(folder)]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *given], stderr=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - started
    *_, cpu, line = done.stderr.strip().splitlines()
    return wall, float(cpu.removeprefix("CPU ")), line


def main() -> None:
    """Print each run and the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "numpy"))
    print(f"{versions} · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    runs = []
    for number in range(given.repeats):
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu, line = once(given.model, Path(folder) / "probe")
        runs.append((wall, cpu))
        print(f"{number + 1}: wall {wall:.2f} s, cpu {cpu:.2f} s; {line}", flush=True)
    print(
        "median: wall {:.2f} s, cpu {:.2f} s".format(*(statistics.median(column) for column in zip(*runs, strict=True)))
    )


if __name__ == "__main__":
    main()
