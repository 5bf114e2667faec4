"""For every test: no hub, and one torch thread. `real_model` gives a real model's folder to tests marked `real`.

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

import pytest

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


@pytest.fixture(scope="session", name="real_model")
def _real_model() -> Callable[[str], Path]:
    """`real_model("smollm2")`: the folder of a fetched model, or a skip that says why there is none."""
    from helpers_real import real_model

    return real_model
