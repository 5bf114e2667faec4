"""Jobs on a Ray cluster: one actor per slot, on any machine that sees the folder.

Notable choices
- An actor keeps its model between jobs. A fraction of a GPU (0.25) puts several on one.
- An actor that dies, or whose machine does, is replaced like any other worker. Where the cluster has become too small
  for all of them, its job goes to the next actor that is free: a new one would wait for ever.
- Ray is an extra: `pip install "recollect[ray]"`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from recollect.core.extras import need
from recollect.core.secret_url import masked, without_secrets
from recollect.errors import InputError
from recollect.experiments.executors.base import Ended, Executor, Found, Job, Place, Submitted, Work, died

_LOOK_SECONDS = 2.0
JOIN_SECONDS = 30.0
"""How long a cluster's head may take to answer."""
_QUIET = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
_TRY = (
    "import json, sys; address, quiet = json.load(sys.stdin); import ray; ray.init(address=address, **quiet); "
    "ray.shutdown()"
)
_CARRIED = ("HF_HOME", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY")


class RayExecutor(Executor[Job, Found]):
    """Runs jobs in actors of a Ray cluster."""

    def __init__(self, work: Work[Job, Found], place: Place) -> None:
        """Join the cluster at `place.address` ("auto" for the one this machine is in), or start one here without it.

        The workers default to as many as the cluster has room for. Raises InputError when Ray is not installed, the
        cluster is not there, or it has no room for one job.
        """
        self._ray = ray = _import_ray()
        self._work, self._place, self._cpus = work, place, float(place.threads or 1)
        self._ours = not ray.is_initialized()
        self._token: Path | None = None
        self._actors: dict[int, Any] = {}
        self._ready: dict[int, Any] = {}
        self._jobs: dict[Any, tuple[int, Submitted[Job]]] = {}
        self._numbers = count()
        if self._ours:
            _join(ray, place.address)
        total = ray.cluster_resources()
        gpus = float(total.get("GPU", 0.0))
        self._gpus = place.gpus if place.gpus is not None else 1.0 if gpus else 0.0
        room = self._room()
        if room < 1:
            self.close()
            raise InputError(
                f"the Ray cluster has {total.get('CPU', 0):g} CPUs and {gpus:g} GPUs, but one training wants "
                f"{self._cpus:g} and {self._gpus:g}. Ask for fewer GPUs each, or add machines."
            )
        self._slots = min(place.workers or room, room)
        self._token = _leave_token(place.folder)

    @classmethod
    def check(cls, place: Place) -> None:
        """Raise InputError when Ray is not installed or the head of the cluster does not answer."""
        _import_ray()
        if place.address is not None:
            _reach(place.address)

    @property
    def slots(self) -> int:
        """The number of actors."""
        return self._slots

    def submit(self, job: Job) -> None:
        """Give the job to a free actor; starts one where needed. Raises RuntimeError when all are busy."""
        if len(self._jobs) >= self._slots:
            raise RuntimeError(f"all {self._slots} workers are busy")
        self._give(Submitted(job, next(self._numbers)))

    def _give(self, one: Submitted[Job]) -> None:
        if not (idle := self._idle()):
            idle = [next(at for at in count() if at not in self._actors)]
            self._actors[idle[0]] = self._start()
            self._ready[idle[0]] = self._actors[idle[0]].__ray_ready__.remote()
        self._jobs[self._actors[idle[0]].run.remote(one.job)] = (idle[0], one)

    def _idle(self) -> list[int]:
        busy = {at for at, _ in self._jobs.values()}
        return [at for at in self._actors if at not in busy]

    def _room(self) -> int:
        """How many workers fit into the cluster as it is now."""
        total = self._ray.cluster_resources()
        return _room(float(total.get("CPU", 0.0)), float(total.get("GPU", 0.0)), self._cpus, self._gpus)

    def _move_to_idle(self) -> None:
        """Give the jobs of actors that have no room any more to idle ones."""
        if not (idle := self._idle()) or (room := self._room()) >= len(self._actors):
            return
        self._slots = max(1, min(self._slots, room))
        waiting = [ref for ref, (at, _) in self._jobs.items() if not self._ray.wait([self._ready[at]], timeout=0)[0]]
        for ref, free in zip(waiting, idle, strict=False):
            at, one = self._jobs.pop(ref)
            self._end(at)
            self._jobs[self._actors[free].run.remote(one.job)] = (free, one)

    def _end(self, at: int) -> None:
        self._ray.kill(self._actors.pop(at))
        self._ready.pop(at)

    def wait(self, seconds: float | None = None) -> list[Ended[Job, Found]]:
        """See `Executor.wait`."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._jobs:
            self._move_to_idle()
            left = _LOOK_SECONDS if until is None else min(_LOOK_SECONDS, max(0.0, until - time.monotonic()))
            ready, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=left)
            if not ready:
                if until is not None and time.monotonic() >= until:
                    break
                continue
            others, _ = self._ray.wait(list(self._jobs), num_returns=len(self._jobs), timeout=0)
            found = [one for ref in dict.fromkeys([*ready, *others]) if (one := self._collect(ref))]
            if found:
                return [ended for _, ended in sorted(found, key=lambda one: one[0])]
        return []

    def _collect(self, ref: Any) -> tuple[int, Ended[Job, Found]] | None:
        at, one = self._jobs.pop(ref)
        errors = self._ray.exceptions
        try:
            return one.number, Ended(one.job, self._ray.get(ref))
        except errors.RayTaskError as error:  # raised by the work itself
            raise (error.cause or error) from None
        except errors.RayError as error:  # the actor, its machine or the memory watch
            self._end(at)
            if failure := died(one, f": {' '.join(str(error).split())[:200]}", self._place.retries):
                return one.number, Ended(one.job, None, failure)
            self._give(one)
            return None

    def _start(self) -> Any:
        environment = {name: os.environ[name] for name in _CARRIED if name in os.environ}
        environment["OMP_NUM_THREADS"] = str(max(1, int(self._cpus)))
        actor = self._ray.remote(_Desk).options(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": environment},
        )
        return actor.remote(self._work, None if self._token is None else (str(self._token), self._token.read_text()))

    def close(self) -> None:
        """Stop the actors, and leave the cluster; what they were at can be resumed from its last checkpoint."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._ready.clear()
        self._jobs.clear()
        if self._token is not None:
            self._token.unlink(missing_ok=True)
        if self._ours:
            self._ray.shutdown()
            self._ours = False


class _Desk:
    """An actor: one worker somewhere in the cluster."""

    def __init__(self, work: Work[Any, Any], token: tuple[str, str] | None) -> None:
        self._work, self._token = work, token
        self._run: Any = None

    def run(self, job: Any) -> Any:
        """Run one job."""
        if self._run is None:
            self._check_folder()
            self._run = self._work.start()
        return self._run(job)

    def _check_folder(self) -> None:
        if self._token is None:
            return
        path, text = Path(self._token[0]), self._token[1]
        if not path.is_file() or path.read_text() != text:
            raise InputError(
                f"a machine of the cluster does not see the folder {path.parent}. Give --out a folder on a "
                "path that all machines share."
            )


def _import_ray() -> Any:
    need("ray.exceptions", "ray", "executor ray")
    return need("ray", "ray", "executor ray")


def _join(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # ray's coming default; without it ray warns
    if address is not None:
        _reach(address)
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **_QUIET)
        else:
            ray.init(address=address, **_QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _unreachable(address, str(error)) from None


def _reach(address: str, seconds: float = JOIN_SECONDS) -> None:
    """Raise InputError when the cluster's head does not answer in time.

    Ray's own waiting for a head that is not there is minutes long and cannot be interrupted, so another process tries
    first, which can be killed. The address goes through its input, where no list of processes shows it.
    """
    command = [sys.executable, "-c", _TRY]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as other:
        try:
            _, said = other.communicate(json.dumps([address, _QUIET]), timeout=seconds)
        except BaseException as error:  # Ctrl-C too: nobody else ends a process of its own session
            with suppress(ProcessLookupError):
                os.killpg(other.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise _unreachable(address, f"its head did not answer within {seconds:.0f} seconds") from None
    if other.returncode:
        raise _unreachable(address, _reason(said))


def _reason(said: str) -> str:
    """The last line that a failed try printed, which names the error."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(" ")]
    return lines[-1] if lines else "the try to join it ended without a word"


def _unreachable(address: str | None, why: str) -> InputError:
    shown = "this machine" if address is None else masked(address)
    words = why if address is None else without_secrets(why, address)
    return InputError(
        f"no Ray cluster at {shown}: {' '.join(words.split())[:200].rstrip('.')}. Start one with `ray start --head` "
        "and give its address, or leave --address out."
    )


def _room(cpus: float, gpus: float, cpus_each: float, gpus_each: float) -> int:
    """How many workers fit at once."""
    room = cpus / cpus_each if cpus_each else float("inf")
    if gpus_each:
        room = min(room, gpus / gpus_each)
    return int(room + 1e-9) if room != float("inf") else 1


def _leave_token(folder: Path | None) -> Path | None:
    """A file with a random word, by which an actor knows the folder for the very same one."""
    if folder is None:
        return None
    path = folder / f".seen-{secrets.token_hex(4)}"
    path.write_text(secrets.token_hex(8))
    return path
