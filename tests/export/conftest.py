"""A tiny base, a selection, and one training of each kind, made once."""

import pytest

from helpers_tiny import tiny_facts, tiny_levels, tiny_model
from recollect.select import SelectSettings, run_select
from recollect.train import TrainSettings, run_train


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def selection(tmp_path_factory):
    facts = tiny_facts(8)
    root = tmp_path_factory.mktemp("selections")
    return run_select(SelectSettings(size=40), facts, tiny_levels(facts), root=root).path


@pytest.fixture(scope="session")
def tuned(base_folder, selection, tmp_path_factory):
    """The step directories of a full training and of an adapter."""
    root = tmp_path_factory.mktemp("tuned")
    given = {"model": str(base_folder), "learning_rate": 2e-2, "batch_size": 8, "epochs": 3}
    return {
        method: run_train(TrainSettings.make(method=method, **given), selection, out=root / method).path
        for method in ("full", "lora")
    }
