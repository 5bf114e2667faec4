"""Ctrl-C is not lost where a library swallows the KeyboardInterrupt that reaches it and raises an error of its own.

Seen once: a search, interrupted, counted torch's "ValueError: could not determine the shape of object type" as a failed
trial and went on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_pressed = threading.Event()


def listen() -> None:
    """At a command's start: Ctrl-C raises KeyboardInterrupt as ever, and is remembered. Others' handlers stay."""
    _pressed.clear()
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _remember)


def interrupted() -> bool:
    """Whether Ctrl-C was pressed since `listen`: an error after it may be nothing else."""
    return _pressed.is_set()


@contextmanager
def ctrl_c_calls(stop: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first Ctrl-C calls `stop` and is raised when the block has ended, however it did; a
    second one is raised at once. Only in the main thread; others' handlers stay.

    For an event loop: a KeyboardInterrupt would be raised in whatever task is at work, and come out as a group of
    errors, or be printed by the loop.
    """
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or before not in (_remember, signal.default_int_handler):
        yield
        return
    heard = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        _pressed.set()
        if heard:
            signal.default_int_handler(number, frame)
        heard = True
        stop()

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    except BaseException:
        if heard:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    signal.default_int_handler(number, frame)
