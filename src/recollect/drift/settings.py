"""Settings of the drift step, and of whatever asks a base and a tuned model the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recollect.chat.asking import Prompt
from recollect.core.estimates import LEAST_PER_LEVEL
from recollect.core.settings import Name, PathOrName
from recollect.evaluate.judges import JudgeSettings
from recollect.prompt import DEFAULT_TEMPLATE, PromptTemplate

SOURCES = {"facts", "levels", "text", "revision", "tuned_revision", "trust_remote_code"}
"""Settings that say where inputs come from; the inputs themselves are in a step's fingerprint."""


class AskSettings(JudgeSettings):
    """How the two models are loaded and asked."""

    later_fields: ClassVar[set[str]] = {*JudgeSettings.later_fields, "prompt"}

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
    facts: Name = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    levels: Path | None = None
    """The base model's probe step directory: memory levels, and the best mapping template of each relation."""
    limit: Annotated[int, Field(ge=1)] | None = 500
    """At most this many facts per part (test, ood), drawn at random, the same ones for every model."""
    text: PathOrName = ""
    """General text for the forgetting check: a .txt (a document a line), a .jsonl (key text), or "pocket". Empty: the
    pocket's held-out text for the pocket, none for another model."""
    text_tokens: Annotated[int, Field(ge=1)] = 20_000
    """Read about this many tokens of the general text."""
    seed: int = 0
    """Decides which facts a limit takes, which of them choose the best percentage, and the order "random"."""
    max_new_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = 16
    """Longest answer in tokens; auto: as long as the longest accepted answer that is asked for, and a few more."""
    least_per_level: Annotated[int, Field(ge=1)] = LEAST_PER_LEVEL
    """A memory level with fewer facts than this does not enter a macro accuracy. A ladder needs as many in the half
    that chooses; without such a level it compares by micro."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Texts read side by side."""
    prompt: Prompt = "auto"
    """What both models are asked in. chat: their own chat template. plain: prompt_template. auto: as the tuned model
    was trained here; else chat where it has a template and no prompt_template is given."""
    prompt_template: PromptTemplate = DEFAULT_TEMPLATE
    """The plain prompt the model was fine-tuned with, with {question} in it."""


class DriftSettings(AskSettings):
    """What fine-tuning changed: next-token distributions and parameters, and what it cost elsewhere.

    Examples:
        >>> from recollect import DriftSettings
        >>> DriftSettings.make(limit=20, tokens=False).tokens
        False
    """

    runtime_only: ClassVar[set[str]] = {*SOURCES, "template_file", "batch_size", "chunk"}

    region: str = "decoder"
    """Which weights: decoder (decoder-layer weights without norms), attention, mlp, embedding, all, or a
    pattern of tensor names."""
    tokens: bool = True
    """Compare the next-token distributions; without, only the parameters are compared and no model is run."""
    template_file: PathOrName = ""
    """YAML with your own mapping templates, if the probe was made with one."""
    chunk: Annotated[int, Field(ge=1)] = 8192
    """Vocabulary entries at a time; decides memory, not the result."""
