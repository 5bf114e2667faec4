"""Evaluate steps with verdicts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_compare import Maker, maker


@pytest.fixture
def evaluation(tmp_path: Path) -> Maker:
    return maker(tmp_path)
