"""Settings of the probe."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recollect.models import ModelSettings

Method = Literal["sampled", "closed-form", "hybrid"]


class ProbeSettings(ModelSettings):
    """How well a base model knows each fact: memory score R and level (studies A and C, docs/studies.md)."""

    runtime_only: ClassVar[set[str]] = {"model", "facts", "template_file", "revision", "trust_remote_code"}

    facts: str = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    method: Method = "hybrid"
    """sampled: the studies' 21 x 10 draws. closed-form: probability that the object follows at once. hybrid: the closed
    form plus sampling of the rest; unbiased for the sampled score, cheaper, and
    less noisy where answers come at once."""
    templates: Annotated[int, Field(ge=1)] = 21
    """Mapping templates per relation."""
    samples: Annotated[int, Field(ge=1)] = 10
    """Draws per template (sampled), and the number of draws the level boundaries refer to (all methods)."""
    residual_samples: Annotated[int, Field(ge=1)] = 2
    """hybrid: draws per template from what the closed form leaves over. Raise it for models whose right answers come
    late in the text (share_at_once well below 1). Our choice."""
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Softmax temperature."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest completion."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """0: the whole vocabulary. The studies state none; ours is none. Only for sampled."""
    template_file: str = ""
    """YAML with your own mapping templates by relation; "" uses the shipped ones."""
    parts: str = "train,test,ood"
    """Which parts of the fact set to probe."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """Probe at most so many facts (spread evenly over parts and relations, by seed)."""
    keep_text: bool = True
    """Store every completion, so that levels can be judged again without sampling."""
    seed: int = 0
    """Draws are a function of (seed, fact, template, draw, step)."""
    batch_size: Annotated[int | None, Field(ge=1)] = None
    """Prompts read at once; by default from the vocabulary and the machine."""

    @model_validator(mode="after")
    def _top_k_is_sampled(self) -> Self:
        if self.top_k and self.method != "sampled":
            raise ValueError(
                f"top_k={self.top_k} goes with method sampled only (the closed form is of the whole vocabulary), "
                f"but method is {self.method}"
            )
        return self
