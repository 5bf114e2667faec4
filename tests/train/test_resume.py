import os
import shutil
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

from helpers_stack import history
from recollect.errors import ModelError, RecollectWarning
from recollect.train import TrainSettings, run_train
from recollect.train.checkpoints import last_checkpoint
from recollect.train.records import RESULTS, STATE


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
    assert history(cut.path) == history(whole.path)
    assert {path.name for path in cut.path.iterdir()} == {"log.parquet", "manifest.json", "model", STATE, *RESULTS}


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("updates", [5, 7, 10], ids=["an epoch", "within an epoch", "two epochs"])
def test_a_stop_after_the_last_update_adds_none(base_folder, selection, tmp_path, monkeypatch, method, updates):
    """The checkpoint of the last update is there, the result is not written yet."""
    chosen = settings(base_folder, method=method, max_steps=updates, save_every=2)
    whole = run_train(chosen, selection, out=tmp_path / "whole")
    with monkeypatch.context() as stopped:
        stopped.setattr("recollect.train.run.write_model", Mock(side_effect=Stop))
        with pytest.raises(Stop):
            run_train(chosen, selection, out=tmp_path / "cut")
    assert last_checkpoint(tmp_path / "cut.partial/parts").name == f"checkpoint-{updates}"
    cut = run_train(chosen, selection, out=tmp_path / "cut")
    assert cut.found.steps == updates
    assert files(cut.path) == files(whole.path)


def test_a_loss_that_is_no_number_in_the_last_update_is_told_again(base_folder, selection, tmp_path):
    wild = settings(base_folder, max_steps=3, save_every=1).model_copy(update={"learning_rate": 1e30})
    for _ in range(3):
        with pytest.raises(ModelError):
            run_train(wild, selection, out=tmp_path / "wild")
    assert not (tmp_path / "wild").exists()


def test_run_without_checkpoints_starts_again(base_folder, selection, tmp_path):
    whole = run_train(settings(base_folder), selection, out=tmp_path / "whole")
    with pytest.raises(Stop):
        run_train(settings(base_folder), selection, out=tmp_path / "cut", progress=stop_at(5))
    assert files(run_train(settings(base_folder), selection, out=tmp_path / "cut").path) == files(whole.path)


def test_checkpoint_that_a_kill_cut_short_is_passed_over(tmp_path):
    for name in ("checkpoint-2", "checkpoint-10", "checkpoint-12"):
        (tmp_path / name).mkdir()
        save_file({"w": torch.ones(3)}, tmp_path / name / "model.safetensors")
        for part in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            torch.save({"w": torch.ones(3)}, tmp_path / name / part)
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
from recollect.train.records import RESULTS, STATE
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


def cut_in_half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def missing(file):
    file.unlink()


@pytest.fixture(scope="module")
def stopped(base_folder, selection, tmp_path_factory):
    """A training that was stopped after its checkpoint at update 4."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(Stop):
        run_train(settings(base_folder, save_every=4), selection, out=out, progress=stop_at(5))
    return out.with_name("run.partial")


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "without its list"])
@pytest.mark.parametrize("how", [cut_in_half, flip_a_bit, missing])
@pytest.mark.parametrize("name", ["optimizer.pt", "model.safetensors", "scheduler.pt", "rng_state.pth"])
def test_a_damaged_checkpoint_is_never_resumed_from(stopped, tmp_path, name, how, sealed):
    shutil.copytree(stopped / "parts", tmp_path / "parts")
    checkpoint = tmp_path / "parts/checkpoint-4"
    assert (checkpoint / "checksums.json").is_file()
    if not sealed:
        (checkpoint / "checksums.json").unlink()
    assert last_checkpoint(tmp_path / "parts") == checkpoint
    how(checkpoint / name)
    if not sealed and how is flip_a_bit:
        return  # before the list is written, only what the files say of themselves can be told
    with pytest.warns(RecollectWarning, match="checkpoint-4 is damaged"):
        assert last_checkpoint(tmp_path / "parts") is None


def test_a_training_whose_checkpoint_is_damaged_ends_in_the_same_bytes(base_folder, selection, stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "cut.partial")
    flip_a_bit(tmp_path / "cut.partial/parts/checkpoint-4/optimizer.pt")
    seen = []
    with pytest.warns(RecollectWarning, match="starts anew"):
        cut = run_train(
            settings(base_folder, save_every=4),
            selection,
            out=tmp_path / "cut",
            progress=lambda *now: seen.append(now[0]),
        )
    assert seen[0] == 1
    assert files(cut.path) == files(run_train(settings(base_folder), selection, out=tmp_path / "whole").path)
