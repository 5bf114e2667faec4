"""Settings of the drift and restoration steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.core.settings import Settings
from recollect.errors import InputError
from recollect.prompt import DEFAULT_TEMPLATE, PromptTemplate

Order = Literal["relative", "absolute", "bottom", "random"]
_SOURCES = {"facts", "levels", "text", "revision", "tuned_revision", "trust_remote_code"}


def percents_of(text: str) -> tuple[float, ...]:
    """The percentages of a ladder, rising: "1,3,5" is (1.0, 3.0, 5.0). InputError unless above 0 and up to 100."""
    try:
        percents = sorted({float(part) for part in text.split(",")})
    except ValueError:
        percents = []
    if not percents or not all(0 < percent <= 100 for percent in percents):
        raise InputError(f'a ladder must be percentages above 0 and up to 100, such as "1,5,20", but got {text!r}')
    return tuple(percents)


def _check_ladder(text: str) -> str:
    return ",".join(f"{percent:g}" for percent in percents_of(text))


def _check_export(text: str) -> str:
    if text not in ("best", "none"):
        percents_of(text)
        if "," in text:
            raise InputError(f"export must be best, none or one percentage, but got {text!r}")
    return text


class AskSettings(Settings):
    """How the two models are held and asked."""

    revision: str | None = None
    """Hub revision of the base; with trust_remote_code, the pin of its code (the refusal prints it)."""
    tuned_revision: str | None = None
    """The same for the tuned model."""
    trust_remote_code: bool = False
    """Let code inside the models' folders run. Needs the revisions. Off, and better left off."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a CUDA device when there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto takes bfloat16 on a GPU that has it, else float32."""
    facts: str = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    levels: Path | None = None
    """The base model's probe step directory: memory levels, and the best mapping template of each relation."""
    limit: Annotated[int, Field(ge=1)] | None = 500
    """At most this many facts per part (test, ood), drawn at random, the same ones for every model."""
    text: str = ""
    """General text for the forgetting check: a .txt (a document a line), a .jsonl (key text), or "pocket". Empty: the
    pocket's held-out text for the pocket, none for another model."""
    text_tokens: Annotated[int, Field(ge=1)] = 20_000
    """Read about this many tokens of the general text."""
    seed: int = 0
    """Decides which facts a limit takes, which of them choose the best percentage, and the order "random"."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 16
    """Longest answer in tokens."""
    least_per_level: Annotated[int, Field(ge=1)] = LEAST_PER_LEVEL
    """A memory level with fewer facts than this does not enter a macro accuracy. A ladder needs as many in the half
    that chooses; without such a level it compares by micro."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Texts read side by side."""
    prompt_template: PromptTemplate = DEFAULT_TEMPLATE
    """The prompt the model was fine-tuned with, with {question} in it."""


class DriftSettings(AskSettings):
    """What fine-tuning changed: next-token distributions and parameters, and what it cost elsewhere."""

    runtime_only: ClassVar[set[str]] = {*_SOURCES, "template_file", "batch_size", "chunk"}

    region: str = "decoder"
    """Which weights: decoder (decoder-layer weights without norms, the study's), attention, mlp, embedding, all, or a
    pattern of tensor names."""
    tokens: bool = True
    """Compare the next-token distributions; without, only the parameters are compared and no model is run."""
    template_file: str = ""
    """YAML with your own mapping templates, if the probe was made with one."""
    chunk: Annotated[int, Field(ge=1)] = 8192
    """Vocabulary entries at a time; decides memory, not the result."""


class LadderSettings(AskSettings):
    """Restore more and more of the change, ask after each rung, and see beside it what the controls do."""

    runtime_only: ClassVar[set[str]] = {*_SOURCES, "batch_size", "export", "force"}

    ladder: Annotated[str, AfterValidator(_check_ladder)] = "1,3,5,10,20,40,60"
    """Percentages of the weights to set back to their base values."""
    order: Order = "relative"
    """Which weights first: relative (largest change relative to the base value, the study's), absolute (largest
    change), bottom (smallest relative change), random. The others are run beside it as controls."""
    region: str = "decoder"
    """Which weights: decoder (decoder-layer weights without norms, the study's), attention, mlp, embedding, all, or a
    pattern of tensor names."""
    per_tensor: bool = False
    """Take the percentage of each tensor, rather than of all weights together."""
    export: Annotated[str, AfterValidator(_check_export)] = "best"
    """What to write as a model: best (the chosen percentage, only if it beats the tuned model beyond noise), none, or a
    percentage, whatever the ladder says."""
    force: bool = False
    """With export best: write the chosen percentage even if it does not beat the tuned model."""


class RestoreSettings(LadderSettings):
    """Set the most changed weights back to their base values; or, with --ladder, find out how many to set back."""

    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Set this percentage of the region's weights back and write the model; 20 if neither it nor a ladder is given."""
    ladder: Annotated[str, AfterValidator(_check_ladder)] | None = None  # type: ignore[assignment]
    """Try these percentages one after the other, such as 1,3,5,10,20,40,60, with all controls."""
