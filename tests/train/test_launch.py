"""`--processes`: a training that starts its own processes gives what one process gives."""

import polars as pl
import psutil
import pytest
import torch
from safetensors.torch import load_file

from recollect import CurveSettings, StudySettings
from recollect.errors import InputError, ModelError, RecollectError
from recollect.train import PausedTraining, TrainSettings, run_train, run_train_until
from recollect.train.processes import check_room, processes_of
from recollect.train.shares import EvenBatches

TOLERANCE = 1e-6
"""The largest difference of a weight seen between one process and two was 1.2e-7 (float32, on a CPU), of a loss 4.8e-7
at 5.8; a weight moved by up to 1e-2."""


def settings(base, **given):
    given = {"method": "full", "learning_rate": 3e-3, "epochs": 1, "batch_size": 8, "lora_dropout": 0, **given}
    return TrainSettings.make(model=str(base), device="cpu", **given)


def no_launch(*_):
    raise AssertionError("a process was started")


def apart(one, other):
    """The largest difference of a weight, and of a loss."""
    [file] = {path.name for path in one.model_folder.glob("*.safetensors")}
    first, second = (load_file(result.model_folder / file) for result in (one, other))
    assert first.keys() == second.keys()
    losses = [pl.read_parquet(result.path / "log.parquet")["loss"] for result in (one, other)]
    assert len(losses[0]) == len(losses[1]) == one.found.steps
    return max(float((first[name] - second[name]).abs().max()) for name in first), (losses[0] - losses[1]).abs().max()


def test_every_row_is_in_one_batch_and_every_process_has_as_many():
    for rows in range(1, 30):
        batches = EvenBatches(range(rows), size=3, processes=4, blank=-1)
        found = list(batches)
        assert len(found) == len(batches) and len(found) % 4 == 0
        assert {len(batch) for batch in found} == {3}
        assert [row for batch in found for row in batch if row >= 0] == list(range(rows))
        assert len(found) - 4 < rows / 3 <= len(found)  # no update of blank rows alone


def test_a_batch_that_cannot_be_shared_out_is_refused(base_folder, eight, tmp_path, monkeypatch):
    monkeypatch.setattr("recollect.train.run.launch", no_launch)
    for given, pieces in (({"processes": 3}, 3), ({"processes": 16}, 16), ({"gradient_accumulation": 3}, 3)):
        with pytest.raises(InputError, match=f"multiple of gradient_accumulation x processes = {pieces}, but got"):
            run_train(settings(base_folder, **given), eight, root=tmp_path)


def test_a_launcher_that_started_others_is_not_overruled(base_folder, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert [processes_of(settings(base_folder, processes=count)) for count in (1, 2)] == [2, 2]
    with pytest.raises(InputError, match="processes is 4, but a launcher started 2 already"):
        processes_of(settings(base_folder, processes=4))


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="processes is 2, one for each GPU, but 1 is to be seen here"):
        check_room(2, "cuda")
    with pytest.raises(InputError, match=r"Take --processes 1, .*--gpus-per-training 2"):
        check_room(2, "mps")
    check_room(2, "cpu")


def test_a_worker_of_executor_processes_starts_none(monkeypatch):
    worker = type("Worker", (), {"daemon": True})
    monkeypatch.setattr("recollect.train.processes.current_process", worker)
    with pytest.raises(InputError, match="runs in a worker of --executor processes"):
        check_room(2, "cpu")


def test_a_study_refuses_them_in_such_workers_before_anything_runs():
    for settings_class in (StudySettings, CurveSettings):
        with pytest.raises(InputError, match="trainings of 2 processes do not go with executor processes"):
            settings_class.make(executor="processes", train={"processes": 2})
        assert settings_class.make(executor="ray", gpus_per_training=2, train={"processes": 2}).train.processes == 2


def test_zero_steps_and_finished_steps_start_no_process(base_folder, eight, tmp_path, monkeypatch):
    """Nothing is trained there; and what one process made is what several would have."""
    monkeypatch.setattr("recollect.train.run.launch", no_launch)
    zero = run_train(settings(base_folder, max_steps=0, processes=2), eight, out=tmp_path / "zero")
    stored, base = (load_file(folder / "model.safetensors") for folder in (zero.model_folder, base_folder))
    assert all(torch.equal(stored[name], base[name]) for name in base)
    one = run_train(settings(base_folder), eight, out=tmp_path / "one")
    assert run_train(settings(base_folder, processes=2), eight, out=tmp_path / "one") == one


@pytest.mark.slow
def test_two_processes_give_what_one_gives(base_folder, selection, tmp_path):
    """40 rows by 12: of the last update's 4 the first process has all; the mean is over tokens, not over processes."""
    one, two = (
        run_train(settings(base_folder, processes=n, batch_size=12), selection, out=tmp_path / str(n)) for n in (1, 2)
    )
    weights, losses = apart(one, two)
    assert two.found.steps == 4  # of 12, 12, 12 and 4 rows
    assert weights < TOLERANCE and losses < TOLERANCE
    moved = load_file(one.model_folder / "model.safetensors")["model.embed_tokens.weight"]
    assert (moved - load_file(base_folder / "model.safetensors")["model.embed_tokens.weight"]).abs().max() > 1e-3


@pytest.mark.slow
def test_a_judged_training_pauses_and_another_number_of_processes_finishes_it(base_folder, selection, tmp_path):
    given = {"method": "lora", "save_every": 1}
    whole = run_train(settings(base_folder, **given), selection, out=tmp_path / "whole")
    seen, judged = [], []

    def judge(losses):
        judged.append([update for update, _ in losses])
        return ""

    paused = run_train_until(
        settings(base_folder, processes=2, **given), selection, 0.4, out=tmp_path / "cut", judge=judge,
        progress=lambda *now: seen.append(now),
    )  # fmt: skip
    assert isinstance(paused, PausedTraining) and (paused.step, paused.steps) == (2, 5)
    assert seen == [(1, 5), (2, 5)] and judged == [[1], [1, 2]]
    with pytest.raises(ModelError, match="^too slow$"):
        run_train_until(
            settings(base_folder, processes=2, **given), selection, 0.8, out=tmp_path / "cut",
            judge=lambda losses: "too slow" if len(losses) == 3 else "",
        )  # fmt: skip
    weights, losses = apart(whole, run_train(settings(base_folder, **given), selection, out=tmp_path / "cut"))
    assert weights < TOLERANCE and losses < TOLERANCE


@pytest.mark.slow
def test_a_stop_and_a_death_end_all_processes_and_the_same_command_resumes(base_folder, selection, tmp_path):
    """Ctrl-C after two updates; then a worker is killed after two more."""
    how, out = settings(base_folder, processes=2, save_every=1), tmp_path / "cut"
    ours = psutil.Process()

    def workers():
        return [child for child in ours.children() if "resource_tracker" not in " ".join(child.cmdline())]

    def press(done, total):
        if done == 2:
            raise KeyboardInterrupt

    def kill(done, total):
        if done == 4:
            workers()[1].kill()

    with pytest.raises(KeyboardInterrupt):
        run_train(how, selection, out=out, progress=press)
    assert not workers()
    with pytest.raises(RecollectError, match=r"of the training's 2 died, killed by SIGKILL .*Run the same command"):
        run_train(how, selection, out=out, progress=kill)
    assert not workers()
    seen = []
    resumed = run_train(how, selection, out=out, progress=lambda done, total: seen.append(done))
    assert seen[0] >= 3 and seen[-1] == 5
    weights, losses = apart(run_train(settings(base_folder), selection, out=tmp_path / "whole"), resumed)
    assert weights < TOLERANCE and losses < TOLERANCE


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_said_as_one_process_says_it(base_folder, selection, tmp_path):
    said = []
    for processes in (1, 2):
        with pytest.raises(InputError) as error:
            run_train(settings(base_folder, max_length=8, processes=processes), selection, root=tmp_path)
        said.append(str(error.value))
    assert said[0] == said[1]
