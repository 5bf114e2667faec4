"""Which facts a training may make the base forget: foretold before it, checked after it.

The less sure the base is of a fact, the more it is at risk: facts are ranked by the base's memory score of them, which
is known from the probe, before anything is trained. After the test it is looked up which of the facts that the base
knew the plain fine-tuning does not answer, and the forecast is judged by its ROC area: the chance that a
lost fact had been ranked above one that was kept (0.5: a guess).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import polars as pl

from recollect.core.estimates import roc_area
from recollect.core.workspace import write_parquet
from recollect.core.workspace.fit import RiskFound
from recollect.experiments.fit.answers import Answers, share_of

FILE = "risk.parquet"
_LEAST = 2
"""Facts lost, and facts kept, from which there is an area."""
_THIRD = 3


def foretell_risk(levels: pl.DataFrame | None, folder: Path) -> None:
    """Rank all facts by risk, 1 the most at risk, and write that down before anything is trained: fact_id, score, rank.

    Facts with one score share the mean of their ranks. Without a probe nothing is foretold.
    """
    if levels is None or (folder / FILE).is_file():
        return
    rank = pl.col("score").rank("average").alias("rank")
    write_parquet(folder / FILE, levels.select("fact_id", "score", rank).sort("rank", "fact_id"))


def check_risk(folder: Path, known: Collection[str], plain: Answers | None) -> RiskFound | None:
    """The forecast against what was lost of what the base knew; None without a forecast or a plain training."""
    if plain is None or not (folder / FILE).is_file():
        return None
    asked = plain.items.filter(pl.col("item").is_in(list(known))).select("item", "unit", "right")
    table = asked.join(pl.read_parquet(folder / FILE), left_on="item", right_on="fact_id").sort("rank", "item")
    gone = (~table["right"]).to_list()
    safety = table["rank"].to_list()
    lost = [-rank for rank, is_gone in zip(safety, gone, strict=True) if is_gone]
    kept = [-rank for rank, is_gone in zip(safety, gone, strict=True) if not is_gone]
    found = RiskFound(known=len(gone), lost=len(lost))
    if min(len(lost), len(kept)) < _LEAST:
        return found
    third = max(1, len(gone) // _THIRD)
    missed, units = np.asarray(gone, dtype=bool), table["unit"].cast(pl.String).to_numpy().astype(np.str_)
    return found.model_copy(
        update={
            "area": roc_area(lost, kept),
            "most_at_risk": share_of(missed[:third], units[:third]),
            "others": share_of(missed[third:], units[third:]),
        }
    )
