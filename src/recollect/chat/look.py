"""All that can be told of chat data before a training: counts, tokens, what is odd, a preview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recollect.chat.checks import Oddities, frequent_answers, oddities, scripts_without_blanks, with_entities
from recollect.chat.found import DataFound, DataReport, Spread
from recollect.chat.preview import Preview, chosen, evenly, tokens_preview, turns_preview
from recollect.chat.read import ConversationsFound
from recollect.chat.settings import DataSettings
from recollect.chat.teach import Model, Progress, Taught, read_model, teach
from recollect.conversation import Conversation
from recollect.core.json_object import JsonObject
from recollect.core.tables import BadRowsFound


@dataclass(frozen=True)
class Source:
    """The conversations of a path, and the account of what was read."""

    conversations: Sequence[Conversation]
    read: ConversationsFound


def look(
    settings: DataSettings, source: Source, test: Source | None, progress: Progress
) -> tuple[DataFound, DataReport, pl.DataFrame]:
    """The counts, the report, and a table with one row per train conversation; `test` is the test file."""
    model = read_model(settings)
    train = [one for one in source.conversations if one.part == "train"]
    tested = [one for one in source.conversations if one.part != "train"]
    tested += test.conversations if test else []
    taught = teach(settings, model, train, progress)
    odd = oddities(taught.conversations, tested)
    limit = settings.max_length if model is None else min(settings.max_length, model.context or settings.max_length)
    cut = [any(example.is_cut(limit) for example in one.examples) for one in taught.lessons]
    found = _counts(source.read, taught, odd, cut, counted=model is not None)
    report = DataReport(
        path=str(settings.path),
        test=settings.test,
        model=settings.model,
        parts=_parts(source.read.parts, len(taught.bad.found), len(test.conversations) if test else 0),
        length_limit=limit,
        frequent=frequent_answers(taught.conversations),
        entities=with_entities(taught.conversations),
        scripts=scripts_without_blanks([*taught.conversations, *tested]),
        preview=_previews(settings, model, taught, limit),
        **_of_reading(source.read, test.read if test else None, taught),
        **_of_lessons(model, taught),
        near_overlap=sum(odd.near_overlap),
        conflicts=_counted(odd.conflict_with),
    )
    return found, report, _table(taught, odd, cut)


def _counts(
    read: ConversationsFound, taught: Taught, odd: Oddities, cut: Sequence[bool], *, counted: bool
) -> DataFound:
    learned = sum(one.learned for one in taught.lessons)
    return DataFound(
        format=read.format,
        rows=read.rows,
        kept=read.kept - len(taught.bad.found),
        dropped=_both(read.bad_rows, taught.bad.account()).reasons,
        trained_tokens=learned if counted else None,
        masked_tokens=sum(one.tokens for one in taught.lessons) - learned if counted else None,
        duplicates=_counted(odd.duplicate_of),
        near_duplicates=_counted(odd.near_duplicate_of),
        overlap=sum(odd.overlap),
        cut_answers=sum(cut) if counted else None,
    )


def _of_reading(read: ConversationsFound, test: ConversationsFound | None, taught: Taught) -> JsonObject:
    """The fields of the report that are told from the rows."""
    return {
        "files": [*read.files, *(test.files if test else [])],
        "formats": read.formats,
        "columns": read.columns,
        "unused": read.unused,
        "bad_rows": _both(read.bad_rows, taught.bad.account()),
        "test_bad_rows": test.bad_rows if test else BadRowsFound(),
    }


def _of_lessons(model: Model | None, taught: Taught) -> JsonObject:
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


def _previews(settings: DataSettings, model: Model | None, taught: Taught, limit: int) -> list[Preview]:
    if model is None:
        places = evenly(len(taught.conversations), settings.preview)
        return [turns_preview(taught.conversations[at], settings.train_on) for at in places]
    return [
        tokens_preview(model.tokenizer, taught.conversations[at], taught.lessons[at], limit)
        for at in chosen(taught.lessons, limit, settings.preview)
    ]


def _table(taught: Taught, odd: Oddities, cut: Sequence[bool]) -> pl.DataFrame:
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
