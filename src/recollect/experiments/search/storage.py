"""Where the study lies: a journal file, any Optuna storage by its URL, or memory; its errors in one line each; and that
no two loops run one study.

Notable choices
- A journal file has a lock beside it (`journal.held`). In any other storage a lease is a study attribute with an end,
  renewed by a thread every minute. A loop that was killed blocks its study until the lease ends, five minutes at most;
  the error says so.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, InMemoryStorage

from recollect.core.secret_url import masked, without_secrets
from recollect.errors import InputError, RecollectError, StepError

Storage = Path | str | BaseStorage | None
"""A journal file, a URL, an Optuna storage, or None for memory."""

LEASE = 300.0
_RENEW = 60.0
_ATTRIBUTE = "lease"


@dataclass(frozen=True)
class Kept:
    """Where a search's study is kept, and its name there."""

    storage: Storage = None
    study: str = "recollect"


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's announcements of studies and of options it calls experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def open_storage(storage: Storage) -> BaseStorage:
    """An Optuna storage from a journal file's path, a URL ("grpc://host:port" for Optuna's proxy), or nothing (memory).

    Raises InputError when a URL cannot be opened; its text never holds the URL's password.
    """
    if storage is None:
        return InMemoryStorage()
    if isinstance(storage, BaseStorage):
        return storage
    if isinstance(storage, Path):
        from optuna.storages import JournalStorage

        from recollect.experiments.search.journal import CheckedJournal

        storage.parent.mkdir(parents=True, exist_ok=True)
        with quiet():
            return JournalStorage(CheckedJournal(storage))
    return _proxy(storage) if storage.startswith("grpc://") else _database(storage)


def _proxy(url: str) -> BaseStorage:
    from optuna.storages import GrpcStorageProxy

    host, _, port = url.removeprefix("grpc://").rstrip("/").partition(":")
    if not host or not port.isdigit():
        raise InputError(f"a gRPC storage must be grpc://host:port, but got {masked(url)!r}.")
    try:
        with quiet():
            return GrpcStorageProxy(host=host, port=int(port))
    except ImportError as error:
        raise InputError(f"storage {masked(url)!r} needs the package grpcio. Install grpcio and protobuf.") from error


def _database(url: str) -> BaseStorage:
    shown = masked(url)
    try:
        return optuna.storages.get_storage(url)
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or "the database's driver"
        raise InputError(
            f"storage {shown!r} needs {missing}, which is not installed. Install it, or name another driver in the "
            "URL, such as postgresql+psycopg2://user@host/name."
        ) from None
    except Exception as error:
        why = without_secrets(str(error), url).rstrip(".")
        raise InputError(
            f"storage {shown!r} cannot be opened: {why}. Give a path, or a URL such as postgresql://user@host/name."
        ) from None


@contextmanager
def told_in_one_line(storage: Storage, *, opening: bool = False) -> Iterator[None]:
    """Turn what a storage raises into a StepError of one line; a full disk and our own errors pass.

    `opening`: nothing but the storage is at work, so whatever is raised is its error.
    """
    try:
        yield
    except (RecollectError, OSError):
        raise
    except Exception as error:
        if not opening and type(error).__module__.partition(".")[0] not in ("sqlalchemy", "grpc", "optuna"):
            raise
        if isinstance(storage, Path):
            raise StepError(
                f"the ledger {storage} cannot be read ({type(error).__name__}). Move it away and run the command "
                "again: finished trainings are taken from the trials' folders."
            ) from None
        if isinstance(storage, str):
            why = without_secrets(f"{type(error).__name__}: {error}", storage).rstrip(".")
            raise StepError(
                f"the storage {masked(storage)!r} failed: {why}. Nothing finished is lost: run the command again when "
                "it works."
            ) from None
        raise


@contextmanager
def leased(study: optuna.Study, seconds: float = LEASE, renew: float = _RENEW) -> Iterator[None]:
    """Hold a lease in the study itself; StepError when another loop's has not ended."""
    mine = {"holder": uuid.uuid4().hex, "host": socket.gethostname(), "process": os.getpid()}

    def refuse_if_held() -> None:
        other = study.user_attrs.get(_ATTRIBUTE) or {}
        if other.get("holder") == mine["holder"] or time.time() >= float(other.get("until", 0)):
            return
        raise StepError(
            f"another search is at work on study {study.study_name!r}: process {other.get('process')} on "
            f"{other.get('host')}. Wait for it; if it was killed, its lease ends within {seconds:.0f} seconds."
        )

    def write() -> None:
        study.set_user_attr(_ATTRIBUTE, mine | {"until": time.time() + seconds})

    def keep() -> None:
        while not stop.wait(renew):
            with suppress(Exception):  # the loop meets the same failure, and tells it
                write()

    refuse_if_held()
    write()
    time.sleep(0.05)  # of two that wrote at once, both see the later one
    refuse_if_held()
    stop = threading.Event()
    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(Exception):  # a storage that is gone: the lease ends by itself
            study.set_user_attr(_ATTRIBUTE, {})
