"""The start of a command is told once, with its parts, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys

PROGRAM = """
import time
from recollect.core.phases import phase, start_up_line
assert start_up_line() == ""
with phase("torch"):
    time.sleep(0.25)
with phase("self-test"):
    time.sleep(0.1)
with phase("torch"):
    time.sleep(0.25)
time.sleep(1.5)
print(start_up_line())
with phase("torch"):
    pass
print(repr(start_up_line()))
"""


def test_parts_add_up_and_are_told_once_up_to_the_end_of_the_last() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    line, again = done.stdout.splitlines()
    assert again == "''"
    found = re.fullmatch(r"ready after ([\d.]+) s: torch ([\d.]+) s, self-test ([\d.]+) s", line)
    assert found is not None, line
    whole, torch, test = map(float, found.groups())
    assert torch >= 0.5 and test >= 0.1 and whole >= 0.6
