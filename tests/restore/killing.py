"""Restorations in children that kill themselves: before their k-th change to the disk, or at their k-th piece.

Used by test_restore as a program: `python killing.py BASE TUNED FOLDER disk:K piece:K ...`. Each life works in a folder
of its own below FOLDER and is then told a second time, to its end. Prints one JSON object per life.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import crashing
from pairs import restore
from recollect.weights import read as _stream

_stream.CHUNK = 1000  # some fifty pieces


def live(base: Path, tuned: Path, folder: Path, when: str) -> str:
    """Restore in a fork that dies when it should; how it ended."""
    kind, number = when.split(":")
    pid = os.fork()
    if pid:
        status = os.waitpid(pid, 0)[1]
        return "killed" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    code, pieces = 1, 0

    def progress(done: int, total: int) -> None:
        nonlocal pieces
        pieces += 1
        if kind == "piece" and pieces == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        if kind == "disk":
            crashing.die_at(folder, int(number), folder.parent / "seen")
        restore(base, tuned, 20, out=folder / "out", progress=progress)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    base, tuned, top = map(Path, sys.argv[1:4])
    (top / "seen").write_text("")
    for when in sys.argv[4:]:
        folder = top / when.replace(":", "-")
        folder.mkdir()
        ended = live(base, tuned, folder, when)
        left = sorted(file.name for file in folder.iterdir())
        again = live(base, tuned, folder, "never:0")
        print(json.dumps({"when": when, "ended": ended, "left": left, "again": again}), flush=True)
