"""Do time and memory per fact stay flat from a thousand facts to sixteen thousand? On the pocket.

    python benchmarks/facts_scale.py [--counts 1000,4000,16000] [--method closed-form] [--json]

The facts are the pocket's own, each once more under other names until there are enough: `Subject (2)`, and so on. Each
count is probed in a process of its own, whose processor seconds and peak memory are read; loading is taken off by a
probe of ten facts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from recollect.facts import FactSet, load_facts
from recollect.probe import ProbeSettings, run_probe


def facts_of(count: int) -> FactSet:
    """So many facts, no two alike."""
    every = list(load_facts("pocket"))
    more = [
        replace(fact, subject=name, question=fact.question.replace(fact.subject, name), id="", split="train")
        for turn in range(-(-count // len(every)))
        for fact in every
        for name in [f"{fact.subject} ({turn})"]
    ]
    return FactSet(list({fact.id: fact for fact in more}.values())[:count])


def once(count: int, method: str) -> None:
    """Probe and print what it took."""
    facts = facts_of(count)
    with tempfile.TemporaryDirectory() as folder:
        run_probe(ProbeSettings.make(model="pocket", method=method), facts, Path(folder) / "p")
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"facts": len(facts), "seconds": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}
    print(json.dumps(found))


def measured(count: int, method: str) -> dict[str, float]:
    """`once` in a process of its own."""
    ran = subprocess.run(
        [sys.executable, __file__, "--one", str(count), "--method", method],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Print a line per count; the ratio is of the seconds per fact of the most to those of the fewest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1000,4000,16000")
    parser.add_argument("--method", default="closed-form")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        once(given.one, given.method)
        return
    empty = measured(10, given.method)
    print(f"10 facts: {empty['seconds']:.1f} s, {empty['peak_bytes'] / 2**20:.0f} MiB (taken off below)", flush=True)
    lines = []
    for count in map(int, given.counts.split(",")):
        found = measured(count, given.method)
        each = 1000 * (found["seconds"] - empty["seconds"]) / found["facts"]
        bytes_each = (found["peak_bytes"] - empty["peak_bytes"]) / found["facts"]
        lines.append({"facts": found["facts"], "ms_per_fact": each, "bytes_per_fact": bytes_each, **found})
        print(
            f"{found['facts']:6} facts: {each:.2f} ms and {bytes_each / 1024:.1f} KiB per fact;"
            f" {found['seconds']:.1f} s, {found['peak_bytes'] / 2**20:.0f} MiB in all",
            flush=True,
        )
    ratio = lines[-1]["ms_per_fact"] / lines[0]["ms_per_fact"]
    print(f"seconds per fact, {lines[-1]['facts']} beside {lines[0]['facts']}: {ratio:.2f}")
    if given.json:
        print(json.dumps({"ratio": ratio, "lines": lines}))


if __name__ == "__main__":
    main()
