"""What the check asks: what the model was trained on, then questions that come with the package.

A model that was trained in its chat template, or came with one and was never trained here, is asked in it; any other in
the fine-tuning prompt. What it is asked does not matter much, as long as it is the same on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recollect.chat.read import read_conversations
from recollect.conversation import Conversation
from recollect.core.json_object import JsonObject
from recollect.core.random import LIMIT, take
from recollect.core.workspace import read_manifest
from recollect.core.workspace.manifest import MANIFEST, Manifest
from recollect.errors import RecollectError
from recollect.export.exporter import Prompt
from recollect.facts import load_facts
from recollect.prompt import DEFAULT_TEMPLATE, prompt_text
from recollect.shipped import POCKET, SHIPPED

_SELECTION = "selection.parquet"

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Question:
    """What is asked: a chat that an answer is to follow; mostly of one turn."""

    turns: tuple[JsonObject, ...]

    @property
    def text(self) -> str:
        """The last turn."""
        return str(self.turns[-1]["content"])

    @property
    def key(self) -> str:
        """What tells one question from another."""
        return json.dumps(self.turns)


def step_of(folder: Path) -> Manifest | None:
    """The manifest of the step that made a model's folder; None for any other folder."""
    parent = folder.resolve().parent
    if folder.resolve().name != "model" or not (parent / MANIFEST).is_file():
        return None
    return read_manifest(parent)


def trained_in(folder: Path) -> tuple[Path, Manifest] | None:
    """The train step behind a model's folder, through restorations and exports; None where there is none."""
    for _ in range(8):
        manifest = step_of(folder)
        if manifest is None:
            return None
        if manifest.step == "train":
            return folder.resolve().parent, manifest
        before = manifest.metrics.get("tuned") or (manifest.metrics.get("sources") or {}).get("model")
        if not isinstance(before, str):
            return None
        folder = Path(before) / "model" if (Path(before) / MANIFEST).is_file() else Path(before)
    return None


def questions_for(folder: Path, ask: str, count: int, seed: int = 0) -> list[Question]:
    """`count` different questions for the model in `folder`, its own first; fewer only where `ask` has no more.

    ask: facts to draw them from instead; `seed` says which.
    """
    if ask:
        found = {fact.question: fact for fact in reversed(list(load_facts(ask)))}
        drawn = take(list(found.values()), count, seed, LIMIT, lambda fact: fact.id)
        return [_alone(fact.question) for fact in drawn]
    shipped = pl.read_parquet(SHIPPED[POCKET].facts, glob=False)["question"].to_list()
    return list({one.key: one for one in [*_own(folder), *map(_alone, shipped)]}.values())[:count]


def _alone(question: str) -> Question:
    return Question(({"role": "user", "content": question},))


def _own(folder: Path) -> list[Question]:
    """What a model was trained on, where it still lies where it lay: questions, or chats up to their last answer."""
    try:
        trained = trained_in(folder)
        sources = (trained[1].metrics.get("sources") or {}) if trained else {}
        if isinstance(sources.get("data"), str):
            chats = [one for one in read_conversations(sources["data"])[0] if one.part == "train" and not one.tools]
            return [Question(tuple(asked)) for asked in map(_up_to_the_answer, chats) if asked]
        if not isinstance(sources.get("selection"), str):
            return []
        read_manifest(Path(sources["selection"]))
        return [_alone(one) for one in pl.read_parquet(Path(sources["selection"]) / _SELECTION, glob=False)["question"]]
    except (RecollectError, OSError, pl.exceptions.PolarsError):
        return []


def _up_to_the_answer(chat: Conversation) -> list[JsonObject]:
    """The turns before a chat's last answer; [] where it has none, or tools are called on the way."""
    roles = [turn.role for turn in chat.turns]
    last = max((at for at, role in enumerate(roles) if role == "assistant"), default=0)
    before = chat.turns[:last]
    plain = before and before[-1].role == "user" and not any(turn.tool_calls or turn.role == "tool" for turn in before)
    return [{"role": turn.role, "content": turn.content} for turn in before] if plain else []


def prompts_for(
    tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question], chat: bool, template: str = DEFAULT_TEMPLATE
) -> list[Prompt]:
    """The prompt of each question: in the tokenizer's chat template, or the last turn in the fine-tuning prompt."""
    if not chat:
        return [Prompt(one.text, prompt_text(one.text, template)) for one in questions]
    found = []
    for one in questions:
        text = tokenizer.apply_chat_template(list(one.turns), tokenize=False, add_generation_prompt=True)
        found.append(Prompt(one.text, str(text), one.turns))
    return found
