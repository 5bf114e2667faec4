"""A tiny base and selections of it, made once."""

import pytest

from helpers_tiny import tiny_facts, tiny_levels, tiny_model
from recollect.select import SelectSettings, run_select


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def selection(tmp_path_factory):
    facts = tiny_facts(8)
    root = tmp_path_factory.mktemp("selections")
    return run_select(SelectSettings(size=40), facts, tiny_levels(facts), root=root).path


@pytest.fixture(scope="session")
def eight(tmp_path_factory):
    root = tmp_path_factory.mktemp("eight")
    return run_select(SelectSettings(size=8, level="random"), tiny_facts(8), root=root).path
