"""The spread between runs predicted from few repeats, against the spread measured from many.

    python benchmarks/curve_spread.py RUNS.csv CURVES.csv.gz [--draws 400] [--each]

The runs are real LoRA fine-tunings of a 70B model (MLPerf Training results, Apache-2.0): runs.csv gives the settings of
each run, curves.csv.gz its loss after so many training examples. For every setting with ten or more repeats, its runs
are taken as the population. From it, k runs are drawn at each training size (with replacement, anew for each size, as a
curve's trainings are), and `recollect.experiments.curve` states its intervals. Printed is how often they hold the
population's value, and how often those of a plain bootstrap over the k runs would. Runs stop once they reach a target
loss, so only sizes that at least 95 % of a setting's runs reached are used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from recollect.experiments.curve import Observations
from recollect.experiments.curve.means import POOLED_WORTH, measure_noise

SETTINGS = (
    "global_batch_size",
    "opt_base_learning_rate",
    "opt_learning_rate_training_steps",
    "opt_learning_rate_warmup_factor",
)
CONFIDENCE = 0.9
FEW = (2, 3, 5)
RESAMPLED = 400


def populations(runs: Path, curves: Path) -> list[dict[int, np.ndarray]]:
    """Losses by training size of each setting, most repeated first."""
    table = pl.read_csv(curves).join(pl.read_csv(runs).select("run_id", *SETTINGS), on="run_id")
    found = []
    for _, rows in table.group_by(SETTINGS, maintain_order=True):
        count = rows["run_id"].n_unique()
        by_size = {
            int(size): losses["eval_loss"].to_numpy()
            for (size,), losses in rows.sort("samples_count").group_by("samples_count", maintain_order=True)
            if losses.height >= 0.95 * count
        }
        if count >= 10 and len(by_size) >= 3:
            found.append(by_size)
    return sorted(found, key=lambda by_size: -max(map(len, by_size.values())))


def coverage(by_size: dict[int, np.ndarray], few: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Of each draw and size: ratio of spreads; do the intervals of spread, mean and next run hold; a bootstrap's."""
    sizes = np.repeat(sorted(by_size), few)
    seeds = np.tile(np.arange(few), len(by_size))
    truth = np.asarray([(by_size[n].mean(), by_size[n].std(ddof=1)) for n in sorted(by_size)])
    tail, own = (1 - CONFIDENCE) / 2, POOLED_WORTH + few - 1
    rows = []
    for _ in range(draws):
        losses = np.concatenate([rng.choice(by_size[n], few) for n in sorted(by_size)])
        seen = Observations.of(sizes.tolist(), seeds.tolist(), losses.tolist())
        noise = measure_noise(seen)
        spread = np.sqrt(noise.run_variance)
        low, high = (np.sqrt(own / stats.chi2.ppf(q, own)) for q in (1 - tail, tail))
        t = stats.t.ppf(1 - tail, noise.freedom)
        off = np.abs(seen.means() - truth[:, 0])
        following = np.asarray([rng.choice(by_size[n]) for n in sorted(by_size)])
        table = losses.reshape(len(by_size), few)
        again = table[:, rng.integers(few, size=(RESAMPLED, few))].mean(axis=2)
        ends = np.quantile(again, [tail, 1 - tail], axis=1)
        rows.append(
            [
                spread / truth[:, 1],
                (spread * low <= truth[:, 1]) & (truth[:, 1] <= spread * high),
                off <= t * spread / few**0.5,
                np.abs(following - seen.means()) <= t * spread * (1 + 1 / few) ** 0.5,
                (ends[0] <= truth[:, 0]) & (truth[:, 0] <= ends[1]),
            ]
        )
    return np.asarray(rows, dtype=float)


def main() -> None:
    """Print one row per setting and number of repeats, then the totals, as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--each", action="store_true", help="also a row for every setting")
    given = parser.parse_args()
    found, rng = populations(given.runs, given.curves), np.random.default_rng(0)
    print(f"{len(found)} settings, {sum(max(map(len, one.values())) for one in found)} runs; intervals at 90 %")
    print(
        "| runs | sizes | repeats | predicted / measured spread, median (5 to 95 %) | spread held | mean held "
        "| mean held, plain bootstrap | next run held |\n|---|---|---|---|---|---|---|---|"
    )
    totals: dict[int, list[np.ndarray]] = {few: [] for few in FEW}
    for by_size in found:
        for few in FEW:
            rows = coverage(by_size, few, rng, given.draws)
            totals[few].append(rows)
            if given.each:
                print(f"| {max(map(len, by_size.values()))} | {len(by_size)} {_cells(few, [rows])}")
    for few in FEW:
        print(f"| all | {sum(map(len, found))} {_cells(few, totals[few])}")


def _cells(few: int, tables: list[np.ndarray]) -> str:
    """The cells of one row; settings count alike, and the intervals are bootstrapped over them."""
    ratio = np.concatenate([rows[:, 0].ravel() for rows in tables])
    low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95])
    shares = []
    for at in (1, 2, 4, 3):
        held = np.asarray([rows[:, at].mean() for rows in tables])
        again = np.random.default_rng(0).choice(held, (4000, len(held))).mean(axis=1)
        first, last = np.quantile(again, [0.025, 0.975])
        ends = f" ({100 * first:.0f}–{100 * last:.0f})" if len(held) > 1 else ""
        shares.append(f"{100 * held.mean():.0f} %{ends}")
    return f"| {few} | {middle:.2f} ({low:.2f} to {high:.2f}) | {' | '.join(shares)} |"


if __name__ == "__main__":
    main()
