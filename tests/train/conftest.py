"""A tiny base and selections of it, made once."""

import pytest

from helpers_tiny import tiny_facts
from recollect.select import SelectSettings, run_select


@pytest.fixture(scope="session")
def eight(tmp_path_factory):
    root = tmp_path_factory.mktemp("eight")
    return run_select(SelectSettings(size=8, level="random"), tiny_facts(8), root=root).path
