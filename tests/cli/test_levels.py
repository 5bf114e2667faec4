"""`recollect levels` on two probes: its tables and its JSON."""

from __future__ import annotations

from pathlib import Path

from helpers_levels import write_probe
from helpers_world import Command


def test_tables_and_json(tmp_path: Path, recollect: Command) -> None:
    first = write_probe(tmp_path / "a", [0, 0, 0, 1, 2, 4] * 5)
    second = write_probe(tmp_path / "b", [0, 1, 0, 1, 4, 4] * 5, method="adaptive")
    shown = recollect("levels", first, second, "--out", tmp_path / "out")
    assert shown.code == 0, shown.err
    for text in ("a against b", "kappa, known or not", "b: expected shares", "by relation", "capital"):
        assert text in shown.out
    assert "…" not in shown.out
    twice = recollect("levels", first, tmp_path / "x" / ".." / "a")
    assert twice.code == 2 and "probes must be different ones, but" in twice.err and twice.err.count("\n") <= 2
    small = recollect("levels", write_probe(tmp_path / "c", [0, 1]), write_probe(tmp_path / "d", [1, 1])).out
    assert "too few facts for a difference in all 2 relations (at most 1 each)" in small
    answer = recollect("levels", first, second, "--names", "x, y", "--out", tmp_path / "named", "--json").json
    assert answer["n"] == 30 and [one["name"] for one in answer["models"]] == ["x", "y"]
    value, low, high = answer["pairs"][0]["levels_apart"]
    assert low <= value <= high and "model" in answer["pairs"][0]["verdict"]


def test_bad_input_is_one_line(tmp_path: Path, recollect: Command) -> None:
    first = write_probe(tmp_path / "a", [0, 1])
    found = recollect("levels", first)
    assert found.code == 2 and "two probes or more" in found.err
