"""How near does each way to probe come to the studies' 21 x 10 draws, what does it state of that, what does it cost?

    python benchmarks/estimators.py --model smollm2 --facts FACTS --count 300 --json OUT.json

`--facts` is a facts step, a data file or a folder of EntityQuestions; `--count` train facts of it are probed, spread
over the relations. One model in memory serves all: first `--fresh` full sampled probes, then each way once, every one
with a seed of its own. The former are what agreement is measured against (mean over them; the interval is exact, for
the number of facts) and their mean is the reference of R (its noise is taken out of the RMSE). Works without a network,
on a processor or a GPU; prints a line and renews the JSON as each way ends, then the table as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from recollect import __version__
from recollect.core.estimates import proportion
from recollect.core.machine import Machine
from recollect.facts import FactSet, load_facts
from recollect.models import LoadedModel, ModelSettings, load
from recollect.probe import ProbeResult, ProbeSettings, run_probe
from recollect.probe.levels import level_of

TEMPLATES, SAMPLES = 21, 10
WAYS = ("sampled", "adaptive", "hybrid", "auto", "closed-form")
PACKAGES = ("torch", "transformers", "numpy", "polars")


@dataclass
class Bench:
    """One model in memory and the facts it is asked; every probe is a run of the product."""

    loaded: LoadedModel
    facts: FactSet
    common: dict[str, object]
    folder: Path
    seconds: list[tuple[float, float]] = field(default_factory=list)
    """(wall, processor) of every probe so far."""

    def probe(self, method: str, seed: int) -> ProbeResult:
        """One probe, timed; prints a line."""
        settings = ProbeSettings.make(method=method, seed=seed, **self.common)
        wall, processor = time.perf_counter(), time.process_time()
        found = run_probe(settings, self.facts, self.folder / f"{method}-{seed}", loaded=self.loaded)
        self.seconds.append((time.perf_counter() - wall, time.process_time() - processor))
        print(
            f"{method:12} seed {seed}: {self.seconds[-1][0]:6.1f} s ({self.seconds[-1][1]:.1f} of the processor), "
            f"{found.found.draws:,} draws, levels {list(found.found.levels.values())}",
            flush=True,
        )
        return found


def bench(given: argparse.Namespace, folder: Path) -> Bench:
    """What the flags of `flags` name, the model loaded."""
    facts = load_facts(given.facts)
    loaded = load(ModelSettings.make(model=given.model, dtype=given.dtype, device=given.device))
    print(f"{versions()}\n{loaded.machine.line()}", flush=True)
    common: dict[str, object] = {
        "model": given.model,
        "facts": given.facts,
        "parts": "train",
        "limit": given.count,
        "dtype": given.dtype,
        "device": given.device,
    }
    return Bench(loaded, facts, common, folder)


def versions() -> str:
    """Of what decides speed and numbers."""
    named = " · ".join(f"{name} {number}" for name, number in _versions().items())
    return f"{named} · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def _versions() -> dict[str, str]:
    own = {"recollect": __version__, "python": platform.python_version()}
    return own | {name: version(name) for name in PACKAGES}


@dataclass(frozen=True)
class Row:
    """What one way found, beside the fresh full probes."""

    way: str
    bias: float
    """Of R, against the mean of the fresh probes."""
    rmse: float
    """Of R; the noise of that mean taken out."""
    agreement: tuple[float, float, float]
    """Share of facts with the level of a fresh full probe: mean, and its 95 % interval."""
    stated: float | None
    draws: int
    share: float
    """Of the draws of a full probe."""
    wall: float
    processor: float
    choice: str = ""
    """Of auto."""
    expected: float | None = None
    """Agreement that auto expected when it chose."""

    @property
    def markdown(self) -> str:
        """A line of the table."""
        mean, low, high = (f"{100 * one:.1f}" for one in self.agreement)
        stated = "not" if self.stated is None else f"{100 * self.stated:.1f} %"
        return (
            f"| `{self.way}` | {self.bias:+.4f} | {self.rmse:.4f} | {mean} % ({low}–{high}) | {stated} | "
            f"{self.draws:,} ({100 * self.share:.0f} %) | {self.wall:.1f} | {self.processor:.1f} |"
        )


@dataclass(frozen=True)
class Fresh:
    """Full sampled probes of the same facts, for comparison."""

    levels: np.ndarray
    """[probes, facts]"""
    rates: np.ndarray
    """Hits / draws of all of them [facts, templates]."""

    @classmethod
    def of(cls, probes: list[ProbeResult]) -> Fresh:
        """From so many sampled probes."""
        hits = sum(np.array(one.levels["hits"].to_list()) for one in probes)
        levels = np.array([one.levels["level"].to_list() for one in probes])
        return cls(levels, hits / (SAMPLES * len(probes)))

    @property
    def noise(self) -> float:
        """Expected squared error of the mean R of a fact, over facts."""
        draws = SAMPLES * len(self.levels)
        return float((self.rates * (1 - self.rates) / max(1, draws - 1)).sum(axis=1).mean() / TEMPLATES**2)

    @property
    def best(self) -> float:
        """Agreement of the levels of these rates themselves with one of the probes: more is hardly to be had."""
        return self.agreement(level_of(self.rates.mean(axis=1), TEMPLATES * SAMPLES))[0]

    def agreement(self, level: np.ndarray) -> tuple[float, float, float]:
        """Mean over the probes; the interval is exact for one probe of these facts, so too wide for several."""
        share = float((self.levels == level).mean())
        found = proportion(round(share * len(level)), len(level))
        return share, found.low, found.high

    def row(self, way: str, probe: ProbeResult, seconds: tuple[float, float]) -> Row:
        """The line of a probe."""
        found, table = probe.found, probe.levels
        off = table["score"].to_numpy() - self.rates.mean(axis=1)
        choice = found.choice
        return Row(
            way=way,
            bias=float(off.mean()),
            rmse=float(np.sqrt(max(0.0, (off**2).mean() - self.noise))),
            agreement=self.agreement(table["level"].to_numpy()),
            stated=found.expected_repeat_agreement,
            draws=found.draws or 0,
            share=(found.draws or 0) / (TEMPLATES * SAMPLES * found.facts),
            wall=seconds[0],
            processor=seconds[1],
            choice=choice.words if choice else "",
            expected=choice.taken.agreement if choice and choice.taken else None,
        )


def compare(ways: list[str], fresh: int, seed: int, on: Bench) -> Iterator[tuple[Row, Fresh]]:
    """The full probes to compare with, then a row for each way as it ends; each probe has its own seed."""
    further = Fresh.of([on.probe("sampled", seed + 100 + number) for number in range(fresh)])
    for number, way in enumerate(ways):
        yield further.row(way, on.probe(way, seed + number), on.seconds[-1]), further


def flags(about: str, count: int) -> argparse.ArgumentParser:
    """The flags that these benchmarks share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--facts", default="pocket")
    parser.add_argument("--count", type=int, default=count, help="train facts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="write what was found there")
    return parser


def write_json(path: Path | None, on: Bench, values: dict[str, object]) -> None:
    """What was found, with the versions and the machine."""
    if path is None:
        return
    machine: Machine = on.loaded.machine
    about = {"versions": _versions(), "machine": machine.line(), "asked": on.common}
    path.write_text(json.dumps(about | values, indent=1))


def main() -> None:
    """Probe, compare, print."""
    parser = flags(__doc__ or "", 300)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--fresh", type=int, default=3, help="further full probes to compare with")
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        on = bench(given, Path(folder))
        for row, fresh in compare(given.ways.split(","), given.fresh, given.seed, on):
            rows.append(row)
            print(row.markdown + (f"\n{row.choice}" if row.choice else ""), flush=True)
            about = {"facts": fresh.levels.shape[1], "fresh": given.fresh, "mean_r": float(fresh.rates.mean())}
            # as it goes, so that a run cut off has told what it saw
            write_json(given.json, on, {**about, "best": fresh.best, "rows": [asdict(one) for one in rows]})
    print(
        f"\n{fresh.levels.shape[1]} facts; each way once, against {given.fresh} fresh full probes; mean R "
        f"{fresh.rates.mean():.4f}; their pooled levels agree with one of them on {100 * fresh.best:.1f} %\n\n"
        "| way | bias of R | RMSE of R | same level as a fresh full probe (95 %) | stated | draws | seconds | "
        "processor seconds |\n|---|---|---|---|---|---|---|---|"
    )
    for row in rows:
        print(row.markdown)
    for row in rows:
        if row.choice:
            print(f"\n{row.way}: {row.choice}")


if __name__ == "__main__":
    main()
