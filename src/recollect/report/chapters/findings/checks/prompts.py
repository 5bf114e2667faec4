"""What a prompt with examples does without any training."""

from __future__ import annotations

from collections.abc import Sequence

from recollect.core.estimates import Claimed, Contrast, Extreme
from recollect.report.chapters.findings.checks.check import Check, missing
from recollect.report.chapters.findings.checks.sizes import LITTLE, SIXTY
from recollect.report.chapters.findings.checks.studied import FEW_SHOT, Studied, entering


def few_shot(study: Studied) -> Sequence[Check]:
    """Examples in the prompt close the gap: on no level does training beat them by more than the margin."""
    start, levels = study.near(*SIXTY), entering(study.test)
    what = (
        f"largest lead on any level of {start or 60:,} training examples over the base with examples in its prompt "
        f"(below {100 * LITTLE:g} points)"
    )
    if FEW_SHOT not in study.test.scores:
        return [
            missing(
                what, "points", "the base was not asked with examples in its prompt: set few_shot to 4", "below", LITTLE
            )
        ]
    if start is None or not levels:
        needs = "no size from 40 to 120: add 60 to --sizes" if levels else "no memory level has 10 test facts or more"
        return [missing(what, "points", needs, "below", LITTLE)]
    choices = study.choices(start)
    each = [
        Contrast(
            study.test,
            {(choice, start): {level: 1 / len(choices)} for choice in choices} | {FEW_SHOT: {level: -1.0}},
        )
        for level in levels
    ]
    rows = [(f"on test facts of level {level}", one.value) for level, one in zip(levels, each, strict=True)]
    return [Check(what, "points", Claimed(Extreme("largest", each), "below", LITTLE), rows=rows)]
