"""The table of `recollect evaluate`, with and without memory levels."""

from __future__ import annotations

import polars as pl
import pytest

from recollect.cli.evaluate import _score_table
from recollect.evaluate.accuracy import accuracies


def shown(levels: list[int | None], capsys: pytest.CaptureFixture[str]) -> str:
    rights = [at % 2 == 0 for at in range(len(levels))]
    outputs = pl.DataFrame(
        {"part": ["test"] * len(levels), "level": levels, "contains": rights, "word": rights},
        schema_overrides={"level": pl.Int64},
    )
    _score_table(accuracies(outputs, least=1), "contains")
    return capsys.readouterr().out


def test_levels_that_nobody_knows_take_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown([None] * 4, capsys)
    assert "micro" in text
    assert "50.0" in text
    assert "macro  " not in text
    assert "unknown" not in text
    assert "┃ memory level" not in text
    assert "no memory level is known for these facts" in text


def test_known_levels_have_their_rows_and_the_others_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown([2, 2, None, 4], capsys)
    assert "┃ memory level" in text
    assert "macro  " in text
    assert "unknown" in text
