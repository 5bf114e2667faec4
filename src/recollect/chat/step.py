"""The data step: what is in a file of chat data and what a training will make of it, before there is any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import polars as pl
from pydantic import Field

from recollect.chat.asking import Prompt, Written, settled
from recollect.chat.checks import Oddities, oddities, scripts_without_blanks
from recollect.chat.conversation import Conversation
from recollect.chat.examples import Lesson, lesson
from recollect.chat.found import DataFound, DataReport, Spread
from recollect.chat.preview import Preview, chosen, evenly, tokens_preview, turns_preview
from recollect.chat.read import READER_VERSION, ConversationsFound, read_conversations
from recollect.chat.render import TrainOn
from recollect.core.json_object import JsonObject
from recollect.core.settings import PathOrName, Settings
from recollect.core.tables import BadRows, BadRowsFound, BadRowsMode, RowError, digest
from recollect.core.workspace import DEFAULT_ROOT, open_step, write_json
from recollect.errors import InputError
from recollect.generate.encoding import context_limit
from recollect.models.ref import resolve_name
from recollect.models.whole import load_tokenizer
from recollect.prompt import DEFAULT_TEMPLATE, PromptTemplate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REPORT = "report.json"
_ROWS = "rows.parquet"
REFUSED: dict[Written, str] = {
    "chat": "refused by the model's chat template",
    "plain": "more than one question and one answer",
}
"""Why a conversation cannot be put to a model."""
Progress = Callable[[int, int], None]


class DataSettings(Settings):
    """Which chat data to look at, and the model that is to learn it.

    Examples:
        >>> from recollect import DataSettings
        >>> DataSettings.make(path="chat.jsonl", model="smollm2").max_length
        1024
    """

    runtime_only: ClassVar[set[str]] = {"path", "test", "model", "seed"}  # their content is in the inputs' fingerprint

    path: Annotated[PathOrName, Field(json_schema_extra={"argument": "DIR|FILE"})]
    """A .jsonl, .json, .csv, .tsv or .parquet file of conversations, or a folder of them: train and test by the files'
    names or a column split."""
    test: PathOrName | None = None
    """Another file or folder, all of it test: which of its questions stand in the training data?"""
    model: PathOrName | None = None
    """The model that will be trained: its tokenizer counts the tokens, its chat template writes the conversations.
    Default: none; then only the texts are looked at."""
    revision: str | None = None
    """Hub revision; with trust_remote_code, the pin of the code (a folder's: the hash the refusal prints)."""
    trust_remote_code: bool = False
    """Let code inside the model's folder run. Needs --revision. Off, and better left off."""
    prompt: Prompt = "auto"
    """chat: by the model's own template. plain: one question and its answer in --prompt-template. auto: as a training
    would, chat for a model that has a template, else plain."""
    train_on: TrainOn = "all"
    """Which of an assistant's turns are learned: all, or the last. Rows that say so themselves are followed."""
    prompt_template: PromptTemplate = DEFAULT_TEMPLATE
    """The plain prompt, with {question} in it; a blank and the answer follow."""
    max_length: Annotated[int, Field(ge=8)] = 1024
    """Longest example in tokens, as the training will have it; which answers are longer?"""
    bad_rows: BadRowsMode = "skip"
    """What becomes of a row that cannot be used: skip (left out and counted) or error (the first one ends the step)."""
    seed: int = 0
    """Taken for uniformity; nothing here is drawn."""


@dataclass(frozen=True)
class DataResult:
    """A finished data step; `report` is its report.json."""

    path: Path
    found: DataFound
    report: DataReport


@dataclass(frozen=True)
class _Model:
    """What is known of the model without its weights."""

    tokenizer: PreTrainedTokenizerBase
    prompted: Written
    context: int | None


@dataclass(frozen=True)
class _Taught:
    """The train conversations that can be used, with what a training is given of them."""

    conversations: list[Conversation]
    lessons: list[Lesson]
    bad: BadRows


def run_data(
    settings: DataSettings, out: Path | None = None, root: Path = DEFAULT_ROOT, progress: Progress = lambda *_: None
) -> DataResult:
    """Look at chat data as the training will. Raises InputError for data of which nothing can be used.

    Writes `report.json` and `rows.parquet`: one row per conversation, with its tokens and what is odd about it.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import DataSettings, run_data
        >>> row = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}'
        >>> written = Path("chat.jsonl").write_text(f"{row}\\n{row}\\n")
        >>> found = run_data(DataSettings.make(path="chat.jsonl")).found
        >>> found.format, found.kept, found.duplicates
        ('messages', 2, 1)
    """
    conversations, read = read_conversations(settings.path, settings.bad_rows)
    tested, test_read = (None, None) if settings.test is None else read_conversations(settings.test, settings.bad_rows)
    inputs = {
        "data": read.fingerprint,
        "test": test_read.fingerprint if test_read else None,
        "tokenizer": _tokenizer_fingerprint(settings),
        "reader": READER_VERSION,
    }
    with open_step("data", settings, inputs, out, root) as step:
        if not step.done:
            found, report, rows = _look(settings, conversations, read, tested or [], test_read, progress)
            step.write_table(_ROWS, rows)
            write_json(step.folder / _REPORT, report.plain())
            step.finish(found)
        stored = (step.path / _REPORT).read_text(encoding="utf-8")
        return DataResult(step.path, DataFound.read(step.path), DataReport.model_validate_json(stored))


def _look(
    settings: DataSettings,
    conversations: Sequence[Conversation],
    read: ConversationsFound,
    tested: Sequence[Conversation],
    test_read: ConversationsFound | None,
    progress: Progress,
) -> tuple[DataFound, DataReport, pl.DataFrame]:
    model = _model(settings)
    train = [one for one in conversations if one.part == "train"]
    others = [*[one for one in conversations if one.part != "train"], *tested]
    taught = _teach(settings, model, train, progress)
    odd = oddities(taught.conversations, others)
    lengths = [one.tokens for one in taught.lessons]
    learned = [one.learned for one in taught.lessons]
    cut = [any(example.is_cut(settings.max_length) for example in one.examples) for one in taught.lessons]
    refused = len(taught.bad.found)
    found = DataFound(
        format=read.format,
        rows=read.rows,
        kept=read.kept - refused,
        dropped=_both(read.bad_rows, taught.bad.account()).reasons,
        trained_tokens=sum(learned) if model else None,
        masked_tokens=sum(lengths) - sum(learned) if model else None,
        duplicates=_counted(odd.duplicate_of),
        near_duplicates=_counted(odd.near_duplicate_of),
        overlap=sum(odd.overlap),
        cut_answers=sum(cut) if model else None,
    )
    report = DataReport(
        path=str(settings.path),
        test=settings.test,
        model=settings.model,
        files=[*read.files, *(test_read.files if test_read else [])],
        formats=read.formats,
        columns=read.columns,
        unused=read.unused,
        parts=_parts(read.parts, refused, len(tested)),
        length_limit=settings.max_length,
        near_overlap=sum(odd.near_overlap),
        conflicts=_counted(odd.conflict_with),
        scripts=scripts_without_blanks([*taught.conversations, *others]),
        bad_rows=_both(read.bad_rows, taught.bad.account()),
        test_bad_rows=test_read.bad_rows if test_read else BadRowsFound(),
        preview=_previews(settings, model, taught),
        **_taught_counts(model, taught),
    )
    return found, report, _table(taught, odd, cut)


def _taught_counts(model: _Model | None, taught: _Taught) -> JsonObject:
    """The fields of the report that are told from the lessons."""
    return {
        "turns": Spread.of([len(one.turns) for one in taught.conversations]),
        "unanswered": sum(one.turns[-1].role != "assistant" for one in taught.conversations),
        "prompted": model.prompted if model else None,
        "context": model.context if model else None,
        "examples": sum(len(one.examples) for one in taught.lessons) if model else None,
        "tokens": Spread.of([one.tokens for one in taught.lessons]),
        "learned": Spread.of([one.learned for one in taught.lessons]),
        "left_out": dict(Counter(name for one in taught.lessons for name in one.left_out)),
    }


def _parts(read: Mapping[str, int], refused: int, tested: int) -> dict[str, int]:
    """Conversations by part: those read, less those refused, and those of the test file."""
    parts = {**read, "train": read.get("train", 0) - refused, "test": read.get("test", 0) + tested}
    return {part: count for part, count in parts.items() if count}


def _model(settings: DataSettings) -> _Model | None:
    if settings.model is None:
        return None
    from transformers import AutoConfig

    ref = resolve_name(settings.model, settings.revision, settings.trust_remote_code)
    tokenizer = load_tokenizer(ref.whole, ref.runs_code)
    config = AutoConfig.from_pretrained(ref.whole, local_files_only=True, trust_remote_code=ref.runs_code)
    prompted: Written = "chat" if settled(settings.prompt, ref) == "chat" else "plain"
    return _Model(tokenizer, prompted, context_limit(config))


def _tokenizer_fingerprint(settings: DataSettings) -> str | None:
    """Hash of what decides the tokens: all small files of the model's folder, its weights left out."""
    if settings.model is None:
        return None
    folder = resolve_name(settings.model, settings.revision, settings.trust_remote_code).whole
    endings = (".json", ".model", ".txt", ".jinja", ".py", ".tiktoken")
    files = [
        file for file in sorted(folder.iterdir()) if file.suffix in endings and not file.name.endswith("index.json")
    ]
    return digest((file.name, file.read_bytes()) for file in files)


def _teach(settings: DataSettings, model: _Model | None, train: Sequence[Conversation], progress: Progress) -> _Taught:
    bad = BadRows(settings.bad_rows)
    if model is None:
        return _Taught(list(train), [], bad)
    kept, lessons = [], []
    for done, one in enumerate(train, start=1):
        try:
            lessons.append(lesson(model.tokenizer, one, model.prompted, settings.train_on, settings.prompt_template))
            kept.append(one)
        except InputError as error:
            bad.add(one.source.rpartition(": ")[2], RowError(REFUSED[model.prompted], str(error)))
        progress(done, len(train))
    if train and not kept:
        raise InputError(f"none of {len(train):,} conversations can be learned. The first: {bad.found[0].text}")
    return _Taught(kept, lessons, bad)


def _previews(settings: DataSettings, model: _Model | None, taught: _Taught) -> list[Preview]:
    if model is None:
        return [turns_preview(taught.conversations[at], settings.train_on) for at in evenly(len(taught.conversations))]
    return [
        tokens_preview(model.tokenizer, taught.conversations[at], taught.lessons[at], settings.max_length)
        for at in chosen(taught.lessons, settings.max_length)
    ]


def _table(taught: _Taught, odd: Oddities, cut: Sequence[bool]) -> pl.DataFrame:
    """One row per train conversation."""
    ids = [one.id for one in taught.conversations]

    def named(twins: Sequence[int | None]) -> list[str | None]:
        return [None if twin is None else ids[twin] for twin in twins]

    counted = bool(taught.lessons)
    columns = {
        "id": ids,
        "source": [one.source for one in taught.conversations],
        "turns": [len(one.turns) for one in taught.conversations],
        "tokens": [one.tokens for one in taught.lessons] if counted else [None] * len(ids),
        "learned": [one.learned for one in taught.lessons] if counted else [None] * len(ids),
        "cut": list(cut) if counted else [None] * len(ids),
        "duplicate_of": named(odd.duplicate_of),
        "near_duplicate_of": named(odd.near_duplicate_of),
        "conflict_with": named(odd.conflict_with),
        "overlap": odd.overlap,
        "near_overlap": odd.near_overlap,
    }
    text = ("id", "source", "duplicate_of", "near_duplicate_of", "conflict_with")
    yes_or_no = ("cut", "overlap", "near_overlap")
    schema = {name: pl.String if name in text else pl.Boolean if name in yes_or_no else pl.Int64 for name in columns}
    return pl.DataFrame(columns, schema=schema)


def _both(one: BadRowsFound, other: BadRowsFound) -> BadRowsFound:
    reasons = Counter(one.reasons)
    reasons.update(other.reasons)
    return BadRowsFound(
        skipped=one.skipped + other.skipped, reasons=dict(sorted(reasons.items())), first=[*one.first, *other.first]
    )


def _counted(twins: Sequence[int | None]) -> int:
    return sum(twin is not None for twin in twins)
