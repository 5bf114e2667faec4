"""A chat model probed in its chat template and in plain completion: how far the two give the same levels.

The levels of such a probe come from plain completion, as in the studies; the probe in the template is a step of its own
beside them. A model that is asked answers otherwise than one that completes, so neither is the truth about the other:
how often a fact has the same level in both, and which way it moves, is stated with its interval.
"""

from __future__ import annotations

import polars as pl

from recollect.chat.asking import Written
from recollect.core.estimates import Estimate, agreement, kappa
from recollect.core.workspace.result import Result

OTHER = "in-chat"
"""The folder of the probe in the template, inside the step's own."""


class OtherPrompt(Result):
    """The same facts probed in another prompt than the levels come from."""

    prompt: Written
    levels: dict[str, int]
    """Facts by level "0" to "4" there."""
    mean_score: float
    same_level: Estimate
    """Share of the facts with the same level in both."""
    kappa: Estimate | None = None
    """Cohen's, of the levels; None where all facts have one and the same."""
    higher: int
    """Facts with a higher level there than where the levels come from."""
    lower: int


def compare_levels(own: pl.DataFrame, other: pl.DataFrame, prompt: Written) -> OtherPrompt:
    """The levels of two probes of the same facts (columns fact_id, level, score) side by side."""
    both = own.select("fact_id", "level").join(
        other.select("fact_id", "level", "score"), on="fact_id", suffix="_other", maintain_order="left"
    )
    here, there = both["level"].to_list(), both["level_other"].to_list()
    return OtherPrompt(
        prompt=prompt,
        levels={str(level): there.count(level) for level in range(5)},
        mean_score=round(float(both["score"].mean()), 6),  # type: ignore[arg-type]
        same_level=agreement(here, there),
        kappa=kappa(here, there),
        higher=sum(one < two for one, two in zip(here, there, strict=True)),
        lower=sum(one > two for one, two in zip(here, there, strict=True)),
    )
