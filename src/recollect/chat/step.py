"""The data step: what is in a file of chat data and what a training will make of it, before there is any training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recollect.chat.found import DataFound, DataReport
from recollect.chat.look import Source, look
from recollect.chat.read import READER_VERSION, read_conversations
from recollect.chat.settings import DataSettings
from recollect.chat.teach import REFUSED as REFUSED
from recollect.chat.teach import Progress, tokenizer_fingerprint
from recollect.core.workspace import DEFAULT_ROOT, open_step, write_json

_REPORT = "report.json"
_ROWS = "rows.parquet"


@dataclass(frozen=True)
class DataResult:
    """A finished data step; `report` is its report.json."""

    path: Path
    found: DataFound
    report: DataReport


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
    source = Source(*read_conversations(settings.path, settings.bad_rows))
    test = None if settings.test is None else Source(*read_conversations(settings.test, settings.bad_rows))
    inputs = {
        "data": source.read.fingerprint,
        "test": test.read.fingerprint if test else None,
        "tokenizer": tokenizer_fingerprint(settings),
        "reader": READER_VERSION,
    }
    with open_step("data", settings, inputs, out, root) as step:
        if not step.done:
            found, report, rows = look(settings, source, test, progress)
            step.write_table(_ROWS, rows)
            write_json(step.folder / _REPORT, report.plain())
            step.finish(found)
        stored = (step.path / _REPORT).read_text(encoding="utf-8")
        return DataResult(step.path, DataFound.read(step.path), DataReport.model_validate_json(stored))
