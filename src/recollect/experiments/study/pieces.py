"""What several workers on one study have in common: pieces of work that one holds, and the patience of each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from recollect.core.json_object import JsonObject
from recollect.core.progress import duration
from recollect.core.settings import Settings
from recollect.core.workspace.lease import PATIENCE, Leases
from recollect.errors import RecollectError, StepBusy
from recollect.experiments.base import Base
from recollect.experiments.executors import HeldByOthers, Place
from recollect.experiments.executors.workers import POLL
from recollect.models import LoadedModel, ModelRef, ModelSettings


class NothingToDo(RecollectError):
    """A worker has waited for as long as it was told to, and what is left is held by others."""


@contextmanager
def piece(
    leases: Leases,
    name: str,
    finished: Callable[[], bool] = lambda: False,
    note: Callable[[], str] = lambda: "",
) -> Iterator[bool]:
    """Hold a piece of work to the end of the block, which makes it, or reads it where it is done already.

    Gives whether it is this worker's to make. Raises HeldByOthers where another holds it.
    """
    seen = leases.look(name)
    if seen.state == "done" or finished():
        yield False
        return
    if seen.deaths > Place.retries:
        raise RecollectError(f"{name}: {seen.deaths} workers died of it, and no more try ({leases.folder}).")
    lease = leases.take(name, seen, again=True)
    if lease is None:
        raise HeldByOthers(f"{name} is held by another worker.")
    with lease:
        yield True
        lease.refuse_lost()
        lease.end("done", note())


def wait_for_page(path: Path, seconds: float = PATIENCE) -> None:
    """Give the worker that finished an experiment the time to draw its page."""
    end = time.monotonic() + seconds
    while not (path / "report.html").is_file() and time.monotonic() < end:
        time.sleep(POLL)


class _OneOfMany(Base):
    """A base of which a worker has one in memory at a time."""

    def __init__(self, loaded: list[Base], settings: ModelSettings, ref: ModelRef | None) -> None:
        """loaded: the worker's, which is in memory."""
        super().__init__(settings, ref=ref)
        self._loaded_now = loaded

    def load(self) -> LoadedModel:
        """The model; the one that was loaded before gives its memory back first."""
        if self._loaded_now[:1] != [self]:
            for other in self._loaded_now:
                other.release()
            self._loaded_now[:] = [self]
        return super().load()


@dataclass
class Worker:
    """This process, as one of several on a study: what it takes on, how long it waits, and the base it has loaded."""

    say: Callable[[str], None]
    match: str | None = None
    """Take on pieces of models of this name alone; `*` stands for anything."""
    idle: float | None = None
    """Seconds to wait for work before leaving; None waits until all is done."""
    repairs: bool = False
    """Take up again what is finished but for something that failed or is gone."""
    about: JsonObject = field(default_factory=dict)
    """What the first worker leaves for those who come by the folder alone."""
    grid: Leases | None = None
    """Those of the grid whose parts it works on."""
    _bases: dict[str, Base] = field(default_factory=dict)
    _loaded: list[Base] = field(default_factory=list)

    @property
    def loaded(self) -> Base | None:
        """The base that it has in memory."""
        return self._loaded[0] if self._loaded else None

    def base(self, settings: ModelSettings, ref: ModelRef | None) -> Base:
        """The same one for all studies of a model, so that it stays loaded while they share it."""
        named = settings.model_dump(mode="json", include=set(ModelSettings.model_fields))
        return self._bases.setdefault(json.dumps(named, sort_keys=True), _OneOfMany(self._loaded, settings, ref))

    def takes(self, model: str) -> bool:
        """Whether pieces of this model are its own to do."""
        if self.match is None:
            return True
        return fnmatch(model, self.match) or fnmatch(Path(model).name, self.match)

    def until_done(self, advance: Callable[[], bool], pieces: Callable[[], int]) -> None:
        """Call `advance` until it says that all is done, and wait where others hold what is left.

        pieces: how many this worker has done so far. Raises NothingToDo after `idle` seconds without one.
        """
        done, since, told = pieces(), time.monotonic(), False
        while True:
            try:
                if advance():
                    return
                why = ""
            except StepBusy as held:  # by others, or by one that was taken for dead
                why = str(held)
            if pieces() > done:
                done, since, told = pieces(), time.monotonic(), False
                continue
            if not told and why:
                self.say(f"waiting: {why}")
                told = True
            if self.idle is not None and time.monotonic() - since >= self.idle:
                raise NothingToDo(f"nothing to do for {duration(self.idle)}: {why or 'others are at what is left.'}")
            time.sleep(POLL)


def first_worker(settings: Settings, say: Callable[[str], None]) -> Worker:
    """The process that was given the study itself: it repairs, stays to the end, and leaves the settings for others."""
    return Worker(say, repairs=True, about=about(settings))


def about(settings: Settings) -> JsonObject:
    """What a worker needs that comes by the folder alone: the settings as they were given, and where."""
    return {"settings": settings.given(), "folder": str(Path.cwd())}
