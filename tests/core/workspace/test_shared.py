"""A step folder that several workers fill: they enter together, one process alone does not, and the end is the same."""

from __future__ import annotations

import errno
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from recollect.core.workspace import Step, is_finished, open_step, what_is_shared
from recollect.core.workspace import open as open_module
from recollect.core.workspace import shared as shared_module
from recollect.core.workspace.lease import Holder, Leases, Record
from recollect.errors import StepBusy, StepError

HOLDS = """
    import sys
    from pathlib import Path
    from recollect.core.workspace import open_step
    with open_step("study", {"size": 1}, {}, Path(sys.argv[1]), shared={} if sys.argv[2] == "shared" else None) as step:
        print("open", flush=True)
        sys.stdin.read()
"""


@contextmanager
def _another(out: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the step open until it is killed."""
    command = [sys.executable, "-c", textwrap.dedent(HOLDS), str(out), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        try:
            yield other
        finally:
            other.kill()


@contextmanager
def _open(out: Path, *, shared: bool, size: int = 1) -> Iterator[Step]:
    with open_step("study", {"size": size}, {}, out, shared={"size": size} if shared else None) as step:
        yield step


def _finish(step: Step) -> None:
    (step.folder / "table.txt").write_text("42")
    step.finish({"found": 1})


def test_workers_enter_together_and_the_folder_ends_as_that_of_one(tmp_path: Path) -> None:
    out = tmp_path / "shared"
    with _another(out, "shared"), _open(out, shared=True) as step:
        assert step.leases is not None and len(step.leases.alive("worker ")) == 2
        lease = step.leases.take("probe")
        assert lease is not None
        lease.end("done")
        _finish(step)
    with _open(tmp_path / "alone", shared=False) as step:
        _finish(step)
    names = {one.name: sorted(file.name for file in one.rglob("*")) for one in (out, tmp_path / "alone")}
    assert names == {"shared": ["manifest.json", "table.txt"], "alone": ["manifest.json", "table.txt"]}
    assert is_finished(out) and not out.with_name("shared.partial").exists()


def test_one_alone_is_refused_while_workers_share_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with _another(out, "shared") as other:
        text = rf"workers share .*:{other.pid}\). Join them with `recollect work .*out`"
        with pytest.raises(StepBusy, match=text), _open(out, shared=False):
            pytest.fail("opened")
        other.kill()
        other.wait()
        with _open(out, shared=False) as step:
            assert step.resumed and not step.scratch("leases").exists(), "what the dead left is removed"


def test_workers_are_refused_while_one_alone_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_module, "ENTER_SECONDS", 0.3)
    text = "another process is working in"
    with _another(tmp_path / "out", "alone"), pytest.raises(StepBusy, match=text), _open(tmp_path / "out", shared=True):
        pytest.fail("opened")


def test_a_worker_with_other_settings_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    with _another(tmp_path / "out", "shared"):
        with pytest.raises(StepError, match="setting size was 1, now 2"), _open(tmp_path / "out", shared=True, size=2):
            pytest.fail("opened")
        with _open(tmp_path / "out", shared=True) as step:
            assert step.leases is not None and len(step.leases.alive("worker ")) == 2


def test_one_alone_watches_workers_of_other_machines_before_it_comes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_module, "Leases", lambda folder: Leases(folder, every=0.05, patience=0.4))
    with _another(tmp_path / "out", "alone"):
        pass
    folder = tmp_path / "out.partial" / "parts" / "leases"
    folder.mkdir(parents=True)
    record = Record(Holder("node7", "another start", 1, "5"))
    (folder / "worker%20node7%3A1.0001").write_bytes(record.write())
    with _open(tmp_path / "out", shared=False) as step:
        assert step.resumed
    folder.mkdir(parents=True)
    (folder / "worker%20node7%3A1.0001").write_bytes(record.write())
    watch = Leases.alive

    def beating(self: Leases, *arguments: object) -> list[Record]:
        nonlocal record
        record = replace(record, beat=record.beat + 1)
        (folder / "worker%20node7%3A1.0001").write_bytes(record.write())
        return watch(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Leases, "alive", beating)
    with pytest.raises(StepBusy, match="node7:1"), _open(tmp_path / "out", shared=False):
        pytest.fail("opened")


def test_a_new_worker_forgets_what_dead_ones_said(tmp_path: Path) -> None:
    """A cell that failed is tried again by the next command."""
    with _open(tmp_path / "out", shared=True) as step:
        assert step.leases is not None
        lease = step.leases.take("cell")
        assert lease is not None
        lease.end("failed", "no memory")
        with _another(tmp_path / "out", "shared"):
            assert step.leases.look("cell").state == "failed", "not while one of them lives"
    with _open(tmp_path / "out", shared=True) as step:
        assert step.leases is not None and step.leases.look("cell").state == "free"
        other = Leases(step.leases.folder).take("cell")
        assert other is not None and step.leases.look("cell").alive, "what was read of the dead one's file is gone too"


def test_a_worker_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _another(tmp_path / "out", "shared"):
        monkeypatch.setattr(shared_module, "__version__", "99.0")
        text = r"run Recollect .*, and this is 99\.0\. Use the same version"
        with pytest.raises(StepError, match=text), _open(tmp_path / "out", shared=True):
            pytest.fail("opened")


def test_dead_workers_of_another_version_and_machine_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster whose jobs were killed, and Recollect updated: their silence alone tells that they are gone."""
    monkeypatch.setattr(open_module, "Leases", lambda folder: Leases(folder, every=0.05, patience=0.4))
    with _open(tmp_path / "out", shared=True) as step:
        folder = step.scratch("leases")
    record = Record(Holder("node7", "another start", 1, "5"))
    (folder / "worker%20node7%3A1.0001").write_bytes(record.write())
    monkeypatch.setattr(shared_module, "__version__", "99.0")
    with _open(tmp_path / "out", shared=True) as step:
        assert step.leases is not None and len(step.leases.alive("worker ")) == 1, "this one alone"


def test_the_first_worker_leaves_word_of_what_is_done(tmp_path: Path) -> None:
    assert what_is_shared(tmp_path / "out") is None
    with _open(tmp_path / "out", shared=True) as step:
        found = what_is_shared(tmp_path / "out")
        assert found is not None and found["size"] == 1
        step.finish()
    assert what_is_shared(tmp_path / "out") is None


def test_a_disk_without_locks_is_good_enough_for_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network disks are; leases need none. The steps inside are guarded by them too."""

    def no_locks(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    with pytest.raises(StepError, match="cannot be locked"), _open(tmp_path / "alone", shared=False):
        pytest.fail("opened")
    with _open(tmp_path / "out", shared=True) as step:
        with open_step("probe", {}, {}, step.folder / "probe") as inner:
            inner.finish()
        step.finish()
    assert is_finished(tmp_path / "out") and is_finished(tmp_path / "out" / "probe")
