"""Errors a user can fix. The command line prints their text alone, without a traceback, and exits with their code."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class RecollectError(Exception):
    """Base of every error that is the input's fault, not ours. Text: what, expected, got, how to fix.

    Examples:
        >>> from recollect import RecollectError, load_facts
        >>> try:
        ...     facts = load_facts("no-such-file.csv")
        ... except RecollectError as error:
        ...     print(error)
        no such file or folder: no-such-file.csv. Check the path.
    """

    exit_code = 2


class InputError(RecollectError, ValueError):
    """A file, column, template, setting or name that cannot be used as it stands.

    Examples:
        >>> from recollect import ProbeSettings
        >>> ProbeSettings.make(templates=0)
        Traceback (most recent call last):
        recollect.errors.InputError: templates: input should be greater than or equal to 1, but got 0.
    """


class ModelError(RecollectError):
    """A model that is missing, unsafe to load, or broken (pickle weights, own code, NaN).

    Examples:
        >>> from recollect import ModelSettings, load_model
        >>> load_model(ModelSettings.make(model="./no-such-model"))
        Traceback (most recent call last):
        recollect.errors.ModelError: ...
    """


class StepError(RecollectError):
    """A step directory that is in the way: other settings, other inputs, damaged, or another process at work in it.

    Examples:
        >>> from pathlib import Path
        >>> from recollect import SelectSettings, run_select
        >>> chosen = run_select(SelectSettings.make(size=4, level="random"), out=Path("chosen"))
        >>> run_select(SelectSettings.make(size=5, level="random"), out=Path("chosen"))
        Traceback (most recent call last):
        recollect.errors.StepError: ...chosen holds a step made from other settings ... (setting size was 4, now 5)...
    """

    exit_code = 3


class StepBusy(StepError):
    """A step directory in which another process is at work, or was a moment ago: wait and try again."""


class MissingExtra(RecollectError):
    """A feature whose optional packages are not installed; see `core.extras.need`.

    Examples:
        >>> from recollect.core.extras import need
        >>> need("no_such_package", "pages")
        Traceback (most recent call last):
        recollect.errors.MissingExtra: recollect pages needs no_such_package, which is not installed: pip install ...
    """


class SelfTestError(RecollectError):
    """The sampler does not draw from the distribution it should; nothing measured with it could be trusted."""

    exit_code = 4


class OutOfMemoryError(RecollectError):
    """The work does not fit into memory."""

    exit_code = 6


class RecollectWarning(UserWarning):
    """Something the user should know though the work goes on. The command line prints its text alone, as a note."""


class ModelWarning(RecollectWarning):
    """A model that runs, but is not what it seems to be; the command line prints it as a note."""


_FULL = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", ". unexpected pos ")


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error is a full disk, in the words of the system, of safetensors or of torch."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(words in str(error) for words in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a device or beside it, in the words of Python, torch or C++.

    Examples:
        >>> memory_ran_out(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
        True
        >>> memory_ran_out(RuntimeError("shapes do not fit"))
        False
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, or ours
        return True
    return not isinstance(error, RecollectError) and any(words in str(error).lower() for words in _NO_MEMORY)


def input_fault(error: BaseException) -> RecollectError | None:
    """What an exception of Python or of a native library says of the input, where its kind is known; else None.

    Known kinds: a nesting, a number or a text that no reader can take, a table that Polars cannot read, memory that
    runs out, and the panic of a library written in Rust (tokenizers, Polars), which is no `Exception`.
    """
    kind, said = type(error).__name__, " ".join(str(error).split())[:200].rstrip(".")
    if "No space left" in said:  # a full disk in a library's words: no fault of the input
        return None
    if isinstance(error, RecursionError):
        return InputError("an input is nested too deeply to be read.")
    if memory_ran_out(error):
        return OutOfMemoryError("the memory ran out. Take smaller batches, a smaller model or less data.")
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        code = ord(error.object[error.start])
        return InputError(
            f"a text holds half a character (U+{code:04X}, a lone surrogate such as the escape \\u{code:04x}), which "
            "no file can store. Remove it from the input."
        )
    if isinstance(error, ValueError) and "digits) for integer string conversion" in said:
        return InputError("an input holds a number of over 4,300 digits. Put it in quotes, or remove it.")
    if kind in ("ComputeError", "InvalidOperationError"):
        return InputError(f"a table cannot be read: {said}.")
    if kind == "PanicException":
        return InputError(
            f"a native library gave up on an input: {said}. A tokenizer or table file is damaged or hostile."
        )
    return None


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Name the input that is read inside: known faults of it become a RecollectError that begins with `what`."""
    try:
        yield
    except BaseException as error:
        fault = None if isinstance(error, RecollectError) else input_fault(error)
        if fault is None:
            raise
        raise type(fault)(f"{what}: {fault}") from None
