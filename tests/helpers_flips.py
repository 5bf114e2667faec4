"""An invented record of flips: seven choices at three sizes, two seeds each, beside a prompt; made by a draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from recollect.compare import count_flips
from recollect.report.chapters.flips.record import FlippedQuestion, FlipRow, FlipsFound
from recollect.report.scores.record import CHOICES


def invented(chance: float = 0.0, **changes: Any) -> FlipsFound:
    """Flips of 600 questions a part; trainings forget a little and learn more, the larger the more."""
    random = np.random.default_rng(0)
    rows = []
    for part, shift in (("test", 0.0), ("ood", -0.1)):
        before = random.random(600) < 0.3

        def row(levels: Any, size: int, seed: int | None, lost: float, gained: float) -> FlipRow:
            after = np.where(before, random.random(600) >= lost, random.random(600) < gained)  # noqa: B023
            flips = count_flips(before.tolist(), after.tolist(), [chance] * 600)  # noqa: B023
            return FlipRow(part=part, levels=levels, size=size, seed=seed, flips=flips)  # noqa: B023

        rows.append(row(None, 4, None, 0.2, 0.2))
        rows += [
            row(choice, size, seed, 0.1 + 0.05 * index, 0.2 + shift + 0.03 * index)
            for index, size in enumerate((60, 240, 1920))
            for choice in CHOICES
            for seed in (0, 1)
        ]
    asked = [
        FlippedQuestion(
            part="ood" if number == 2 else "test",
            level=None if number == 1 else number,
            question=f"What is the capital of country {number}?",
            accepted=["Montpelier", "Montpellier"],
            base_answer=" Montpelier, and\nmany <b>others</b>",
            tuned_answer=" Burlington",
            tuned_by="60 examples of level 2",
            flipped=42 - number,
        )
        for number in range(4)
    ]
    return FlipsFound(**{"judge": "contains", "models": 42, "rows": rows, "lost": asked, "gained": asked, **changes})
