"""Ctrl-C that something swallows is remembered, and ends the work at the next whole batch."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from recollect.core.interrupt import interrupted, listen
from recollect.core.settings import Settings
from recollect.core.workspace import open_step


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listen()  # forgets
    signal.signal(signal.SIGINT, before)


def test_it_is_raised_as_ever_and_remembered_until_the_next_command() -> None:
    listen()
    assert not interrupted()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert interrupted()
    listen()
    assert not interrupted()


def test_another_handler_stays() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listen()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_step_ends_after_the_batch_in_which_it_was_lost_and_keeps_that_batch(tmp_path: Path) -> None:
    listen()
    table = pl.DataFrame({"a": [1]})
    with open_step("probe", Settings(), {}, tmp_path / "out") as step:
        step.write_part(0, table)
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            step.write_part(1, table)
    listen()
    with open_step("probe", Settings(), {}, tmp_path / "out") as step:
        assert step.has_part(0) and step.has_part(1) and not step.has_part(2)
