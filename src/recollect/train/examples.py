"""What a training learns, as token ids with the mask of what carries loss: facts of a selection, or conversations.

Notable choices
- A fact is a question and its answer in the prompt that evaluation asks in; a conversation is rendered by the model's
  own chat template (`chat.render`). Nothing is cut: what is too long is refused by name.
- A model without a chat template learns conversations of one question and one answer, in the plain prompt, and no
  others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recollect.chat.asking import Asking
from recollect.chat.conversation import Conversation
from recollect.chat.read import READER_VERSION, read_conversations
from recollect.chat.render import Rendered, render
from recollect.chat.template import template_of
from recollect.core.workspace import fingerprint, step_input
from recollect.errors import InputError
from recollect.generate.encoding import check_context, context_limit
from recollect.prompt import check_answers
from recollect.train.settings import TrainSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from recollect.train.trainer import Example


@dataclass(frozen=True)
class Learned:
    """The examples of a training, in order."""

    examples: list[Example]
    names: list[str]
    """Of each example, for people."""
    notes: list[str] = field(default_factory=list)
    conversations: int | None = None
    """How many they are of; None for facts."""


@dataclass(frozen=True)
class Source:
    """What is to be learned: one of the two."""

    path: Path
    inputs: dict[str, str]
    """Its fingerprint, for the step's inputs."""
    facts: pl.DataFrame | None = None
    """fact_id, question, object."""
    conversations: tuple[Conversation, ...] = ()

    @property
    def kind(self) -> str:
        """What the manifest calls it."""
        return "data" if self.facts is None else "selection"


def read_source(selection: Path | None, data: Path | None) -> Source:
    """The facts of a select step, or the conversations of chat data (its train part). Raises InputError."""
    if (selection is None) == (data is None):
        raise InputError(
            "a training learns the facts of a selection or the conversations of chat data: give one of --selection (a "
            f"select step) and --data (a file or folder), but got {'both' if data else 'neither'}."
        )
    if data is not None:
        found = [one for one in read_conversations(data)[0] if one.part == "train"]
        if not found:
            raise InputError(f"{data} has no conversation in its train part. Give the file to learn from.")
        said = [(one.as_messages(), one.tools, one.train_on) for one in found]
        return Source(data, {"data": fingerprint([READER_VERSION, said])}, conversations=tuple(found))
    assert selection is not None
    step_input(selection, "select")
    columns = ["fact_id", "question", "object"]
    rows = pl.read_parquet(selection / "selection.parquet", glob=False, columns=columns)
    return Source(selection, {"selection": fingerprint(rows.to_dict(as_series=False))}, facts=rows)


def learn(
    source: Source, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig
) -> Learned:
    """The examples, none longer than settings and model allow. InputError, by name, for what cannot be learned."""
    found = (
        _conversations(source.conversations, settings, tokenizer)
        if source.facts is None
        else _facts(source.facts, settings, tokenizer)
    )
    lengths = [len(ids) for ids, _ in found.examples]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] > settings.max_length:
        over = sum(length > settings.max_length for length in lengths)
        raise InputError(
            f"{found.names[longest]} has {lengths[longest]:,} tokens; max_length is {settings.max_length:,}, and "
            f"{over:,} of {len(lengths):,} examples are longer. Raise --max-length or leave them out."
        )
    remedy = "Leave it out or take another model."
    check_context(context_limit(config), [ids for ids, _ in found.examples], found.names, remedy=remedy)
    return found


def _facts(rows: pl.DataFrame, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase) -> Learned:
    asking, objects = Asking.of(settings), rows["object"].to_list()
    pairs = zip(rows["question"].to_list(), objects, strict=True)
    examples = [asking.example(tokenizer, question, answer) for question, answer in pairs]
    names = [f"fact {fact_id}" for fact_id in rows["fact_id"].to_list()]
    return Learned(examples, names, check_answers(tokenizer, examples, objects))


def _conversations(
    conversations: Sequence[Conversation], settings: TrainSettings, tokenizer: PreTrainedTokenizerBase
) -> Learned:
    if settings.prompt != "chat":
        plain = [_plain(one, settings, tokenizer) for one in conversations]
        return Learned(plain, [_name(one) for one in conversations], conversations=len(conversations))
    rendered: list[tuple[Rendered, str]] = []
    nothing = 0
    for one in conversations:
        some = render(tokenizer, one, settings.train_on)
        nothing += not some
        rendered += [(example, _name(one)) for example in some]
    if not rendered:
        raise InputError("no conversation has an assistant turn to learn. Look at it with `recollect data`.")
    notes = _notes([example for example, _ in rendered], len(conversations) - nothing)
    if nothing:
        notes.append(f"{nothing:,} of {len(conversations):,} conversations have no turn to learn and are left out")
    if template_of(tokenizer).writes_date:
        notes.append("the chat template writes the day's date; here it is always 26 July 2024, so that runs are equal")
    examples = [(example.ids, example.mask) for example, _ in rendered]
    return Learned(examples, [name for _, name in rendered], notes, len(conversations) - nothing)


def _plain(one: Conversation, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase) -> Example:
    """A question and its answer in the plain prompt; anything else needs a template."""
    if [turn.role for turn in one.turns] != ["user", "assistant"] or one.tools or one.turns[1].tool_calls:
        raise InputError(
            f"{_name(one)} is more than one question and one answer, which the plain prompt has no place for. Take a "
            "model with a chat template and --prompt chat, or leave it out."
        )
    return Asking.of(settings).example(tokenizer, one.turns[0].content.strip(), one.turns[1].content.strip())


def _notes(rendered: Sequence[Rendered], conversations: int) -> list[str]:
    left_out = Counter(what for example in rendered for what in example.left_out)
    notes = [
        f"the chat template does not write {what} in {count:,} of {len(rendered):,} examples"
        for what, count in left_out.items()
    ]
    if len(rendered) > conversations:
        notes.append(
            f"the chat template rewrites earlier turns, so {conversations:,} conversations became {len(rendered):,} "
            "examples, each with the turns before it as the model will read them"
        )
    return notes


def _name(one: Conversation) -> str:
    return one.source or f"conversation {one.id}"
