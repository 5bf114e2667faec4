"""Workers on a Slurm cluster: an array of jobs, so many at once, each requeued at its time limit.

Notable choices
- A job is a worker like any other: it takes what is free, so the array needs no plan of who does what, and may be
  smaller or larger than the work.
- Before its time limit Slurm sends a signal; the worker gives its lease back and is requeued, and what it was at is
  resumed from the last checkpoint.
- submitit submits, requeues and asks for states. Without it `sbatch_text` gives a script that does the same.
- Every place has its own rules, so every field of the request is a setting and none has a default but the time.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from recollect.core.extras import need
from recollect.core.settings import Settings
from recollect.core.workspace import write_json
from recollect.errors import InputError, RecollectError

MAIN = "import sys; sys.argv[0] = 'recollect'; from recollect.cli.main import main; main()"
"""The command `recollect` by Python alone, where no script of it is on the path."""
WORKERS = 4
"""Jobs of the array, unless the settings say otherwise."""
WARNING_SECONDS = 120
"""How long before its time limit a worker is told."""
LOOK = 5.0
"""Seconds between two looks at the workers."""
_REQUEUES = 1000
_TIMES = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")


def minutes_of(text: str) -> int:
    """A time as Slurm writes it, in whole minutes, rounded up: 90, 4:00:00, 1-12, 1-12:30."""
    found = _TIMES.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be minutes, hours:minutes:seconds or days-hours, such as 90, 4:00:00 or 1-12")
    days, first, second, third = (int(found[name] or 0) for name in ("days", "first", "second", "third"))
    if found["days"] is not None:
        seconds = ((24 * days + first) * 60 + second) * 60 + third
    elif found["third"] is not None:
        seconds = (first * 60 + second) * 60 + third
    else:  # minutes, or minutes:seconds
        seconds = first * 60 + second
    if seconds <= 0:
        raise ValueError("must be more than no time")
    return -(-seconds // 60)


def _time(text: str) -> str:
    minutes_of(text)
    return text.strip()


def _in_quotes(value: Any) -> Any:
    if isinstance(value, int):
        raise ValueError('must be in quotes, such as "4:00:00" or "90": YAML reads 4:00:00 as a number')
    return value


def _one_line(text: str) -> str:
    if not text.strip() or "\n" in text:
        raise ValueError("must be one line that is not empty")
    return text.strip()


Word = Annotated[str, AfterValidator(_one_line)]


class SlurmSettings(Settings):
    """What each worker asks of Slurm; a field left out is not asked for, and the cluster's own default holds."""

    partition: Word | None = None
    """Partition, or several with commas."""
    account: Word | None = None
    """Account that pays."""
    qos: Word | None = None
    """Quality of service."""
    constraint: Word | None = None
    """Features that a node must have, such as a100."""
    gres: Word | None = None
    """Generic resources, such as gpu:1."""
    time: Annotated[str, BeforeValidator(_in_quotes), AfterValidator(_time)] = "4:00:00"
    """Time limit of one job; a worker is requeued there, and resumes."""
    cpus: Annotated[int, Field(ge=1)] | None = None
    """CPUs of each worker."""
    mem: Word | None = None
    """Memory of each worker, such as 32G."""
    setup: tuple[Word, ...] = ()
    """Lines of shell before the worker starts, such as "module load cuda" or "source venv/bin/activate"."""
    at_once: Annotated[int, Field(ge=1)] | None = None
    """Workers of the array that may run at once. Default: all."""
    cluster: Literal["slurm", "local"] = "slurm"
    """local: start the jobs as processes of this machine, to try the settings without a cluster."""

    def asked(self) -> dict[str, str]:
        """The options of sbatch, by their names."""
        named = {"partition": self.partition, "account": self.account, "qos": self.qos, "constraint": self.constraint}
        sized = {"gres": self.gres, "time": self.time, "cpus-per-task": self.cpus, "mem": self.mem}
        return {name: str(value) for name, value in {**named, **sized}.items() if value is not None}


def sbatch_text(settings: SlurmSettings, workers: int, study: str, out: Path) -> str:
    """The script of an array of workers, for `sbatch`: what the executor does, without submitit.

    study: the study's settings as YAML, which the script holds, so that it may be submitted from anywhere.
    """
    end = "END_OF_STUDY"
    if end in study.splitlines():
        raise InputError(f"a study that holds the line {end} cannot be written into a script; use a study file.")
    options = {
        "job-name": "recollect",
        "array": f"0-{workers - 1}%{min(workers, settings.at_once or workers)}",
        **settings.asked(),
        "signal": f"B:USR2@{WARNING_SECONDS}",
        "open-mode": "append",
        "output": f"{out}-%A_%a.log",
    }
    lines = ["#!/bin/bash", *(f"#SBATCH --{name}={shlex.quote(value)}" for name, value in options.items())]
    lines += ["#SBATCH --requeue", "", *settings.setup, *([""] if settings.setup else [])]
    lines += ["study=$(mktemp)", f"cat > \"$study\" <<'{end}'", study.rstrip("\n"), end, ""]
    lines += [
        f"# {WARNING_SECONDS} seconds before the time limit: the worker gives its work back, and the job starts again",
        "again() {",
        '    kill -TERM "$worker"; wait "$worker"',
        '    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"; exit',
        "}",
        "trap again USR2",
        f'recollect work "$study" --out {shlex.quote(str(out))} &',
        "worker=$!",
        'wait "$worker"',
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Command:
    """A worker as a command: told to stop before its time limit, it gives back what it holds, and is requeued."""

    words: tuple[str, ...]

    def __call__(self) -> None:
        """Run it to its end. Raises RecollectError with its last words where it fails."""
        global _running
        with subprocess.Popen(self.words, stderr=subprocess.PIPE, text=True, errors="replace") as _running:
            last = ""
            for line in _running.stderr or ():
                sys.stderr.write(line)
                last = line.strip() or last
        if _running.returncode:
            raise RecollectError(f"a worker ended with code {_running.returncode}: {last}")

    def checkpoint(self) -> Any:
        """Called by submitit when the time limit is near."""
        if _running is not None:
            _running.terminate()
            with suppress(subprocess.TimeoutExpired):
                _running.wait(WARNING_SECONDS / 2)
        return need("submitit", "slurm", "executor slurm").helpers.DelayedSubmission(self)


_running: subprocess.Popen[str] | None = None


class Array:
    """An array of workers that was submitted."""

    def __init__(self, task: Callable[[], object], settings: SlurmSettings, workers: int, folder: Path) -> None:
        """Submit; `folder`, which all nodes see, takes their logs. The task, which can be pickled, may have a method
        `checkpoint`, by which it is requeued. Raises MissingExtra without submitit, InputError where Slurm refuses."""
        submitit = need("submitit", "slurm", "executor slurm")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._local = folder, settings.cluster == "local"
        try:
            executor = submitit.AutoExecutor(folder, cluster=settings.cluster, slurm_max_num_timeout=_REQUEUES)
            executor.update_parameters(**_parameters(settings, workers))
            with executor.batch():
                self.jobs = [executor.submit(task) for _ in range(workers)]
        except (RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as error:
            raise InputError(_refused(error)) from None
        except Exception as error:  # submitit's own
            if type(error).__module__.partition(".")[0] != "submitit":
                raise
            raise InputError(_refused(error)) from None

    @classmethod
    def again(cls, ids: list[str], folder: Path) -> Array:
        """An array on Slurm that was submitted before, by the numbers of its jobs."""
        submitit = need("submitit", "slurm", "executor slurm")
        array = cls.__new__(cls)
        array.folder, array._local = folder, False
        array.jobs = [submitit.SlurmJob(folder=folder, job_id=one) for one in ids]
        return array

    def settle(self, seconds: float = 60.0) -> None:
        """Leave no process behind: those of this machine, whose work is done, end in a moment."""
        end = time.monotonic() + seconds
        while self._local and time.monotonic() < end and not all(job.done() for job in self.jobs):
            time.sleep(0.1)

    @property
    def ids(self) -> list[str]:
        """The numbers of its jobs."""
        return [str(job.job_id) for job in self.jobs]

    @property
    def name(self) -> str:
        """The array's number, or the processes."""
        return ", ".join(self.ids) if self._local else self.ids[0].partition("_")[0]

    def states(self) -> Counter[str]:
        """How many workers are in which state, in Slurm's words."""
        known = {} if self._local else _queue(self.name)
        return Counter(self._state(job, known) for job in self.jobs)

    @property
    def ended(self) -> bool:
        """Whether no worker runs or waits."""
        return all(state.startswith(_ENDED) for state in self.states())

    def failures(self) -> list[str]:
        """The last lines of what the workers that failed have said."""
        found = []
        for job in self.jobs:
            with suppress(Exception):
                if job.done() and (error := job.exception()) is not None:
                    found.append(_last_line(str(error)) or type(error).__name__)
        return list(dict.fromkeys(found))

    def cancel(self) -> None:
        """Stop the workers; what they were at can be resumed."""
        for job in self.jobs:
            with suppress(Exception):
                job.cancel()

    def _state(self, job: Any, known: dict[str, str]) -> str:
        if job.paths.result_pickle.exists():
            return "FAILED" if job.exception() is not None else "COMPLETED"
        state = str(job.state) if self._local else known.get(str(job.job_id), "")
        if self._local:
            return {"FINISHED": "COMPLETED", "INTERRUPTED": "FAILED"}.get(state, state)
        return state or "FAILED"  # neither in the queue nor with a result


def _parameters(settings: SlurmSettings, workers: int) -> dict[str, object]:
    """What submitit takes."""
    asked = settings.asked()
    found: dict[str, object] = {"name": "recollect", "timeout_min": minutes_of(settings.time)}
    if settings.cluster == "local":
        return found
    names = ("partition", "account", "qos", "constraint", "gres")
    found |= {f"slurm_{name}": asked[name] for name in names if name in asked}
    found |= {} if settings.cpus is None else {"cpus_per_task": settings.cpus}
    found |= {} if settings.mem is None else {"slurm_mem": settings.mem}
    found |= {"slurm_array_parallelism": settings.at_once or workers, "slurm_signal_delay_s": WARNING_SECONDS}
    return found | ({"slurm_setup": list(settings.setup)} if settings.setup else {})


def _queue(array: str) -> dict[str, str]:
    """State by job of those that run or wait; squeue is there where accounting is not."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%F_%K|%T", f"--jobs={array}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RecollectError(f"squeue does not answer: {error}. The workers go on.") from None
    states = {}
    for line in said.splitlines():
        number, of_array, state = line.split("|")
        states[number] = states[of_array] = state
    return states


def _last_line(said: str) -> str:
    """Of the traceback that submitit puts between two rules, where there is one."""
    parts = re.split(r"\n-{10,}\n?", said)
    lines = [line for line in (parts[1] if len(parts) > 2 else said).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _refused(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    said = said.decode(errors="replace") if isinstance(said, bytes) else said
    words = " ".join(said.split())[:300].rstrip(".")
    return (
        f"Slurm did not take the workers: {words}. Check the section slurm; of a study `--dry-run` prints the script."
    )


def submitted(
    words: tuple[str, ...], settings: SlurmSettings, workers: int, logs: Path, say: Callable[[str], None]
) -> Array:
    """The array of such workers that is at it already, or a new one; its numbers stand in `logs`, so that who is
    started again finds it."""
    note = logs / "array.json"
    if settings.cluster == "slurm" and note.is_file():
        before = Array.again(json.loads(note.read_text(encoding="utf-8")), logs)
        if not before.ended:
            say(f"waiting for the workers that are there: {before.name}, {shown(before.states())}")
            return before
    array = Array(Command(words), settings, workers, logs)
    write_json(note, array.ids)
    say(f"submitted {len(array.jobs)} workers: {array.name}; their logs are in {logs}")
    return array


def all_ended(array: Array, before: str) -> str:
    """The error text where no worker is left; before: what they should have lived to see, "the study was finished"."""
    why = "; ".join(array.failures())[:500]
    return (
        f"all workers ended before {before} ({shown(array.states())}){': ' + why if why else ''}. Their logs are in "
        f"{array.folder}. What is done is kept: the same command submits others."
    )


def shown(states: Counter[str]) -> str:
    """The states in words, such as "3 running, 1 pending"."""
    return ", ".join(f"{count} {state.lower().replace('_', ' ')}" for state, count in sorted(states.items()))


class SlurmHands:
    """The workers of a list of jobs (`executors.queue`), as an array that is submitted at the first look."""

    count = 0

    def __init__(self, submit: Callable[[], Array], before: str) -> None:
        """before: what the workers should live to see, for the error where none is left."""
        self._submit, self._before = submit, before
        self._array: Array | None = None
        self._looked = float("-inf")

    def look(self, seconds: float) -> None:
        """Wait so long. Raises InputError where Slurm refuses, RecollectError where all workers have ended."""
        self._array = self._array or self._submit()
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            if self._array.ended:
                raise RecollectError(all_ended(self._array, self._before))
        time.sleep(seconds)

    def close(self) -> None:
        """End the workers, and take those from the queue that have not begun."""
        if self._array is not None:
            self._array.cancel()
            self._array.settle(LOOK)
