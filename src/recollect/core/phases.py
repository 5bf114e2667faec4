"""Where the time before the first token goes: whoever does a part of the start-up notes it, the command tells it once.

Of one process: what a second model takes later on is no part of its start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS: dict[str, float] = {}
_LAST = 0.0  # when the last part ended, in seconds since 1970
_TOLD = False
_WAITED = 0.0


@contextmanager
def phase(what: str) -> Iterator[None]:
    """Note how long the work inside takes, under a name such as "self-test"; nothing once the start was told of."""
    global _LAST
    started = time.perf_counter()
    try:
        yield
    finally:
        if not _TOLD:
            _SECONDS[what] = _SECONDS.get(what, 0.0) + time.perf_counter() - started
            _LAST = time.time()


@contextmanager
def waiting() -> Iterator[None]:
    """Waiting for a person is no part of the start."""
    global _WAITED
    began = time.time()
    try:
        yield
    finally:
        _WAITED += time.time() - began


def start_up_line() -> str:
    """What the start of this process took, up to the end of its last noted part, and those parts, in one line.

    Empty where nothing was noted, and when asked again.
    """
    global _TOLD
    if _TOLD or not _SECONDS:
        return ""
    import psutil

    _TOLD = True
    whole = _LAST - float(psutil.Process().create_time()) - _WAITED
    parts = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in _SECONDS.items())
    return f"ready after {whole:.1f} s: {parts}"
