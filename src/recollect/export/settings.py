"""Settings of an export: to what, with which tools, and how it is checked."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from recollect.core.settings import PathOrName, Settings
from recollect.errors import InputError

QUESTIONS = 50


def _check_hub_name(text: str) -> str:
    if not text:
        return text
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not re-exported

    try:
        validate_repo_id(text)
    except HFValidationError as error:
        raise InputError(f"base_id must be a name on the hub such as org/model, but got {text!r}: {error}") from None
    if "/" not in text:
        raise InputError(f"base_id must be a name on the hub such as org/model, but got {text!r}")
    return text


class ExportSettings(Settings):
    """Turn a trained model into what other programs load, and check that it still answers the same.

    Examples:
        >>> from recollect import ExportSettings
        >>> ExportSettings.make(to="merged").parity_bound is None
        True
    """

    runtime_only: ClassVar[set[str]] = {"parity_bound", "converter", "scores"}

    to: Literal["merged", "adapter", "gguf", "ollama", "mlx", "vllm"]
    """merged: a whole Hugging Face folder, an adapter merged into its base. adapter: the LoRA adapter, for PEFT. gguf:
    one file for llama.cpp. ollama: that file and a Modelfile. mlx: a folder for mlx-lm. vllm: a folder and the command
    that serves it."""
    save_dtype: Literal["base", "float32", "bfloat16", "float16"] = "base"
    """Number format of merged weights. base: each weight in the format that the base stores it in."""
    outtype: Literal["auto", "f32", "f16", "bf16", "q8_0"] = "auto"
    """gguf, ollama: number format of the file. auto: the format of the model; of an adapter merged into
    a bfloat16 base f16, which rounds less."""
    converter: PathOrName = ""
    """gguf, ollama: llama.cpp's convert_hf_to_gguf.py, or a program that takes its options. Without it, it is looked
    for on PATH."""
    base_id: Annotated[str, AfterValidator(_check_hub_name)] = ""
    """The base's name on the hub, for the adapter's configuration and the card, where the base was a local folder."""
    ask: PathOrName = ""
    """Facts whose questions are asked in the check. Without it, those the model was trained on, then shipped ones."""
    questions: Annotated[int, Field(ge=1, le=10_000)] = QUESTIONS
    """How many questions the check asks."""
    seed: int = 0
    """Decides which facts of `ask` are asked."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest answer in the check, in tokens."""
    parity_bound: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least share of equal answers; below it the command ends with exit code 1. Without it 0.98, for a quantised file
    (q8_0) 0.8, for other gguf files 0.9."""
    scores: str = ""
    """Evaluate and drift steps whose numbers go into the card, separated by commas. Without it, those of this model
    beside its own step."""
    device: str = "auto"
    """Where the check computes: cpu, cuda, mps; auto takes a GPU when there is one."""
    dtype: str = "auto"
    """In which number format the check computes, on both sides: float32, bfloat16, float16; auto as in `evaluate`."""
    trust_remote_code: bool = False
    """Let code inside the model's folder run. Needs --revision."""
    revision: str | None = None
    """Hub revision; with trust_remote_code, the pin of the code."""
