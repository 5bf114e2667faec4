"""Worlds in which it is known of each fact whether the model knows it, for the split of level 0."""

from __future__ import annotations

import numpy as np

from recollect.hidden.rank import Floats, Place, Preferences

DRAWS, RARE = 210, 0.1


def world(
    random: np.random.Generator, boosted: float = 0.0, share: float = 0.0, alike: float = 0.3
) -> tuple[list[Place], Floats]:
    """Places in five relations of 40 facts, and which facts are known: their share has the right answer `boosted`.

    Answers differ in popularity (the more `alike`, the less) and in how much subjects move them.
    """
    found: list[Place] = []
    known = []
    for _ in range(5):
        answers, rows = 40, 40
        popular = random.dirichlet(np.full(answers, alike))
        right = random.choice(answers, rows, p=popular).tolist()
        spread = random.uniform(0.2, 2, answers)
        logs = 4 * np.log(popular + 1e-4) + random.normal(size=(rows, 1)) + random.normal(size=(rows, answers)) * spread
        hidden = random.random(rows) < share
        logs[hidden, np.array(right)[hidden]] += boosted * spread[np.array(right)[hidden]]
        pool = [right.count(answer) for answer in range(answers)]
        made = Preferences(np.zeros_like(logs), logs, right, np.eye(answers) > 0, pool, [1] * rows)
        found += made.places(DRAWS, RARE)
        known.append(hidden)
    return found, np.concatenate(known)
