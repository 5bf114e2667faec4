"""A shell that completes `recollect …` gets commands, flags and values, though commands are imported one at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = "import sys; sys.argv[0] = 'recollect'; from recollect.cli.main import main; main()"


def completed(line: str) -> list[str]:
    """What bash is given for a line whose last word is not finished."""
    asked = {"_RECOLLECT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60
    )
    assert not ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("recollect pro", ["probe"]),
        ("recollect models g", ["get"]),
        ("recollect probe --met", ["--method"]),
        ("recollect probe --method clo", ["closed-form"]),
        ("recollect train --lora-dr", ["--lora-dropout"]),
    ],
)
def test_a_line_is_completed(line: str, expected: list[str]) -> None:
    assert completed(line) == expected


def test_every_command_is_offered() -> None:
    assert {"probe", "select", "train", "evaluate", "drift", "restore", "study", "models"} <= set(
        completed("recollect ")
    )
