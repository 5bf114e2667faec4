"""A model of few tokens, all of whose texts can be counted, and templates in its words."""

from __future__ import annotations

import pytest

from enumerable import Small, load_small
from helpers_few_draws import TEMPLATES


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The model."""
    return load_small(tmp_path_factory.mktemp("small"), seed=3)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the templates."""
    path = tmp_path_factory.mktemp("templates") / "mine.yaml"
    path.write_text("R:\n" + "".join(f'  - "{text}"\n' for text in TEMPLATES), encoding="utf-8")
    return str(path)
