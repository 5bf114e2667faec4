"""What the answers of an evaluation were drawn with: a question alone, a subject that several questions are about, or a
conversation with several answers.

Who knows one thing of a subject often knows another, so two questions about it say less than two about two subjects.
Where subjects repeat they are the unit of an interval; where none does, and in evaluations of earlier versions, which
do not hold the subjects, it is the question.
"""

from __future__ import annotations

import polars as pl

from recollect.facts import near_key

CONVERSATION = "conversation"
"""A column more, of facts that hold conversations: which one, of which several answers may be asked."""


def units_of(outputs: pl.DataFrame) -> pl.Series:
    """The unit of each row of `outputs.parquet`, as the column `unit`; each row alone where it has no ids."""
    if "fact_id" not in outputs.columns:
        return pl.Series("unit", [str(at) for at in range(outputs.height)], dtype=pl.String)
    if CONVERSATION in outputs.columns:
        return outputs[CONVERSATION].alias("unit")
    if "subject" in outputs.columns:
        keys = [near_key(one or "") for one in outputs["subject"].to_list()]
        alone = outputs["fact_id"].to_list()
        subjects = pl.Series("unit", [key or own for key, own in zip(keys, alone, strict=True)], dtype=pl.String)
        if pl.DataFrame([subjects, outputs["part"]]).is_duplicated().any():
            return subjects
    return outputs["fact_id"].alias("unit")
