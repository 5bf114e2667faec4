"""Ctrl-C is not lost where a library swallows the KeyboardInterrupt that reaches it and raises an error of its own.

Seen once: a search, interrupted, counted torch's "ValueError: could not determine the shape of object type" as a failed
trial and went on.
"""

from __future__ import annotations

import signal
import threading
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


def _remember(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    signal.default_int_handler(number, frame)
