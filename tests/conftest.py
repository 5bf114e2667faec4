"""For every test: no hub, and one torch thread. `real_model` gives a real model's folder to tests marked `real`.

A shell's background job begins with Ctrl-C ignored, and its children inherit that; it is undone here.
The kill tests fork, and a fork does not take OpenMP's threads along: with more than one the child would wait for ever.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("RECOLLECT_HUB_WAS_OFFLINE", os.environ.get("HF_HUB_OFFLINE", ""))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", name="real_model")
def _real_model() -> Callable[[str], Path]:
    """`real_model("smollm2")`: the folder of a fetched model, or a skip that says why there is none."""
    from helpers_real import real_model

    return real_model
