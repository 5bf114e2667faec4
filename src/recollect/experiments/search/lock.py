"""Two loops must not run one study: a lock beside a journal file, a lease inside any other storage.

Notable choices
- The file's lock is the system's and goes with its holder, however that dies.
- A lease is a study attribute with an end, renewed by a thread every minute. A loop that was killed blocks its study
  until the lease ends, five minutes at most; the error says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

import optuna

from recollect.errors import StepError

LEASE = 300.0
_RENEW = 60.0
_ATTRIBUTE = "lease"


class Lock(Protocol):
    """Held from its making until `release`."""

    def release(self) -> None:
        """Let others in."""
        ...


class NoLock:
    """For a study in this process's memory."""

    def release(self) -> None:
        """Nothing is held."""


class FileLock:
    """A lock file beside the journal; StepError when another process holds it."""

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(journal.name + ".search-lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StepError(f"{path} is a link, which Recollect never makes. Remove it.") from None
            raise
        self._file: IO[bytes] = os.fdopen(number, "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StepError(
                f"another search is at work on {journal}. Wait for it, or give this one a folder of its own."
            ) from None

    def release(self) -> None:
        """Let others in."""
        self._file.close()


class Lease:
    """A lease in the study itself; StepError when another loop's has not ended."""

    def __init__(self, study: optuna.Study, seconds: float = LEASE, renew: float = _RENEW) -> None:
        self._study, self._seconds = study, seconds
        self._holder = {"holder": uuid.uuid4().hex, "host": socket.gethostname(), "process": os.getpid()}
        self._refuse_if_held()
        self._write()
        time.sleep(0.05)  # of two that wrote at once, both see the later one
        self._refuse_if_held()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(renew,), daemon=True)
        self._thread.start()

    def _refuse_if_held(self) -> None:
        other = self._study.user_attrs.get(_ATTRIBUTE) or {}
        if other.get("holder") == self._holder["holder"] or time.time() >= float(other.get("until", 0)):
            return
        raise StepError(
            f"another search is at work on study {self._study.study_name!r}: process {other.get('process')} on "
            f"{other.get('host')}. Wait for it; if it was killed, its lease ends within {self._seconds:.0f} seconds."
        )

    def _write(self) -> None:
        self._study.set_user_attr(_ATTRIBUTE, self._holder | {"until": time.time() + self._seconds})

    def _keep(self, renew: float) -> None:
        while not self._stop.wait(renew):
            with suppress(Exception):  # the loop meets the same failure, and tells it
                self._write()

    def release(self) -> None:
        """Stop renewing and let others in."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            with suppress(Exception):  # a storage that is gone: the lease ends by itself
                self._study.set_user_attr(_ATTRIBUTE, {})
