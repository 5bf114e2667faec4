"""A tiny base, a selection, and one training of each kind, made once."""

import pytest

from recollect.train import TrainSettings, run_train


@pytest.fixture(scope="session")
def tuned(base_folder, selection, tmp_path_factory):
    """The step directories of a full training and of an adapter."""
    root = tmp_path_factory.mktemp("tuned")
    given = {"model": str(base_folder), "learning_rate": 2e-2, "batch_size": 8, "epochs": 3}
    return {
        method: run_train(TrainSettings.make(method=method, **given), selection, out=root / method).path
        for method in ("full", "lora")
    }
