"""What a data step found, in sentences: what a person should know before training, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recollect.chat.found import DataFound, DataReport
from recollect.core.numbers import many, percent

_FEW = 8  # conversations; fewer are one update at the default batch size
_SHOWN = 60  # characters of an answer


@dataclass(frozen=True)
class Finding:
    """One sentence or two."""

    text: str
    to_do: bool = True
    """Whether it asks for something to be done."""


def findings(found: DataFound, report: DataReport) -> list[Finding]:
    """All there is to say, what a training will do first."""
    return [*_of_training(found, report), *_of_rows(found, report), *_of_repeats(found, report), *_of_texts(report)]


def _of_training(found: DataFound, report: DataReport) -> Iterator[Finding]:
    train = report.parts.get("train", 0)
    if report.prompted is None or found.trained_tokens is None or found.masked_tokens is None:
        yield Finding("Give --model to see its tokens, and how its chat template writes these conversations.", False)
    else:
        how = "in the model's own chat template" if report.prompted == "chat" else "as plain question and answer"
        total = found.trained_tokens + found.masked_tokens
        yield Finding(
            f"{_many(train)} become {_many(report.examples or 0, 'example')} {how}. Learned are "
            f"{found.trained_tokens:,} of {total:,} tokens ({100 * found.trained_tokens / max(total, 1):.0f} %).",
            False,
        )
    for what, count in report.left_out.items():
        yield Finding(f"The chat template does not write {what} of {_many(count)}.")
    if found.cut_answers:
        at_most = report.context == report.length_limit
        remedy = "the most that the model reads. Shorten" if at_most else "Raise --max-length, or shorten"
        yield Finding(
            f"{_many(found.cut_answers)} with an answer that does not fit into {report.length_limit:,} tokens"
            f"{', ' if at_most else '. '}{remedy} or remove: a training refuses what is longer."
        )
    if train < _FEW:
        yield Finding(
            f"{_many(train)}: less than one batch of {_FEW}, so an epoch is a single update. Lower "
            "--batch-size or raise --epochs."
        )


def _of_rows(found: DataFound, report: DataReport) -> Iterator[Finding]:
    test = report.test_bad_rows
    if found.dropped:
        said = ", ".join(f"{reason} ({count:,})" for reason, count in found.dropped.items())
        first = f" The first: {report.bad_rows.first[0].error}" if report.bad_rows.first else ""
        yield Finding(f"{sum(found.dropped.values()):,} of {found.rows:,} rows dropped: {said}.{first}")
    if test.skipped:
        yield Finding(f"{many(test.skipped, 'row')} of the test file dropped. The first: {test.first[0].error}")
    if report.unused:
        yield Finding(f"Columns that are not used: {', '.join(report.unused[:20])}.", False)


def _of_repeats(found: DataFound, report: DataReport) -> Iterator[Finding]:
    train = report.parts.get("train", 0)
    tested = sum(report.parts.values()) - train
    if found.duplicates or found.near_duplicates:
        yield Finding(
            f"Repeats of an earlier conversation: {found.duplicates:,} exact, {found.near_duplicates:,} nearly so. "
            "Each is learned once more."
        )
    if report.conflicts:
        yield Finding(f"{_many(report.conflicts)} with another answer to the prompt of an earlier one.")
    if tested:
        ask = "asks" if found.overlap == 1 else "ask"
        yield Finding(
            f"{found.overlap:,} of {_many(train, 'train conversation')} {ask} what is asked in test "
            f"({tested:,} there), {report.near_overlap:,} more nearly that.",
            bool(found.overlap or report.near_overlap),
        )


def _of_texts(report: DataReport) -> Iterator[Finding]:
    train = report.parts.get("train", 0)
    for answer, count in report.frequent.items():
        shown = answer if len(answer) <= _SHOWN else answer[: _SHOWN - 1] + "…"
        yield Finding(
            f"{repr(shown) if shown else 'An empty answer'} is the last answer of {count:,} of {_many(train)} "
            f"({percent(count / train)}). A model may learn to give it to other questions, too; `recollect compare` "
            "tells.",
            False,
        )
    if report.unanswered:
        yield Finding(
            f"{_many(report.unanswered)} with more turns after the last answer; these are never learned.", False
        )
    if report.entities:
        yield Finding(
            f"{_many(report.entities)} with HTML entities (such as &amp;) in an answer; the model will learn to write "
            "them. Unescape them, unless that is what you want."
        )
    if report.scripts:
        said = ", ".join(f"{name} {count:,}" for name, count in report.scripts.items())
        yield Finding(
            f"Answers in scripts that put no blanks between words: {said}. The matcher `word` cannot cut these into "
            "words: there it finds an answer inside a longer one, too.",
            False,
        )


def _many(count: int, what: str = "conversation") -> str:
    return many(count, what)
