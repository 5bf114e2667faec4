"""Workers on Slurm: the request, the script, arrays through submitit on processes here and on a real one-node Slurm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from helpers_slurm import Fail, Mark, one_node
from recollect.errors import InputError, MissingExtra
from recollect.experiments.executors import slurm
from recollect.experiments.executors.slurm import Array, SlurmSettings, minutes_of, sbatch_text, shown


@pytest.fixture(autouse=True)
def _tests_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the workers too, whose tasks lie there."""
    tests = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("1:30", 2), ("4:00:00", 240), ("1-12", 2160), ("1-12:30", 2190), ("0:10", 1), ("00:00:01", 1)],
)
def test_times_are_slurms(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    "values", [{"time": "soon"}, {"time": "0"}, {"partition": "a\n#SBATCH --wrap=x"}, {"mem": " "}]
)
def test_what_slurm_would_not_read_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        SlurmSettings.make(**values)


def test_a_time_without_quotes_is_refused_with_the_reason() -> None:
    """YAML makes 14400 of 4:00:00, which would be ten days in minutes."""
    with pytest.raises(InputError, match="time: must be in quotes"):
        SlurmSettings.make(**yaml.safe_load("time: 4:00:00"))


def test_the_script_asks_for_what_the_settings_say(tmp_path: Path) -> None:
    settings = SlurmSettings.make(
        partition="gpu", account="lab", qos="high", constraint="a100", gres="gpu:1", time="1-0", cpus=8, mem="32G",
        setup=("module load cuda", "source venv/bin/activate"), at_once=3,
    )  # fmt: skip
    text = sbatch_text(settings, 10, "model: pocket\nsizes: [15]\n", tmp_path / "a study")
    for option in (
        "array=0-9%3", "partition=gpu", "account=lab", "qos=high", "constraint=a100", "gres=gpu:1", "time=1-0",
        "cpus-per-task=8", "mem=32G", "signal=B:USR2@120", "requeue",
    ):  # fmt: skip
        assert f"#SBATCH --{option}" in text
    assert text.index("module load cuda") < text.index("source venv") < text.index("recollect work")
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "#SBATCH --partition" not in sbatch_text(SlurmSettings(), 1, "", tmp_path), "what is not asked is not said"


def test_the_script_writes_its_study_starts_a_worker_and_gives_its_work_back_at_the_signal(tmp_path: Path) -> None:
    """Run by bash, with a worker and an scontrol that only tell what they were given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    worker = """trap 'echo gave back; exit' TERM
cat "$2"
echo "$@" | cut -d' ' -f1,3-
for _ in $(seq 100); do sleep 0.1; done"""
    for name, body in (("recollect", worker), ("scontrol", 'echo "scontrol $*"')):
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    text = sbatch_text(SlurmSettings(), 2, "model: pocket\ntitle: $HOME `id`\n", tmp_path / "my out")
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1",
    }  # fmt: skip
    (tmp_path / "script").write_text(text)
    with subprocess.Popen(
        ["bash", str(tmp_path / "script")], stdout=subprocess.PIPE, text=True, env=environment
    ) as job:
        time.sleep(1)
        job.send_signal(signal.SIGUSR2)
        said, _ = job.communicate(timeout=30)
    assert said.splitlines() == [
        "model: pocket", "title: $HOME `id`", f"work --out {tmp_path}/my out", "gave back", "scontrol requeue 7_1",
    ]  # fmt: skip


def test_without_submitit_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtra, match=r"recollect\[slurm\]"):
        Array(Mark(str(tmp_path)), SlurmSettings(), 1, tmp_path / "jobs")


def test_where_there_is_no_slurm_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="Slurm did not take the workers: .*srun"):
        Array(Mark(str(tmp_path)), SlurmSettings(), 1, tmp_path / "jobs")


def test_states_in_words() -> None:
    assert shown(slurm.Counter({"RUNNING": 3, "PENDING": 1, "NODE_FAIL": 1})) == "1 node fail, 1 pending, 3 running"


class TestLocal:
    """submitit's processes on this machine in Slurm's place."""

    @pytest.fixture(autouse=True)
    def _submitit(self) -> None:
        pytest.importorskip("submitit")

    def test_every_worker_runs(self, tmp_path: Path) -> None:
        array = Array(Mark(str(tmp_path)), SlurmSettings(cluster="local"), 2, tmp_path / "jobs")
        _until(lambda: array.ended)
        assert array.states() == {"COMPLETED": 2} and array.failures() == []
        assert len(list(tmp_path.glob("start-*"))) == 2

    def test_a_worker_that_fails_tells_why(self, tmp_path: Path) -> None:
        array = Array(Fail(), SlurmSettings(cluster="local"), 1, tmp_path / "jobs")
        _until(lambda: array.ended)
        assert array.failures() == ["ValueError: no such model: nowhere"]

    def test_cancelled_workers_end(self, tmp_path: Path) -> None:
        array = Array(Mark(str(tmp_path), 60), SlurmSettings(cluster="local"), 1, tmp_path / "jobs")
        _until(lambda: any(tmp_path.glob("start-*")))
        array.cancel()
        _until(lambda: array.ended)


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    pytest.importorskip("submitit")
    with one_node(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_running")
class TestSlurm:
    """A real Slurm of one node."""

    def test_an_array_runs_so_many_at_once(self, tmp_path: Path) -> None:
        array = Array(Mark(str(tmp_path), 1), SlurmSettings(cpus=1, mem="100M", at_once=1), 3, tmp_path / "jobs")
        running = []
        while not array.ended:
            running.append(array.states().get("RUNNING", 0))
            time.sleep(0.2)
        assert max(running) <= 1, running
        assert len(list(tmp_path.glob("start-*"))) == 3 and array.failures() == []

    def test_at_the_time_limit_a_worker_is_told_and_requeued(self, tmp_path: Path) -> None:
        """The limit is sent by hand: Slurm's own comes after a minute at the earliest."""
        array = Array(Mark(str(tmp_path), 120), SlurmSettings(mem="100M"), 2, tmp_path / "jobs")
        _until(lambda: any(tmp_path.glob("start-*")))
        first = next(job for job in array.jobs if array._state(job, slurm._queue(array.name)) == "RUNNING")
        time.sleep(2)  # until the signal is listened to
        first._interrupt(timeout=True)
        _until(lambda: (tmp_path / "told").exists())
        _until(lambda: array.states().get("COMPLETED", 0) == 2, 240)  # Slurm waits two minutes before it starts again
        assert len(list(tmp_path.glob(f"start-{str(first.job_id).partition('_')[2]}-*"))) == 2

    def test_what_slurm_refuses_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="Slurm did not take the workers: .*partition"):
            Array(Mark(str(tmp_path)), SlurmSettings(partition="nowhere"), 1, tmp_path / "jobs")

    def test_the_script_is_taken_and_starts_the_worker(self, tmp_path: Path) -> None:
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "recollect").write_text(f'#!/bin/bash\ncat "$2" > {tmp_path}/seen-$SLURM_ARRAY_TASK_ID\n')
        (tools / "recollect").chmod(0o755)
        settings = SlurmSettings(setup=(f"export PATH={tools}:$PATH",), time="1", mem="100M")
        script = tmp_path / "script"
        script.write_text(sbatch_text(settings, 2, "model: pocket", tmp_path / "out"))
        subprocess.run(["sbatch", str(script)], check=True, timeout=30, capture_output=True)
        _until(lambda: len(list(tmp_path.glob("seen-*"))) == 2)
        _until(lambda: (tmp_path / "seen-1").read_text() == "model: pocket\n")


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)
