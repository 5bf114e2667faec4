"""A real model for the tests that need one: `real_model("smollm2")` is its folder, or skips the test and says why.

Its place is the one of `recollect models get` (RECOLLECT_MODELS, else the user's cache folder). One that is not there
is fetched where `scripts/test.sh --real` asked for that (RECOLLECT_REAL=1), by the command itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from recollect.errors import ModelError
from recollect.models.store import fetched_folder

HUB_WAS_OFFLINE = "RECOLLECT_HUB_WAS_OFFLINE"
"""What HF_HUB_OFFLINE was before the tests forbade the hub."""


def real_model(name: str) -> Path:
    """The folder of a fetched model; skips the test, with one line, where there is none and no source gives it."""
    folder, why = _found(name)
    if folder is None:
        pytest.skip(why)
    return folder


@cache
def _found(name: str) -> tuple[Path | None, str]:
    try:
        return fetched_folder(name), ""
    except ModelError as missing:
        if os.environ.get("RECOLLECT_REAL") != "1":
            return None, str(missing)
    program = "from recollect.cli.main import main; main()"
    given = {**os.environ, "HF_HUB_OFFLINE": os.environ.get(HUB_WAS_OFFLINE, "")}
    done = subprocess.run(
        [sys.executable, "-c", program, "models", "get", name], env=given, capture_output=True, text=True, timeout=1800
    )
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return fetched_folder(name), ""
