"""Trackers: none unless asked for, one clear line where a package is missing, and transformers' own do the work."""

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from recollect.errors import InputError, MissingExtra
from recollect.train import TrainSettings, run_train, trackers


def settings(base, **values):
    return TrainSettings.make(model=str(base), learning_rate=5e-3, batch_size=8, max_steps=2, **values)


def test_a_name_that_is_no_tracker_is_refused():
    with pytest.raises(InputError, match="report_to must be none, or some of tensorboard, wandb, mlflow, trackio"):
        TrainSettings.make(report_to="all")


def test_a_missing_package_is_one_line_before_any_work(base_folder, selection, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="report_to wandb needs the package wandb.*pip install wandb"):
        run_train(settings(base_folder, report_to="wandb"), selection, out=tmp_path / "t")
    assert not list(tmp_path.iterdir())


def test_the_tracker_gets_every_loss_and_the_step_is_the_same(base_folder, selection, tmp_path, monkeypatch):
    seen, places = [], []

    class Recorder(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            places.append(trackers.os.environ["TENSORBOARD_LOGGING_DIR"])

        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append(logs)

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Recorder)
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    tracked = run_train(settings(base_folder, report_to="tensorboard"), selection, out=tmp_path / "t")
    assert sum("loss" in logs for logs in seen) == 2
    assert places == [str(tmp_path / "tensorboard" / "t")]
    assert "TENSORBOARD_LOGGING_DIR" not in trackers.os.environ
    again = run_train(settings(base_folder), selection, out=tmp_path / "t")  # a tracker decides nothing: the same step
    assert again.found == tracked.found and len(places) == 1
