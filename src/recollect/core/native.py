"""Calls into native libraries on files of unknown origin: their panics become one line, without Rust's own trace."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from recollect.errors import reading

TRIAL_TEXTS = (
    "What is the capital of France?",
    "a" * 40,
    " 12,345.67 \n\t – Émile’s naïve café №5?!",
    "の東京 :: x = f(y);",
)
"""Short texts that every tokenizer reads in milliseconds; one that splits by an endless expression does not."""
_one_at_a_time = threading.Lock()  # two that hold stderr back at once would give each other's back


@contextmanager
def careful(what: object) -> Iterator[None]:
    """Read a file with a native library: every fault of it is an InputError that begins with `what`.

    What is printed meanwhile is held back, see `without_trace`.
    """
    with without_trace(), reading(what):
        yield


@contextmanager
def without_trace(panicked: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """A library written in Rust prints a trace on stderr before Python hears of its panic: leave that out.

    What is printed meanwhile is held back, and shown afterwards unless a panic comes out, or `panicked` says that there
    was one. Not for long work: other threads' lines wait, too. Where another thread is in here, nothing is held back.
    """
    if not _one_at_a_time.acquire(blocking=False):
        yield
        return
    panic = False
    try:
        sys.stderr.flush()
        with tempfile.TemporaryFile() as held:
            before = os.dup(2)
            try:
                os.dup2(held.fileno(), 2)
                yield
                panic = panicked()
            except BaseException as error:
                panic = is_panic(error) or is_panic(error.__context__)
                raise
            finally:
                os.dup2(before, 2)
                os.close(before)
                if not panic:
                    held.seek(0)
                    with suppress(OSError):
                        os.write(2, held.read())
    finally:
        _one_at_a_time.release()


def is_panic(error: BaseException | None) -> bool:
    """Whether an exception is the panic of a library written in Rust, which is no `Exception`."""
    return type(error).__name__ == "PanicException"
