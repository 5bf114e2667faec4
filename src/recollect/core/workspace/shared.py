"""A step folder that several workers fill: who they are, what the first leaves for the others, who may not come in.

Notable choices
- Workers know each other by leases of their own names. One process alone locks the folder as ever; it is refused while
  a worker lives, and workers while it is at work.
- The first worker forgets what earlier ones left: a cell that failed then is tried again.
- All run one version of Recollect: another may compute otherwise, or write otherwise.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from recollect._version import __version__
from recollect.core.json_object import JsonObject
from recollect.core.workspace.files import write_json
from recollect.core.workspace.lease import Holder, Leases
from recollect.core.workspace.manifest import PARTIAL, PARTS
from recollect.core.workspace.step import Step
from recollect.errors import StepBusy, StepError

LEASES, WORKER = "leases", "worker "
"""Where, in its scratch, the leases of a shared step lie; and how the name of a worker's own begins."""
QUEUE, WORKERS = "queue", "workers"
"""Where, in its scratch, one process gives out work to others; and where in that these have their own leases."""
_ABOUT = "about.json"


def leases_of(step: Step) -> Path:
    """The folder of a step's leases."""
    return step.scratch(LEASES)


def join(step: Step, leases: Leases, about: JsonObject, *, first: bool) -> None:
    """Become one of the workers; the lock is ours. first: nobody else is at work."""
    if first:
        leases.renew()
        write_about(leases.folder, about)
    leases.take(f"{WORKER}{Holder.me().name}")
    step.leases = leases


def leases_in(path: Path) -> Path:
    """The folder in which the workers on the unfinished step `path` have their own leases."""
    given_out = queue_in(path) / WORKERS
    return given_out if given_out.is_dir() else path.with_name(path.name + PARTIAL) / PARTS / LEASES


def queue_in(path: Path) -> Path:
    """The folder in which the unfinished step `path` gives out work, if it does."""
    return path.with_name(path.name + PARTIAL) / PARTS / QUEUE


def others_at_work(step: Step, leases: Leases) -> bool:
    """Whether there are other workers. Raises StepError where they run another version and are seen to live, which one
    look at those of other machines does not tell."""
    theirs = read_about(leases.folder).get("version")
    same = theirs == __version__
    found = leases.alive(WORKER) if same else leases.watch(WORKER)
    if found and not same:
        raise StepError(
            f"the workers in {step.folder} run Recollect {theirs}, and this is {__version__}. Use the same version."
        )
    return bool(found)


def what_is_shared(path: Path) -> JsonObject | None:
    """What the first worker left about the unfinished step `path`; None where none came, or it is finished."""
    return read_about(path.with_name(path.name + PARTIAL) / PARTS / LEASES) or None


def refuse_workers(step: Step) -> None:
    """StepBusy where workers share the folder; what dead ones left is removed. Those of other machines are watched."""
    folder = leases_of(step)
    if not folder.is_dir():
        return
    if found := Leases(folder).watch(WORKER):
        names = ", ".join(sorted(record.holder.name for record in found))
        raise StepBusy(
            f"workers share {step.folder} ({names}). Join them with `recollect work {step.path}`, or stop them first."
        )
    shutil.rmtree(folder, ignore_errors=True)


def write_about(folder: Path, about: JsonObject) -> None:
    """Leave for workers what they need to know, with the version that all of them must have."""
    write_json(folder / _ABOUT, {"version": __version__, **about})


def read_about(folder: Path) -> JsonObject:
    """What was left for workers; empty where nothing was."""
    try:
        found = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
