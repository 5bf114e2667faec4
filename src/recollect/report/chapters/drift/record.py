"""What training changed and broke, and what restoring brought back: the drift chapter's record.

Accuracies and gains are fractions, shares are 0 to 1, divergences and losses are in nats.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from recollect.core.estimates import Estimate
from recollect.facts import Part
from recollect.report.page.record import Count, Fraction, Level, Measured, Number, Record, Share
from recollect.report.scores.record import CellName
from recollect.restore import Choice, Rung

RepairName = Literal["lost, regained", "lost, still lost", "elicited, kept", "elicited, lost again"]
REPAIR_KINDS: tuple[RepairName, ...] = ("lost, regained", "lost, still lost", "elicited, kept", "elicited, lost again")
"""Lost: the base knows it (level 3 or 4, or it answered right) and the tuned model answers wrong. Elicited: the base
answered wrong and the tuned model right. Regained, kept, ...: by the repair."""
RepairKind = Annotated[
    RepairName, BeforeValidator(lambda kind: kind.replace("woken", "elicited") if isinstance(kind, str) else kind)
]
"""With "woken" in results of schema 2."""


def divergence(mean: float, error: float, n: int) -> Estimate:
    """A mean divergence with the interval of 1.96 standard errors."""
    return Estimate(mean, max(mean - 1.96 * error, 0.0), mean + 1.96 * error, n, "1.96 standard errors")


class DriftCell(CellName):
    """How far one tuned model moved from the base, in tokens, in weights and elsewhere. Null: not measured."""

    kl_paper: Measured | None = None
    """Mean KL of Token and Parameter Levels (docs/studies.md §4): level-4 in-domain test facts, first token."""
    kl_full: Measured | None = None
    """Mean KL(tuned || base) over the whole vocabulary on answer tokens; its n are tokens."""
    kl_backward: Number = None
    """Mean KL(base || tuned) on the same tokens."""
    kl_floor: Number = None
    """Mean KL of the base against itself in other batches: rounding, not drift."""
    kl_general: Measured | None = None
    """Mean KL(tuned || base) on general text; its n are tokens."""
    general_base_loss: Number = None
    """Mean loss of the base on general text, nats per token."""
    general_tuned_loss: Number = None
    known_base: Fraction | None = None
    """The base on the test facts it knows (level 3 and 4), asked in the fine-tuning prompt."""
    known_tuned: Fraction | None = None
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
    rungs: list[Rung] = Field(default_factory=list)
    best: Choice | None = None
    controls: list[Choice] = Field(default_factory=list)
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

    @property
    def main_rungs(self) -> list[Rung]:
        """The rungs of the main order, by rising percent."""
        main = self.best.order if self.best else "relative"
        return sorted((rung for rung in self.rungs if rung.order == main), key=lambda rung: rung.percent)

    def score(self, rung: Rung | None, part: str = "test") -> Estimate | None:
        """A rung's accuracy on "test" or "ood", by the mean that chose."""
        if rung is None:
            return None
        macro, micro = (rung.macro, rung.micro) if part == "test" else (rung.ood, rung.ood_micro)
        return micro if self.mean == "micro" else macro

    def end(self, order: str) -> Rung | None:
        """The rung of the tuned or of the base model."""
        return next((rung for rung in self.rungs if rung.order == order), None)


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
                    f"every cell (levels, size, seed) may occur once, but ({levels}, {size}, {seed}) occurs {n} times"
                )
        return self
