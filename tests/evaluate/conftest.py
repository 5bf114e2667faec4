"""Two tiny bases and facts, made once."""

import pytest

from helpers_tiny import tiny_facts, tiny_levels


@pytest.fixture(scope="session")
def facts():
    return tiny_facts(8, test=5, ood=7)


@pytest.fixture(scope="session")
def levels(facts):
    return tiny_levels(facts)
