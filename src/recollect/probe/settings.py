"""Settings of the probe, and what it found."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recollect.core.settings import PathOrName
from recollect.core.workspace.result import Result
from recollect.engines import EngineSettings

Method = Literal["sampled", "adaptive", "closed-form", "hybrid"]


class AskedFacts(EngineSettings):
    """Which facts a step grades, and which model it grades by them."""

    later_fields: ClassVar[set[str]] = {"engine", "facts_seed"}

    facts: PathOrName = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    parts: str = "train,test,ood"
    """Which parts of the fact set to take."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """At most so many facts, spread evenly over parts and relations; facts_seed decides which."""
    facts_seed: int = 0
    """Decides which facts a limit takes, and nothing else."""
    seed: int = 0
    """Decides the draws, and not which facts are asked."""


class ProbeSettings(AskedFacts):
    """How well a base model knows each fact: memory score R and level (*60 Data Points*, docs/studies.md).

    Examples:
        >>> from recollect import ProbeSettings
        >>> ProbeSettings.make(model="pocket", limit=20, templates=4).templates
        4
    """

    runtime_only: ClassVar[set[str]] = {"model", "facts", "template_file", "revision", "trust_remote_code"}
    later_fields: ClassVar[set[str]] = {*AskedFacts.later_fields, "settled"}

    method: Method = "hybrid"
    """sampled: the studies' 21 x 10 draws. adaptive: the same draws in rounds, until the level of a fact is settled;
    about half of them. closed-form: probability that the object follows at once. hybrid: the closed form plus sampling
    of the rest; unbiased for the sampled score, cheaper, and less noisy where answers come at once."""
    templates: Annotated[int, Field(ge=1)] = 21
    """Mapping templates per relation."""
    samples: Annotated[int, Field(ge=1)] = 10
    """Draws per template (sampled), and the number of draws the level boundaries refer to (all methods)."""
    residual_samples: Annotated[int, Field(ge=1)] = 2
    """hybrid: draws per template from what the closed form leaves over. Raise it for models whose right answers come
    late in the text (share_at_once well below 1). Our choice."""
    settled: Annotated[float, Field(gt=0, le=1)] = 0.8
    """adaptive: a fact is drawn from no more when all the draws of `sampled` would leave its level as it is with this
    probability. Our choice: half of the draws, for one or two facts in a hundred that get another level."""
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Softmax temperature."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest completion."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """0: the whole vocabulary. The studies state none; ours is none. Only for sampled and adaptive."""
    template_file: PathOrName = ""
    """YAML with your own mapping templates by relation; "" uses the shipped ones."""
    keep_text: bool = True
    """Store every completion, so that levels can be judged again without sampling."""
    batch_size: Annotated[int | None, Field(ge=1)] = None
    """Prompts read at once; by default from the vocabulary and the machine."""

    @model_validator(mode="after")
    def _top_k_is_sampled(self) -> Self:
        if self.top_k and self.method not in ("sampled", "adaptive"):
            raise ValueError(
                f"top_k={self.top_k} goes with sampled or adaptive draws only (the closed form is of the whole "
                f"vocabulary), "
                f"but method is {self.method}"
            )
        return self


class ProbeFound(Result):
    """What a probe found; the facts themselves are in its levels.parquet."""

    facts: int
    method: Method
    levels: dict[str, int]
    """Facts by level "0" to "4"."""
    levels_by_part: dict[str, list[int]]
    """The same for each of train, test and ood, in the order of the levels."""
    mean_score: float
    borderline: int | None = None
    """Facts whose level a fresh probe may well change; like the next two None where the method does not say."""
    expected_repeat_agreement: float | None = None
    """Share of the facts to which a fresh probe would give the same level."""
    levels_expected: dict[str, float] | None = None
    """Facts by level that a fresh probe would find."""
    unstated: str = ""
    """Why no agreement is stated, in words; empty where it is."""
    draws: int | None = None
    """Completions drawn, for all facts; None in a probe of an earlier version."""
    largest_bias: float | None = None
    """adaptive: how far the expected score of any fact can lie from its true one because draws end when a level is
    settled; computed from the stopping rule. The other methods have no such bias."""
    share_at_once: float | None = None
    """hybrid: share of the mean score that comes at once; sampling or the closed form alone cannot tell."""
    notes: list[str] = []
    self_test_p: float | None = None
    seconds: float
