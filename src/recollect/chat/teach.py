"""What a training will be given of conversations by the model that is to learn them, without its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.chat.asking import Written, settled
from recollect.chat.examples import Lesson, lesson
from recollect.chat.settings import DataSettings
from recollect.conversation import Conversation
from recollect.core.numbers import many
from recollect.core.tables import BadRows, RowError, digest
from recollect.errors import InputError
from recollect.generate.encoding import context_limit
from recollect.models.ref import resolve_name
from recollect.models.whole import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REFUSED: dict[Written, str] = {
    "chat": "refused by the model's chat template",
    "plain": "more than one question and one answer",
}
"""Why a conversation cannot be put to a model."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Model:
    """What is known of the model without its weights."""

    tokenizer: PreTrainedTokenizerBase
    prompted: Written
    context: int | None


@dataclass(frozen=True)
class Taught:
    """The train conversations that can be used, with what a training is given of them."""

    conversations: list[Conversation]
    lessons: list[Lesson]
    bad: BadRows


def read_model(settings: DataSettings) -> Model | None:
    """The model that the settings name, without its weights. ModelError, and InputError for a template it lacks."""
    if settings.model is None:
        return None
    from transformers import AutoConfig

    ref = resolve_name(settings.model, settings.revision, settings.trust_remote_code)
    tokenizer = load_tokenizer(ref.whole, ref.runs_code)
    config = AutoConfig.from_pretrained(ref.whole, local_files_only=True, trust_remote_code=ref.runs_code)
    prompted: Written = "chat" if settled(settings.prompt, ref) == "chat" else "plain"
    return Model(tokenizer, prompted, context_limit(config))


def tokenizer_fingerprint(settings: DataSettings) -> str | None:
    """Hash of what decides the tokens: all small files of the model's folder, its weights left out."""
    if settings.model is None:
        return None
    folder = resolve_name(settings.model, settings.revision, settings.trust_remote_code).whole
    endings = (".json", ".model", ".txt", ".jinja", ".py", ".tiktoken")
    files = [
        file for file in sorted(folder.iterdir()) if file.suffix in endings and not file.name.endswith("index.json")
    ]
    return digest((file.name, file.read_bytes()) for file in files)


def teach(settings: DataSettings, model: Model | None, train: Sequence[Conversation], progress: Progress) -> Taught:
    """What a training on these conversations is given; those that the model cannot be given are bad rows.

    InputError when that is all of them. progress: called with (done, to do).
    """
    bad = BadRows(settings.bad_rows)
    if model is None:
        return Taught(list(train), [], bad)
    kept, lessons = [], []
    for done, one in enumerate(train, start=1):
        try:
            lessons.append(lesson(model.tokenizer, one, model.prompted, settings.train_on, settings.prompt_template))
            kept.append(one)
        except InputError as error:
            bad.add(one.source.rpartition(": ")[2], RowError(REFUSED[model.prompted], str(error)))
        progress(done, len(train))
    if train and not kept:
        raise InputError(f"none of {many(len(train), 'conversation')} can be learned. The first: {bad.found[0].text}")
    return Taught(kept, lessons, bad)
