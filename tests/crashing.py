"""A small step of three parts, run in children that kill themselves before their k-th change to the disk.

Used by `core/workspace/test_killed` as a program: `python crashing.py FOLDER K,K,... K,K,...`. Each argument is one
story, told in a folder of its own, FOLDER/K,K,...: the step is run once per K, each time in a new child that dies by
SIGKILL before its K-th opening, renaming, making or removing there (0: lives on). Children are forked, so
that polars is imported once; the parent itself never uses polars, whose threads do not survive a fork. Prints
one JSON list per story, with one object per child: how it ended, the parts it computed, the plan it was
given, its changes, the files it left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import open_step

PARTS = 3
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}


def table(index: int) -> pl.DataFrame:
    """One part, a function of its number alone."""
    return pl.DataFrame({"part": [index] * 4, "value": [0.1 * index + row for row in range(4)]})


def work(root: Path, seen: Path, machine: int) -> None:
    """The step: pin what the machine chose, compute the parts that are missing, gather them."""
    with open_step("probe", {"samples": 4}, {"facts": "f"}, out=root / "run") as step:
        if step.done:
            return
        note(seen, plan=step.pin(batch=machine))
        for index in range(PARTS):
            if not step.has_part(index):
                note(seen, part=index)
                step.write_part(index, table(index))
        step.write_table("values.parquet", step.read_parts(PARTS))
        step.finish({"rows": PARTS * 4})


def note(seen: Path, **what: Any) -> None:
    """Append one line that outlives us."""
    with seen.open("a") as file:
        file.write(json.dumps(what) + "\n")


def die_at(root: Path, number: int, seen: Path) -> None:
    """From now on count the changes below `root`; at the given one this process is killed."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        path = arguments[0] if arguments else None
        if not isinstance(path, str | os.PathLike):
            return
        by_handle = event in CHANGES and not Path(path).is_absolute()  # shutil.rmtree works from an open folder
        if not by_handle and not Path(path).is_relative_to(root):
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            note(seen, change=f"{event} {Path(path).name}")

    sys.addaudithook(hook)


def child(root: Path, number: int, machine: int, seen: Path) -> dict[str, Any]:
    """Run the step in a fork; what became of it."""
    seen.write_text("")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            die_at(root, number, seen)
            work(root, seen, machine)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    notes = [json.loads(line) for line in seen.read_text().splitlines()]
    return {
        "end": "killed" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}",
        "parts": [item["part"] for item in notes if "part" in item],
        "plan": next((item["plan"] for item in notes if "plan" in item), None),
        "changes": [item["change"] for item in notes if "change" in item],
        "on_disk": sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()),
    }


if __name__ == "__main__":
    top = Path(sys.argv[1])
    for story in sys.argv[2:]:
        folder = top / story
        folder.mkdir(parents=True)
        lives = [child(folder, int(number), machine, top / "seen") for machine, number in enumerate(story.split(","))]
        print(json.dumps(lives), flush=True)
