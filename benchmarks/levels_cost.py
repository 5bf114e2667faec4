"""What do the levels of `auto` cost beside those of the studies' sampled probe, and are they the same?

    python benchmarks/levels_cost.py --model smollm2 --facts FACTS --count 60 --json OUT.json

Sampled and auto take turns (`--repeats`), each run with a seed of its own, in one process with one model; one of the
sampled probes of another seed is what both are compared with. Printed: the median of the turns' ratios of processor
seconds, agreement with that probe over all turns, and draws. Other ways: `--ways auto,closed-form`.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from estimators import Bench, Fresh, Row, bench, flags, write_json

Turn = dict[str, Row]


@dataclass(frozen=True)
class Cost:
    """Of a way, over the turns."""

    way: str
    times_faster: float
    """Median over turns: processor seconds of sampled / of this way."""
    times_faster_wall: float
    agreement: float
    """With a fresh full probe, mean over turns."""
    agreement_sampled: float
    """Of sampled itself."""
    stated: float | None
    share_of_draws: float


def turns(on: Bench, ways: list[str], repeats: int, seed: int) -> list[Turn]:
    """Each way once a turn, sampled first; every run with a seed of its own."""
    names = ["sampled", *ways]
    fresh = Fresh.of([on.probe("sampled", seed + 500)])  # also warms up
    found = []
    for turn in range(repeats):
        probes = {way: on.probe(way, seed + 10 * turn + number) for number, way in enumerate(names)}
        found.append({way: fresh.row(way, probes[way], on.seconds[-len(names) + at]) for at, way in enumerate(names)})
    return found


def cost(way: str, found: list[Turn]) -> Cost:
    """A way beside sampled, over the turns."""
    mine, full = [turn[way] for turn in found], [turn["sampled"] for turn in found]
    stated = [one.stated for one in mine if one.stated is not None]
    return Cost(
        way=way,
        times_faster=statistics.median(b.processor / a.processor for a, b in zip(mine, full, strict=True)),
        times_faster_wall=statistics.median(b.wall / a.wall for a, b in zip(mine, full, strict=True)),
        agreement=float(np.mean([one.agreement[0] for one in mine])),
        agreement_sampled=float(np.mean([one.agreement[0] for one in full])),
        stated=float(np.mean(stated)) if stated else None,
        share_of_draws=float(np.mean([one.share for one in mine])),
    )


def main() -> None:
    """Take turns, print, write."""
    parser = flags(__doc__ or "", 60)
    parser.add_argument("--ways", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    ways = given.ways.split(",")
    with tempfile.TemporaryDirectory() as folder:
        on = bench(given, Path(folder))
        found = turns(on, ways, given.repeats, given.seed)
    print()
    costs = [cost(way, found) for way in ways]
    for one in costs:
        stated = "nothing stated" if one.stated is None else f"{100 * one.stated:.1f} % stated"
        print(
            f"{one.way}: {one.times_faster:.2f} x faster than sampled (processor; wall {one.times_faster_wall:.2f} x), "
            f"{100 * one.share_of_draws:.0f} % of the draws; level of a fresh full probe: {100 * one.agreement:.1f} % "
            f"({stated}; sampled: {100 * one.agreement_sampled:.1f} %); {given.count} facts, {given.repeats} turns"
        )
    choices = [turn[way].choice for turn in found for way in ways if turn[way].choice]
    print(*dict.fromkeys(choices), sep="\n")
    rows = [{name: asdict(row) for name, row in turn.items()} for turn in found]
    write_json(given.json, on, {"costs": [asdict(one) for one in costs], "turns": rows})


if __name__ == "__main__":
    main()
