"""The journal file of a search: whole appends, a checksum on every line, and repair before it is read.

Notable choices
- A line is Optuna's own with one more key, `crc`, so the dashboard and `optuna` read the file as any journal. Lines
  without it (older searches, the dashboard's) are checked to be records.
- One rule for a cut tail, a garbled line and a flipped byte: what stands before the first bad line holds; the rest is
  put beside and decided again. Decisions follow from what is known before them, and outcomes of finished trainings are
  in the trials' folders too, so nothing is trained twice.
- Call `repair` under the search's own lock, `held`: it truncates the file.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from recollect.core.json_object import JsonObject
from recollect.core.workspace import locked, sync_folder, write_atomic
from recollect.errors import StepError
from recollect.experiments.search.prepare import check_place

_CHECK = re.compile(rb',"crc":"([0-9a-f]{8})"\}$')
_BEGINS = b'{"op_code":'
_CREATE_STUDY = 0


class _Held(JournalFileOpenLock):
    """The search's own lock keeps other loops out. Optuna's would stay behind when this one is killed."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class CheckedJournal(JournalFileBackend):
    """Optuna's journal file, whose appends are whole or undone; OSError when the disk is full."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_Held(str(path)))
        self._path = path

    def append_logs(self, logs: list[JsonObject]) -> None:
        """Add records; on a full disk the file is left as it was."""
        size = self._path.stat().st_size
        try:
            with self._path.open("ab") as file:
                file.write(b"".join(_line(log) for log in logs))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # else `repair` cuts it when the search is resumed
                os.truncate(self._path, size)
            raise


@dataclass(frozen=True)
class Repair:
    """What was cut from a journal: a copy of it, the first bad line, and how many whole records stood behind that."""

    copy: Path
    line: int
    behind: int

    def text(self) -> str:
        """In one line."""
        if not self.behind:
            return f"The ledger's last line was cut short or garbled; it was cut off, and a copy is {self.copy}."
        return (
            f"Line {self.line} of the ledger is garbled: the search resumes from before it. It and the {self.behind} "
            f"entries behind it are kept in {self.copy} and decided again; finished trainings are used as they are."
        )


@contextmanager
def held(journal: Path) -> Iterator[None]:
    """Hold the lock file beside a journal; StepBusy when another process holds it. It goes with its holder, however
    that dies."""
    busy = f"another search is at work on {journal}. Wait for it, or give this one a folder of its own."
    with locked(lock_of(journal), lambda: busy):
        yield


def lock_of(journal: Path) -> Path:
    """The lock file beside a journal."""
    return journal.with_name(journal.name + ".search-lock")


def repair(path: Path) -> Repair | None:
    """Cut a journal before its first bad line and keep what was cut beside it; None when every line is whole.

    Raises InputError for what is no file. Raises StepError, and changes nothing, for a file that is no journal, and for
    a garbled line in the middle of a journal of several studies, since the others cannot be decided again.
    """
    check_place(path)
    if not path.exists():
        return None
    lines = path.read_bytes().splitlines(keepends=True)
    records = [_record(line) for line in lines]
    bad = next((at for at, record in enumerate(records) if record is None), None)
    if bad is None:
        return None
    whole = [record for record in records if record is not None]
    if not whole and not lines[0].startswith(_BEGINS[: len(lines[0])]):
        raise StepError(
            f"{path} is not a journal of a search: its first line is no record. Give --storage another file."
        )
    behind = sum(record is not None for record in records[bad + 1 :])
    begun = [at for at, record in enumerate(records) if record is not None and record["op_code"] == _CREATE_STUDY]
    if behind and (len(begun) > 1 or any(at > bad for at in begun)):
        raise StepError(
            f"line {bad + 1} of {path} is garbled, and the journal holds several studies. Put a copy of it back, or "
            "give the search another --storage."
        )
    copy = next(place for n in range(1, 10_000) if not (place := path.with_name(f"{path.name}.cut-{n}")).exists())
    write_atomic(copy, lambda file: file.write(b"".join(lines[bad:])))
    os.truncate(path, sum(map(len, lines[:bad])))
    sync_folder(path)
    return Repair(copy, bad + 1, behind)


def _line(log: JsonObject) -> bytes:
    """A record as Optuna writes it, and behind it the checksum of these bytes."""
    body = json.dumps(log, separators=(",", ":")).encode()
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def _record(line: bytes) -> JsonObject | None:
    """The record of a line; None for one that is cut, garbled, or not what its checksum says."""
    text = line.removesuffix(b"\n")
    if text == line:
        return None
    check = _CHECK.search(text)
    if check is not None and zlib.crc32(text[: check.start()] + b"}") != int(check[1], 16):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get("op_code"), int) and "worker_id" in found
    return found if whole else None
