"""Where jobs run: here, in several processes of this machine, or on a cluster."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from recollect.experiments.executors.base import Ended as Ended
from recollect.experiments.executors.base import Executor as Executor
from recollect.experiments.executors.base import Found, Job
from recollect.experiments.executors.base import Place as Place
from recollect.experiments.executors.base import SharedWork as SharedWork
from recollect.experiments.executors.base import Work as Work
from recollect.experiments.executors.base import run_all as run_all
from recollect.experiments.executors.here import HereExecutor
from recollect.experiments.executors.processes import ProcessExecutor
from recollect.experiments.executors.ray import RayExecutor
from recollect.experiments.executors.workers import HeldByOthers as HeldByOthers
from recollect.experiments.executors.workers import WorkersExecutor as WorkersExecutor

EXECUTORS: dict[str, type[Executor[Any, Any]]] = {
    "here": HereExecutor,
    "processes": ProcessExecutor,
    "ray": RayExecutor,
    "workers": WorkersExecutor,
}
"""By the name that settings use."""


LAUNCHED = ("slurm",)
"""Not executors but ways to start workers elsewhere; a study's own."""
SHARED = ("workers", *LAUNCHED)
"""Those of a study that several workers do."""


def _known(name: str) -> str:
    names = (*EXECUTORS, *LAUNCHED)
    if name not in names:
        raise ValueError(f"must be one of {', '.join(names)}")
    return name


ExecutorName = Annotated[str, AfterValidator(_known)]
"""Type of a setting `executor`."""


def executor_class(name: str, place: Place) -> type[Executor[Any, Any]]:
    """The executor of that name; "here" with several workers is "processes"."""
    return EXECUTORS["processes" if name == "here" and (place.workers or 1) > 1 else name]


def make_executor(name: str, work: Work[Job, Found], place: Place) -> Executor[Job, Found]:
    """The executor `name` at work; close it, or use it in a `with`. Raises InputError where it cannot run."""
    return executor_class(name, place)(work, place)
