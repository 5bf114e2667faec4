"""In what a model is asked and trained: its own chat template, or the plain fine-tuning prompt (`recollect.prompt`).

The setting `prompt` of train, evaluate, drift and restore is settled here, once for a step or an experiment, so that
training and evaluation condition on the same ids. Settled it is "chat", or "plain" of a model that has a template, or
"auto" of one that has none, whose steps are those they always were.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from recollect.chat.frame import frame_of, in_chat
from recollect.core.json_object import JsonObject
from recollect.errors import InputError
from recollect.generate import Engine
from recollect.prompt import DEFAULT_TEMPLATE, encode_example, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from recollect.models import ModelRef

Prompt = Literal["auto", "chat", "plain"]
"""The setting."""
Written = Literal["chat", "plain"]
"""What a prompt was, as results tell it."""


class _Asks(Protocol):
    @property
    def prompt(self) -> Prompt: ...
    @property
    def prompt_template(self) -> str: ...


@dataclass(frozen=True)
class Asking:
    """How questions become prompts."""

    chat: bool = False
    template: str = DEFAULT_TEMPLATE
    """Of a plain prompt."""

    @classmethod
    def of(cls, settings: _Asks) -> Asking:
        """As settings whose prompt is settled say."""
        return cls(settings.prompt == "chat", settings.prompt_template)

    @property
    def written(self) -> Written:
        """Its name in results."""
        return "chat" if self.chat else "plain"

    def prompt(self, tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
        """The ids of a question's prompt."""
        return frame_of(tokenizer).prompt(question) if self.chat else encode_prompt(tokenizer, question, self.template)

    def example(self, tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> tuple[list[int], list[int]]:
        """The ids of a training example, the prompt's first, and its mask: 1 on the answer and its end."""
        if self.chat:
            return frame_of(tokenizer).example(question, answer)
        return encode_example(tokenizer, question, answer, self.template)

    def engine(self, engine: Engine) -> Engine:
        """The engine to ask: in a chat, the same one that takes a text for the user's turn."""
        return in_chat(engine) if self.chat else engine


def asked_for(settings: _Asks) -> Prompt:
    """The setting `prompt`; who gives a plain prompt's own text asks for it."""
    own = settings.prompt_template != DEFAULT_TEMPLATE
    return "plain" if settings.prompt == "auto" and own else settings.prompt


def settled(asked: Prompt, model: ModelRef | None) -> Prompt:
    """What a setting comes to for a model; None is one without a folder. InputError for a template that is not there.

    auto: as the model was trained, where a training of ours lies around it; else chat where it has a template.
    """
    templated = model is not None and _templated(model.whole)
    if asked == "chat" and not templated:
        raise InputError(
            f"prompt is 'chat', but {model.folder if model else 'the model'} has no chat template. Take --prompt "
            "plain, or a model with one."
        )
    if model is None or not templated:
        return "auto"
    if asked != "auto":
        return asked
    return trained_in(model.folder) or "chat"


def chat_input(prompt: Prompt) -> dict[str, str]:
    """What the inputs of an experiment say of a settled prompt; {} where its steps are what they were before."""
    return {"prompt": "chat"} if prompt == "chat" else {}


def trained_in(folder: Path) -> Written | None:
    """What the training that made this model folder asked in; None where none of ours did.

    A restored model is asked as the tuned one. A training of an earlier version asked plainly.
    """
    seen: set[Path] = set()
    while folder not in seen:
        seen.add(folder)
        manifest = _read(folder.parent / "manifest.json")
        found = manifest.get("metrics") or {}
        if manifest.get("step") == "train" and folder.name == "model":
            return "chat" if found.get("prompt") == "chat" else "plain"
        if manifest.get("step") == "restore" and isinstance(found.get("tuned"), str):
            folder = Path(found["tuned"])
    return None


def _templated(folder: Path) -> bool:
    """Whether the tokenizer of a model folder has a chat template to use without asking for one by name."""
    if (folder / "chat_template.jinja").is_file():
        return True
    written = _read(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(written, list):
        return any(isinstance(one, dict) and one.get("name") == "default" for one in written)
    return bool(written)


def _read(file: Path) -> JsonObject:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
