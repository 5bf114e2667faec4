"""Ctrl-C while requests are under way: all end at once, as one KeyboardInterrupt and without a word of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import anyio
import pytest

from recollect.core.interrupt import interrupted, listen
from recollect.core.llm.posts import run_here

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are POSIX's here")
HANG = 60.0
"""Seconds; no test waits for it."""


@pytest.fixture(autouse=True)
def as_a_command() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    listen()
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listen()  # forgets
    signal.signal(signal.SIGINT, before)


def press_soon() -> None:
    """As a terminal does: the main thread hears of it."""
    threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()


async def press() -> None:
    """Ctrl-C at the worst moment: in the middle of a task."""
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(HANG)


async def connecting() -> None:
    """As the client connects: in a group of tasks, some of which the loop alone knows."""
    others = [asyncio.create_task(asyncio.sleep(HANG)), asyncio.create_task(grouped())]
    await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)


async def grouped() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(asyncio.sleep, HANG)
        group.start_soon(press)


@pytest.mark.parametrize("work", [press, grouped, connecting])
def test_ctrl_c_in_the_middle_of_a_task_ends_all(
    work: object, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_here(work())  # type: ignore[operator]
    assert time.monotonic() - began < HANG / 4
    assert interrupted()
    assert not caplog.text and capfd.readouterr().err == ""  # the loop reports what its tasks raised


def test_ctrl_c_from_outside_wakes_a_waiting_loop() -> None:
    async def wait() -> None:
        press_soon()
        await asyncio.sleep(HANG)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_here(wait())
    assert time.monotonic() - began < HANG / 4


def test_a_ctrl_c_that_the_work_swallows_is_not_lost() -> None:
    async def finish() -> int:
        with contextlib.suppress(asyncio.CancelledError):
            await press()
        return 3

    with pytest.raises(KeyboardInterrupt):
        run_here(finish())


def test_a_second_ctrl_c_is_raised_at_once() -> None:
    async def stubborn() -> None:
        try:
            await press()
        finally:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(HANG)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_here(stubborn())
    assert time.monotonic() - began < HANG / 4


def test_in_a_notebook_the_requests_end_too() -> None:
    """An event loop runs already: they are in a thread, for which the pool would wait."""
    ended = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.sleep(HANG)
        finally:
            ended.set()

    async def cell() -> None:
        press_soon()
        run_here(hang())

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(cell())
    assert ended.is_set() and time.monotonic() - began < HANG / 4


def test_what_work_gives_and_raises_comes_through_and_the_handler_is_put_back() -> None:
    handler = signal.getsignal(signal.SIGINT)

    async def give() -> int:
        return 3

    async def fail() -> None:
        raise ValueError("no")

    assert run_here(give()) == 3
    with pytest.raises(ValueError, match="no"):
        run_here(fail())
    assert signal.getsignal(signal.SIGINT) is handler and not interrupted()
