"""Which share of the trials to train on after an early judgement: a simulation of the two questions a search may ask.

    python benchmarks/search_share.py [--draws 20000]

Early and final scores are drawn from a bivariate normal distribution with a given correlation; settings are drawn at
random, so nothing is learnt on the way. The first table has a given number of trials and asks what is lost by promoting
fewer; the second has a given budget in whole trainings, where every promotion is paid for with four trials of 20 %.
Values are in standard deviations of the final score.
"""

from __future__ import annotations

import argparse

import numpy as np

CORRELATIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
EARLY = 0.2


def best_of(trials: int, promoted: int, correlation: float, draws: int) -> tuple[float, float]:
    """Mean of the best final score among the promoted, and how often that is the best of all."""
    rng = np.random.default_rng(0)
    early = rng.standard_normal((draws, trials))
    final = correlation * early + (1 - correlation**2) ** 0.5 * rng.standard_normal((draws, trials))
    leading = np.take_along_axis(final, np.argsort(-early, 1)[:, :promoted], 1).max(1)
    return float(leading.mean()), float((leading == final.max(1)).mean())


def of_trials(trials: int, draws: int) -> None:
    """Given the number of trials: how often the best is kept, by share."""
    shares = (1 / 2, 0.4, 1 / 3, 1 / 4, 1 / 5)
    print(f"\n{trials} trials: how often the best is promoted, and the cost in % of training all to the end\n")
    print("| correlation | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    print("|---" * (len(shares) + 1) + "|")
    for correlation in CORRELATIONS:
        cells = [
            f"{best_of(trials, promoted, correlation, draws)[1]:.2f}, {100 * _cost(trials, promoted) / trials:.0f} %"
            for promoted in (max(1, round(share * trials)) for share in shares)
        ]
        print(f"| {correlation} | " + " | ".join(cells) + " |")


def of_budget(budget: int, draws: int) -> None:
    """Given the budget: the share with the best final score, and the shares that come within 0.02 of it."""
    print(f"\nbudget of {budget} whole trainings\n")
    print("| correlation | best share | trials | promoted | final score | shares within 0.02 | with a third |")
    print("|---|---|---|---|---|---|---|")
    for correlation in CORRELATIONS:
        found = []
        for promoted in range(1, budget + 1):
            trials = int((budget - (1 - EARLY) * promoted) / EARLY + 1e-9)
            if trials >= promoted:
                found.append((best_of(trials, promoted, correlation, draws)[0], promoted, trials))
        value, promoted, trials = max(found)
        near = [one[1] / one[2] for one in found if one[0] > value - 0.02]
        third = min(found, key=lambda one: abs(one[1] / one[2] - 1 / 3))
        print(
            f"| {correlation} | {promoted / trials:.2f} | {trials} | {promoted} | {value:.2f} | "
            f"{min(near):.2f}–{max(near):.2f} | {third[0]:.2f} |"
        )


def _cost(trials: int, promoted: int) -> float:
    return EARLY * trials + (1 - EARLY) * promoted


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    draws = parser.parse_args().draws
    of_trials(20, draws)
    for budget in (4, 8, 16):
        of_budget(budget, draws)


if __name__ == "__main__":
    main()
