"""Settings of the split of level 0, and what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field

from recollect.chat.asking import Written
from recollect.core.estimates import Estimate
from recollect.core.settings import PathOrName
from recollect.core.workspace.result import Result
from recollect.probe.settings import AskedFacts, ProbeSettings


class HiddenSettings(AskedFacts):
    """Split the facts that a model never says (level 0) into hidden and absent, by where it ranks the right answer.

    Examples:
        >>> from recollect import HiddenSettings
        >>> HiddenSettings.make(levels="probe", fdr=0.05).fdr
        0.05
    """

    runtime_only: ClassVar[set[str]] = {
        *("model", "facts", "levels", "template_file", "revision", "trust_remote_code"),
    }

    levels: Path | None = None
    """The model's probe step directory, or its levels.parquet: which facts are at level 0."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """At most so many facts of level 0, spread evenly over parts and relations; facts_seed decides which."""
    seed: int = 0
    """Decides which other facts of a relation give the candidates and the other subjects."""
    prompt: Written = "plain"
    """plain: the answer continues each template. chat: each template is the user's turn in the model's own chat
    template, and the answer begins the model's. As the probe was asked."""
    templates: Annotated[int, Field(ge=1)] = 7
    """Mapping templates per relation; the log-probability of an answer is its mean over them. Our choice: 21
    take three times as long and separate little better (docs/hidden.md)."""
    candidates: Annotated[int, Field(ge=2)] = 100
    """The right answer is ranked among the answers of at most so many other facts of its relation, of whatever level.
    An answer that more than the share fdr of them have tells nothing; such facts are undecided."""
    subjects: Annotated[int, Field(ge=2)] = 24
    """What an answer is worth with any subject is the mean over the relation's other facts of level 0; where there are
    fewer than this, over other facts of the relation beside them."""
    fdr: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of the facts called hidden, at most this share is expected to be so by chance (Benjamini-Hochberg)."""
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Softmax temperature of the probabilities; the probe's."""
    draws: Annotated[int | None, Field(ge=1)] = None
    """The probe's completions of a fact, none of which was right; by default as its step says, 210 where none
    does. An answer that the model would say in as many cannot be the right one of a fact of level 0, so it counts less
    as a candidate."""
    template_file: PathOrName = ""
    """YAML with your own mapping templates, if the probe was made with one."""

    @classmethod
    def of_probe(cls, probe: ProbeSettings, levels: Path) -> Self:
        """Of the model of a probe, asked as there, with its levels."""
        same = ("model", "revision", "trust_remote_code", "device", "dtype", "engine", "memory_fraction")
        templates = min(probe.templates, cls.model_fields["templates"].default)
        return cls.make(
            **{name: getattr(probe, name) for name in (*same, "facts", "template_file", "temperature", "parts")},
            levels=levels,
            prompt="chat" if probe.prompt == "chat" else "plain",
            templates=templates,
            draws=probe.templates * probe.samples,
        )


class HiddenFound(Result):
    """How many facts of level 0 are hidden; the facts themselves are in hidden.parquet."""

    level_0: int
    """Facts of level 0 that were looked at."""
    hidden: int
    """Facts whose right answer stands out significantly."""
    absent: int
    """Facts of which that cannot be said: the right answer stands as by chance, or not clearly better."""
    undecided: int
    """Facts of whose answer nothing can be told: more than the share `fdr` of the relation's facts have it, or there
    are too few others."""
    fdr: float
    """The share of those called hidden that may be so by chance."""
    share: Estimate | None = None
    """The share of the facts that are hidden, from all ranks together and without calling any single one; a lower
    bound where hidden answers rank in the worse half too. None where no fact has enough candidates."""
    mean_rank: float | None = None
    """Mean place of the right answer among the candidates, from 0 (first) to 1 (last); 0.5 by chance."""
    candidates: float | None = None
    """Mean number of other answers that a right one is ranked among."""
    method: str
    notes: list[str] = []
    seconds: float

    @property
    def called(self) -> float | None:
        """The share called hidden of those that could be; None where none could."""
        decided = self.hidden + self.absent
        return self.hidden / decided if decided else None
