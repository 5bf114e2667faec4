import os
import signal
import subprocess
import sys

import pytest

from recollect.checkpoints import last_checkpoint
from recollect.train import TrainSettings, run_train


class Stop(Exception):
    """What stands in for a kill inside the process."""


def stop_at(step):
    def progress(done, total):
        if done == step:
            raise Stop

    return progress


def settings(base_folder, **values):
    return TrainSettings(model=str(base_folder), learning_rate=5e-3, epochs=2, **values)


def files(path):
    return {file.name: file.read_bytes() for file in path.rglob("*") if file.suffix in (".safetensors", ".parquet")}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_resumed_run_equals_an_uninterrupted_one(base_folder, selection, tmp_path, method):
    whole = run_train(settings(base_folder, method=method), selection, out=tmp_path / "whole")
    chosen = settings(base_folder, method=method, save_every=2)
    for step in (5, 8):
        with pytest.raises(Stop):
            run_train(chosen, selection, out=tmp_path / "cut", progress=stop_at(step))
    seen = []
    cut = run_train(chosen, selection, out=tmp_path / "cut", progress=lambda *now: seen.append(now[0]))
    assert seen == [7, 8, 9, 10]  # it went on from the checkpoint at 6
    assert files(cut.path) == files(whole.path)
    assert {path.name for path in cut.path.iterdir()} == {"log.parquet", "manifest.json", "model"}


def test_run_without_checkpoints_starts_again(base_folder, selection, tmp_path):
    whole = run_train(settings(base_folder), selection, out=tmp_path / "whole")
    with pytest.raises(Stop):
        run_train(settings(base_folder), selection, out=tmp_path / "cut", progress=stop_at(5))
    assert files(run_train(settings(base_folder), selection, out=tmp_path / "cut").path) == files(whole.path)


def test_checkpoint_that_a_kill_cut_short_is_passed_over(tmp_path):
    for name in ("checkpoint-2", "checkpoint-10", "checkpoint-12"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-2/trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-10/trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-12/trainer_state.json").write_text('{"half')
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert last_checkpoint(tmp_path / "nothing") is None


def test_killed_process_is_resumed(base_folder, selection, tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from recollect.train import TrainSettings, run_train
def progress(done, total):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
settings = TrainSettings(model={str(base_folder)!r}, learning_rate=5e-3, epochs=2, save_every=2)
run_train(settings, Path({str(selection)!r}), out=Path({str(tmp_path / "cut")!r}), progress=progress)
"""
    killed = subprocess.run([sys.executable, "-c", program], env=os.environ, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    whole = run_train(settings(base_folder), selection, out=tmp_path / "whole")
    cut = run_train(settings(base_folder, save_every=2), selection, out=tmp_path / "cut")
    assert files(cut.path) == files(whole.path)
