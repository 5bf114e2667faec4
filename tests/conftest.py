"""For every test: no hub, one torch thread, and what many of them begin with.

`real_model` gives a real model's folder to tests marked `real`.

A shell's background job begins with Ctrl-C ignored, and its children inherit that; it is undone here.
The kill tests fork, and a fork does not take OpenMP's threads along: with more than one the child would wait for ever.
The libraries are a million objects that stay: the collector of garbage, which every training calls, leaves them out.
No power fails in a test, so no test waits for the disk (processes that are killed lose nothing of what they wrote).
"""

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from helpers_world import Command, World

os.environ.setdefault("RECOLLECT_HUB_WAS_OFFLINE", os.environ.get("HF_HUB_OFFLINE", ""))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.fsync = lambda _: None  # a study syncs hundreds of small files
_MANY_MODULES = 50
_set_aside = 0  # modules that were there when the collector was last told to leave out what is there


def _keep_modules_from_the_collector() -> None:
    global _set_aside
    if len(sys.modules) >= _set_aside + _MANY_MODULES:
        gc.collect()
        gc.freeze()
        _set_aside = len(sys.modules)


def pytest_collection_finish() -> None:
    _keep_modules_from_the_collector()


def pytest_runtest_logfinish() -> None:
    _keep_modules_from_the_collector()


_SLOW = ("tests/experiments/", "tests/probe/", "tests/train/", "tests/cli/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow first: no process is to begin with a long file when the others have nothing left."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(_SLOW))


@pytest.fixture(scope="session", name="real_model")
def _real_model() -> Callable[[str], Path]:
    """`real_model("smollm2")`: the folder of a fetched model, or a skip that says why there is none."""
    from helpers_real import real_model

    return real_model


# -- made once for all tests, which leave it as it is; helpers are imported when they are needed --


@pytest.fixture(scope="session", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> "World":
    """A tiny model that learns a little, and facts about an invented world."""
    from helpers_world import make_world

    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(name="recollect")
def _recollect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> "Command":
    """The command line, in a folder of the test's own."""
    from helpers_world import Command

    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


@pytest.fixture(scope="session", name="base_folder")
def _base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that has learnt nothing."""
    from helpers_tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session", name="selection")
def _selection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The select step of forty of its facts."""
    from helpers_tiny import tiny_facts, tiny_levels
    from recollect.select import SelectSettings, run_select

    facts = tiny_facts(8)
    root = tmp_path_factory.mktemp("selections")
    return run_select(SelectSettings(size=40), facts, tiny_levels(facts), root=root).path
