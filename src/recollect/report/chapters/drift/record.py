"""What training changed and broke, and what restoring brought back: the drift chapter's schema.

Notable choices
- Accuracies and gains are in percent and points (0 to 100), shares are 0 to 1, divergences and losses are in nats.
- Names are those of the drift and ladder steps, so `Ladder.from_metrics` takes a ladder's metrics as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from recollect.facts import Part
from recollect.report.results.common import (
    Accuracy,
    Choice,
    Count,
    Level,
    Number,
    Percent,
    Record,
    Share,
    need_interval,
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


class LadderRung(Record):
    """One restored model: an order ("tuned", "base", "relative", ..., "interpolation") and a percentage set back."""

    order: str
    percent: Annotated[float, Field(ge=0, le=100)]
    restored: Count | None = None
    """Weights set back; null where that is not counted."""
    kept: Number = None
    """Length of the change that is left, as a share of the whole change."""
    alpha: Number = None
    """Weight of the tuned model in an interpolation."""
    loss: Number = None
    """On general text, nats per token."""
    macro: Percent = None
    macro_low: Percent = None
    macro_high: Percent = None
    micro: Percent = None
    micro_low: Percent = None
    micro_high: Percent = None
    ood: Percent = None
    """Macro accuracy out-of-domain."""
    ood_low: Percent = None
    ood_high: Percent = None
    ood_micro: Percent = None
    ood_micro_low: Percent = None
    ood_micro_high: Percent = None
    by_level: Annotated[tuple[Percent, ...], Field(min_length=5, max_length=5)] = (None,) * 5
    """In-domain accuracy by memory level."""
    known: Percent = None
    """Accuracy on the facts the base knows (level 3 and 4, in- and out-of-domain)."""
    known_low: Percent = None
    known_high: Percent = None
    answer_length: Number = None
    """Mean length of the answers, in characters."""

    @model_validator(mode="after")
    def _has_intervals(self) -> Self:
        for name in ("macro", "micro", "ood", "ood_micro"):
            need_interval(name, *(getattr(self, name + end) for end in ("", "_low", "_high")))
        return self

    @classmethod
    def from_metrics(cls, values: Mapping[str, Any]) -> LadderRung:
        """From a row of the ladder step's rungs; level_0 to level_4 become `by_level`."""
        kept = {name: value for name, value in values.items() if name in cls.model_fields}
        return cls(**kept, by_level=tuple(values.get(f"level_{level}") for level in range(5)))


class LadderChoice(Record):
    """The best percentage of one order by the validation half, judged on the test half."""

    order: str
    percent: Annotated[float, Field(ge=0, le=100)]
    validation: Percent = None
    test: Percent = None
    tuned_test: Percent = None
    gain: Number = None
    """Against the tuned model on the test half, in points, with its paired 95 % interval and number of facts."""
    gain_low: Number = None
    gain_high: Number = None
    gain_facts: Count = 0
    ood_gain: Number = None
    ood_gain_low: Number = None
    ood_gain_high: Number = None
    ood_gain_facts: Count = 0
    beats_tuned: bool = False
    ahead: Number = None
    """How far the main order's choice is ahead of this control on the test half, in points."""
    ahead_low: Number = None
    ahead_high: Number = None
    ahead_facts: Count = 0

    @model_validator(mode="after")
    def _has_intervals(self) -> Self:
        for name in ("gain", "ood_gain", "ahead"):
            need_interval(name, *(getattr(self, name + end) for end in ("", "_low", "_high")))
        return self


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
    rungs: list[LadderRung] = Field(default_factory=list)
    best: LadderChoice | None = None
    controls: list[LadderChoice] = Field(default_factory=list)
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
    def from_metrics(cls, metrics: Mapping[str, Any], **others: Any) -> Ladder:
        """From a ladder step's metrics (rungs, best, controls, beats_tuned, mean, note) and the other fields."""
        names = ("best", "controls", "beats_tuned", "mean", "note")
        rungs = [LadderRung.from_metrics(row) for row in metrics["rungs"]]
        return cls(rungs=rungs, **{name: metrics[name] for name in names if name in metrics}, **others)


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
