"""Work for executors without any training: what a job does stands in its values."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recollect.experiments.search.types import Job, Outcome


@dataclass(frozen=True)
class Chores:
    """Does what `do` in a job's values says, in a folder that keeps count of the starts and of the runs."""

    folder: str

    def start(self) -> Callable[[Job], Outcome]:
        """Leave a mark, and give the function."""
        _mark(Path(self.folder) / "starts")
        return self.run

    def run(self, job: Job) -> Outcome:
        """score, slow, die (once), always die, raise, or environment."""
        runs = _mark(Path(self.folder) / f"runs-{job.trial}-{job.rung}")
        do = job.values.get("do", "score")
        reason = ""
        if do == "slow":
            time.sleep(float(job.values["seconds"]))
        elif do == "always die" or (do == "die" and runs == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        elif do == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        elif do == "environment":
            reason = os.environ.get(str(job.values["name"]), "")
        return Outcome(job.trial, job.rung, "scored", float(job.values.get("score", 1.0)), reason, steps=runs)


def _mark(folder: Path) -> int:
    """Add a file; returns how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return len(list(folder.iterdir()))
