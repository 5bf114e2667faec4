"""Checkpoints of the transformers trainer: which one a killed training goes on from."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; one that a kill cut short is passed over.

    The trainer writes trainer_state.json last, so a checkpoint with a readable one is whole.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        with contextlib.suppress(OSError, json.JSONDecodeError):
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            return path
    return None
