"""What the data step found, as its manifest, its report.json and the command's answer hold it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recollect.chat.asking import Written
from recollect.chat.preview import Preview
from recollect.core.tables import BadRowsFound
from recollect.core.workspace.result import Result


class Spread(Result):
    """How a count is spread over the conversations."""

    n: int
    smallest: int
    p10: int
    median: int
    p90: int
    p99: int
    largest: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> Spread | None:
        """The spread of these counts, each quantile one of them; None of none."""
        if not counts:
            return None
        quantiles = np.quantile(counts, (0, 0.1, 0.5, 0.9, 0.99, 1), method="inverted_cdf")
        names = ("smallest", "p10", "median", "p90", "p99", "largest")
        return cls(n=len(counts), **{name: int(value) for name, value in zip(names, quantiles, strict=True)})


class DataFound(Result):
    """The counts of a data step. Tokens and cut answers are null without a model: nothing can count them then."""

    format: str
    """The formats found, the first one first."""
    rows: int
    """All rows, dropped ones too."""
    kept: int
    """Conversations that can be used, of all parts."""
    dropped: dict[str, int]
    """Rows that cannot, by reason."""
    trained_tokens: int | None
    """Tokens that a training on the train part learns."""
    masked_tokens: int | None
    """Tokens that it only reads."""
    duplicates: int
    """Train conversations with exactly the turns of an earlier one."""
    near_duplicates: int
    """Others with nearly the turns of an earlier one."""
    overlap: int
    """Train conversations that ask what one of test or validation asks."""
    cut_answers: int | None
    """Train conversations with an answer that does not fit into the length limit."""


class DataReport(Result):
    """All that a data step found out; `report.json`."""

    path: str
    test: str | None
    model: str | None
    files: list[str]
    formats: dict[str, int]
    """Rows of each format."""
    columns: dict[str, int]
    """In how many rows each column is filled."""
    unused: list[str]
    """Columns that say nothing to us."""
    parts: dict[str, int]
    """Conversations by part."""
    turns: Spread | None
    """Turns of a train conversation."""
    prompted: Written | None
    """How they are put to the model: in its chat template, or as plain question and answer."""
    examples: int | None
    """Examples made of the train conversations; a template that rewrites earlier turns makes several of one."""
    tokens: Spread | None
    """Tokens of a train conversation."""
    learned: Spread | None
    """Tokens of one that are learned."""
    left_out: dict[str, int]
    """In how many train conversations the template does not write something: reasoning, the system turn, …"""
    length_limit: int
    """Tokens that an example may have: --max-length, or what the model reads where that is less."""
    context: int | None
    """The most tokens the model was made to read."""
    near_overlap: int
    """Train conversations that ask nearly what one of test asks, the equal ones left out."""
    conflicts: int
    """Train conversations with the prompt of an earlier one and another answer."""
    unanswered: int
    """Train conversations that end in something else than an answer."""
    entities: int
    """Train conversations with HTML entities in an answer."""
    scripts: dict[str, int]
    """Conversations with answers in scripts that put no blank between words."""
    frequent: dict[str, int] = {}
    """Answers that each end a large share of the train conversations, and how many."""
    bad_rows: BadRowsFound
    test_bad_rows: BadRowsFound
    preview: list[Preview]
