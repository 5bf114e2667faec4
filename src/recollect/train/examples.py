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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recollect.chat.asking import Asking
from recollect.chat.examples import Lesson, lesson
from recollect.chat.found import DataReport
from recollect.chat.read import READER_VERSION, read_conversations
from recollect.chat.step import REFUSED
from recollect.chat.template import template_of
from recollect.chat.turns import stored
from recollect.conversation import Conversation
from recollect.core.numbers import many
from recollect.core.tables import BadRows, BadRowsFound, RowError
from recollect.core.workspace import MANIFEST, fingerprint, step_input
from recollect.errors import InputError
from recollect.facts import TURNS
from recollect.generate.encoding import check_context, context_limit
from recollect.prompt import check_answers
from recollect.train.settings import TrainSettings

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from recollect.train.trainer import Example

_SHARED = ("prompt", "prompt_template", "train_on", "max_length", "bad_rows")
"""Settings that a data step has too: what was looked at is what is learned."""


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
    """Of chat data; and those that the facts of a selection hold, where they are conversations."""
    notes: tuple[str, ...] = ()
    """What was lost on the way."""

    @property
    def kind(self) -> str:
        """What the manifest calls it."""
        return "data" if self.facts is None else "selection"


def read_source(settings: TrainSettings, selection: Path | None, data: Path | None) -> tuple[TrainSettings, Source]:
    """The facts of a select step, or the conversations of chat data (its train part), and how they are learned.

    Of a data step the file it looked at is read again, and what the settings do not say is taken from it. Raises
    InputError.
    """
    if data is not None and selection is None:
        return _read_data(settings, data)
    if selection is None or data is not None:
        raise InputError(
            "a training learns the facts of a selection or the conversations of chat data: give one of --selection (a "
            f"select step) and --data (a file, a folder or a data step), but got {'both' if data else 'neither'}."
        )
    step_input(selection, "select")
    table = pl.read_parquet(selection / "selection.parquet", glob=False)
    rows = table.select("fact_id", "question", "object", *({TURNS} & set(table.columns)))
    inputs = {"selection": fingerprint(rows.to_dict(as_series=False))}
    talks = tuple(map(stored, rows[TURNS].to_list())) if TURNS in rows.columns else ()
    return settings, Source(selection, inputs, facts=rows, conversations=talks)


def _read_data(settings: TrainSettings, data: Path) -> tuple[TrainSettings, Source]:
    path, looked_at = data, None
    if (data / MANIFEST).is_file():
        step = step_input(data, "data")
        path, looked_at = (
            Path(DataReport.model_validate_json((data / "report.json").read_text("utf-8")).path),
            step.inputs,
        )
        taken = {
            name: value
            for name, value in step.settings.items()
            if name in _SHARED and name not in settings.model_fields_set and value != "auto"
        }
        settings = settings.model_copy(update=taken)
    conversations, read = read_conversations(path, settings.bad_rows)
    if looked_at is not None and looked_at["data"] != read.fingerprint:
        raise InputError(f"{path} has changed since {data} looked at it. Run `recollect data` again, or give the file.")
    found = tuple(one for one in conversations if one.part == "train")
    if not found:
        raise InputError(f"{path} has no conversation in its train part. Give the file to learn from.")
    said = [(one.as_messages(), one.tools, one.train_on) for one in found]
    inputs = {"data": fingerprint([READER_VERSION, said])}
    return settings, Source(path, inputs, None, found, tuple(_lost(read.bad_rows)))


def learn(
    source: Source, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig
) -> Learned:
    """The examples, none longer than settings and model allow. InputError, by name, for what cannot be learned."""
    if source.facts is None or source.conversations:
        found = _conversations(source.conversations, settings, tokenizer)
    else:
        found = _facts(source.facts, settings, tokenizer)
    lengths = [len(ids) for ids, _ in found.examples]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] > settings.max_length:
        over = sum(length > settings.max_length for length in lengths)
        are = "is" if over == 1 else "are"
        raise InputError(
            f"{found.names[longest]} has {lengths[longest]:,} tokens; max_length is {settings.max_length:,}, and "
            f"{over:,} of {many(len(lengths), 'example')} {are} longer. Raise --max-length or leave them out."
        )
    remedy = "Leave it out or take another model."
    check_context(context_limit(config), [ids for ids, _ in found.examples], found.names, remedy=remedy)
    return replace(found, notes=[*source.notes, *found.notes])


def _facts(rows: pl.DataFrame, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase) -> Learned:
    asking, objects = Asking.of(settings), rows["object"].to_list()
    pairs = zip(rows["question"].to_list(), objects, strict=True)
    examples = [asking.example(tokenizer, question, answer) for question, answer in pairs]
    names = [f"fact {fact_id}" for fact_id in rows["fact_id"].to_list()]
    return Learned(examples, names, check_answers(tokenizer, examples, objects))


def _conversations(
    conversations: Sequence[Conversation], settings: TrainSettings, tokenizer: PreTrainedTokenizerBase
) -> Learned:
    bad, prompted = BadRows(settings.bad_rows), Asking.of(settings).written
    lessons: list[tuple[Conversation, Lesson]] = []
    for one in conversations:
        try:
            made = lesson(tokenizer, one, prompted, settings.train_on, settings.prompt_template)
        except InputError as error:
            bad.add(_name(one), RowError(REFUSED[prompted], str(error)))
            continue
        if made.examples:
            lessons.append((one, made))
    if not lessons:
        raise InputError(
            f"none of {len(conversations):,} conversations has a turn to learn. Look at them with `recollect data`."
        )
    named = [(example, _name(one)) for one, made in lessons for example in made.examples]
    notes = [*_lost(bad.account()), *_notes([made for _, made in lessons], len(conversations) - len(bad.found))]
    if prompted == "chat" and template_of(tokenizer).writes_date:
        notes.append("the chat template writes the day's date; here it is always 26 July 2024, so that runs are equal")
    examples = [(list(example.ids), list(example.mask)) for example, _ in named]
    return Learned(examples, [name for _, name in named], notes, len(lessons))


def _notes(lessons: Sequence[Lesson], conversations: int) -> list[str]:
    left_out = Counter(what for made in lessons for what in made.left_out)
    examples = sum(len(made.examples) for made in lessons)
    notes = [
        f"the chat template does not write {what} in {count:,} of {many(len(lessons), 'conversation')}"
        for what, count in left_out.items()
    ]
    if nothing := conversations - len(lessons):
        have, are = ("has", "is") if nothing == 1 else ("have", "are")
        notes.append(f"{nothing:,} of {conversations:,} conversations {have} no turn to learn and {are} left out")
    if examples > len(lessons):
        notes.append(
            f"the chat template rewrites earlier turns, so {many(len(lessons), 'conversation')} became {examples:,} "
            "examples, each with the turns before it as the model will read them"
        )
    return notes


def _lost(bad: BadRowsFound) -> list[str]:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in bad.reasons.items())
    were = "was" if bad.skipped == 1 else "were"
    return [f"{many(bad.skipped, 'conversation')} {were} left out: {reasons}"] if bad.skipped else []


def _name(one: Conversation) -> str:
    return one.source or f"conversation {one.id}"
