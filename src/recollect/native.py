"""Calls into native libraries on files of unknown origin: their panics become one line, without Rust's own trace."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from recollect.errors import reading


@contextmanager
def careful(what: object) -> Iterator[None]:
    """Read a file with a native library: every fault of it is an InputError that begins with `what`.

    A library written in Rust prints a trace on stderr before Python hears of its panic. What is printed meanwhile is
    held back, and shown afterwards unless there was a panic. Not for long work: other threads' lines wait, too.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        before = os.dup(2)
        panic = False
        try:
            os.dup2(held.fileno(), 2)
            with reading(what):
                yield
        except BaseException as error:
            panic = type(error.__context__).__name__ == "PanicException"
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)
            if not panic:
                held.seek(0)
                with suppress(OSError):
                    os.write(2, held.read())
