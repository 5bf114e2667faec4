"""Stopped on the way, by a full disk or Ctrl-C: what was finished is kept, the same command resumes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers_world import Command, World, contents, probe_flags, tables
from recollect.cli import main as cli


def test_a_full_disk_keeps_the_finished_batches_and_the_same_command_goes_on(
    recollect: Command, monkeypatch: pytest.MonkeyPatch, world: World, probed: Path
) -> None:
    command = ["probe", *probe_flags(world), "--out", "probe"]
    plain, calls = os.fsync, 0

    def fill_up(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        answer = recollect(*command)
    assert answer.code == 5
    assert "the disk is full" in answer.err
    assert "same command" in answer.err
    kept = contents(Path("probe.partial/parts"))
    assert 2 <= len(kept) < 26
    assert not Path("probe").exists()
    assert recollect(*command).code == 0
    assert tables(Path("probe")) == tables(probed)


@pytest.mark.parametrize("what", ["os", "safetensors", "torch", "torch's end"])
def test_a_disk_that_fills_up_while_weights_are_stored_is_told_in_words(
    recollect: Command, monkeypatch: pytest.MonkeyPatch, world: World, bad_place: Path, what: str
) -> None:
    from safetensors import SafetensorError
    from transformers import LlamaForCausalLM

    errors = {
        "os": OSError(errno.ENOSPC, "No space left on device"),
        "safetensors": SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        "torch": RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        "torch's end": RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 142144 vs 142036"),
    }

    def full(*_: object, **__: object) -> None:
        raise errors[what]

    command = ["train", "--model", world.model, "--selection", bad_place / "selection", "--out", "tuned"]
    with monkeypatch.context() as patch:
        patch.setattr(LlamaForCausalLM, "save_pretrained", full)
        answer = recollect(*command)
    assert answer.code == 5
    assert "the disk is full" in answer.err
    assert not Path("tuned").exists()
    assert recollect(*command).code == 0


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    recollect: Command, world: World, probed: Path, tmp_path: Path
) -> None:
    command = ["probe", *probe_flags(world), "--out", "probe"]
    slow = "import time, recollect.core.workspace as w; p = w.Step.write_part\n"
    slow += "w.Step.write_part = lambda self, *a: (p(self, *a), time.sleep(0.5))\n"
    program = f"import sys; from recollect.cli.main import main\n{slow}sys.argv = {['recollect', *command]!r}; main()"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "probe.partial" / "parts"
    until = time.monotonic() + 60
    while len(list(parts.glob("*.parquet"))) < 2 and child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "stopped. What was finished is kept, if anything was: run the same command again to resume." in err
    assert "Traceback" not in err
    assert out == ""
    kept = contents(parts)
    assert len(kept) >= 2
    assert not Path("probe").exists()
    assert recollect(*command).code == 0
    assert tables(Path("probe")) == tables(probed)


def test_ctrl_c_before_any_work_is_no_traceback(recollect: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_register", stop)
    answer = recollect("probe")
    assert answer.code == 130
    assert "stopped." in answer.err


def test_a_bug_is_not_dressed_up_as_bad_input(recollect: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_register", broken)
    monkeypatch.setattr("sys.argv", ["recollect", "probe"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
