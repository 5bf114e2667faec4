"""What training changed and broke, and what restoring brought back: the drift chapter's schema.

Notable choices
- Accuracies and gains are in percent and points (0 to 100), shares are 0 to 1, divergences and losses are in nats.
- A rung and a choice are the ladder step's own records, whose intervals are fractions.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recollect import restore
from recollect.facts import Part
from recollect.report.results.common import (
    Accuracy,
    Choice,
    Count,
    Level,
    Number,
    Record,
    Share,
)

RepairKind = Literal["lost, regained", "lost, still lost", "woken, kept", "woken, lost again"]
REPAIR_KINDS: tuple[RepairKind, ...] = ("lost, regained", "lost, still lost", "woken, kept", "woken, lost again")
"""Lost: the base knows it (level 3 or 4, or it answered right) and the tuned model answers wrong. Woken: the base
answered wrong and the tuned model right. Regained, kept, ...: by the repair."""


class CellName(Record):
    """Which tuned model: what it was trained on, how many facts, which seed."""

    levels: Choice
    size: Annotated[int, Field(ge=1)]
    seed: int


class DriftCell(CellName):
    """How far one tuned model moved from the base, in tokens, in weights and elsewhere. Null: not measured."""

    kl_paper: Number = None
    """Mean KL of study C (docs/studies.md §4), level-4 in-domain test facts, first token."""
    kl_paper_se: Number = None
    kl_paper_n: Count = 0
    """Facts."""
    kl_full: Number = None
    """Mean KL(tuned || base) over the whole vocabulary on answer tokens."""
    kl_full_se: Number = None
    kl_full_n: Count = 0
    """Tokens."""
    kl_backward: Number = None
    """Mean KL(base || tuned) on the same tokens."""
    kl_floor: Number = None
    """Mean KL of the base against itself in other batches: rounding, not drift."""
    kl_general: Number = None
    """Mean KL(tuned || base) on general text."""
    kl_general_se: Number = None
    kl_general_n: Count = 0
    """Tokens."""
    general_base_loss: Number = None
    """Mean loss of the base on general text, nats per token."""
    general_tuned_loss: Number = None
    known_base: Accuracy | None = None
    """The base on the test facts it knows (level 3 and 4), asked in the fine-tuning prompt."""
    known_tuned: Accuracy | None = None
    share_top: dict[str, Share] = Field(default_factory=dict)
    """By percent ("1", "3", ...): the share of the summed relative change that the most changed weights hold."""
    unchanged: Share = None
    """Share of weights that are the same number as before."""
    one_ulp: Share = None
    """Share of weights that moved to the next number of the checkpoint's format."""


class ModuleChange(Record):
    """The change of one kind of weight in one layer: a row of the drift step's modules.parquet."""

    layer: Count | None = None
    """Null outside the layers."""
    module: str
    """For example attn.q or mlp.down."""
    weights: Count
    share: Share
    """Of the summed relative change of the region."""
    mean_absolute: Number = None
    """Mean |tuned - base|."""
    restored_20: Count = 0
    """Weights among the region's most changed 20 %."""
    unchanged: Share = None


class RepairExample(Record):
    """One test fact with the answers of base, tuned and repaired model."""

    question: str
    object: str
    accepted: list[str] = Field(default_factory=list)
    level: Level | None = None
    part: Part
    base_answer: str
    tuned_answer: str
    repaired_answer: str
    base_right: bool
    tuned_right: bool
    repaired_right: bool
    kind: RepairKind


class Ladder(CellName):
    """More and more of one tuned model's change set back, with controls, and what could be chosen from it."""

    region: str = "decoder"
    """Which weights were ranked and set back."""
    mean: Literal["macro", "micro"] = "macro"
    """The accuracy that chose; micro when the facts had no levels."""
    rungs: list[restore.Rung] = Field(default_factory=list)
    best: restore.Choice | None = None
    controls: list[restore.Choice] = Field(default_factory=list)
    beats_tuned: bool = False
    note: str = ""
    """The step's verdict in one sentence."""
    test_facts: Count | None = None
    """In-domain test facts that every rung was asked."""
    ood_facts: Count | None = None
    known_facts: Count | None = None
    examples: list[RepairExample] = Field(default_factory=list)
    counts: dict[RepairKind, Count] = Field(default_factory=dict)
    """Facts of each kind in all, in-domain and out-of-domain together."""
    repaired_by: str = ""
    """Names the rung of the examples and counts, e.g. "relative, 20 % set back"."""

    @classmethod
    def of(cls, found: restore.LadderFound, **others: Any) -> Ladder:
        """What a ladder step found, and the other fields."""
        names = ("rungs", "best", "controls", "beats_tuned", "mean", "note")
        return cls(**{name: getattr(found, name) for name in names}, **others)


class Drift(Record):
    """What training changed and broke, and what could be repaired."""

    region: str = "decoder"
    """Which weights share_top, unchanged, one_ulp and modules are about."""
    general_text: str = ""
    """Which general text was read, in words."""
    cells: list[DriftCell] = Field(default_factory=list)
    modules_of: CellName | None = None
    """The tuned model that `modules` is about."""
    modules: list[ModuleChange] = Field(default_factory=list)
    ladders: list[Ladder] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        keys = Counter((cell.levels, cell.size, cell.seed) for cell in self.cells)
        for (levels, size, seed), n in keys.items():
            if n > 1:
                raise ValueError(
                    f"every cell (levels, size, seed) may stand once, but ({levels}, {size}, {seed}) stands {n} times"
                )
        return self
