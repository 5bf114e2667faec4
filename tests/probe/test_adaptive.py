"""The adaptive probe on an enumerable model: the sampled probe's own draws, fewer of them, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from enumerable import Small
from helpers_few_draws import TABLES, facts, run
from recollect.facts import FactSet
from recollect.generate import Ask, Drawn, Sampling, TransformersEngine
from recollect.generate.engine import Decided
from recollect.probe import ProbeFound, ProbeSettings, rescore_levels
from recollect.probe.stopping import largest_bias, stopping_rule


def probe(small: Small, frames: str, out: Path, given: FactSet | None = None, **values: object) -> Path:
    return run(small, frames, out, given, **{"method": "adaptive", **values})


def table(path: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(path / name)


def test_its_draws_are_the_first_ones_of_the_sampled_probe(small: Small, frames: str, tmp_path: Path) -> None:
    adaptive = table(probe(small, frames, tmp_path / "a"), "completions.parquet")
    sampled = table(probe(small, frames, tmp_path / "s", method="sampled"), "completions.parquet")
    both = adaptive.join(sampled, on=["fact_id", "template"], validate="1:1")
    assert len(both) == len(sampled)
    counts = set()
    for few, many in both.select("texts", "texts_right").iter_rows():
        counts.add(len(few))
        assert many[: len(few)] == few
    assert counts == {2, 5, 10}


def test_a_fact_stops_by_the_rule_and_its_score_is_the_share_of_its_draws(
    small: Small, frames: str, tmp_path: Path
) -> None:
    path = probe(small, frames, tmp_path / "a")
    rule, kept = stopping_rule(4, 10, 0.8), table(path, "completions.parquet")
    by_id = {fact.id: fact for fact in facts()}
    for row in table(path, "levels.parquet").iter_rows(named=True):
        texts = kept.filter(fact_id=row["fact_id"])["texts"].to_list()
        wanted = by_id[row["fact_id"]].object
        for ended, end in enumerate(rule.ends):
            hits = sum(wanted in text for said in texts for text in said[:end])
            if rule.stop(ended, hits):
                break
        assert row["draws"] == [end] * 4
        assert row["score"] == pytest.approx(hits / (4 * end))
    found = ProbeFound.read(path)
    assert found.draws == table(path, "levels.parquet")["draws"].list.sum().sum()
    assert found.largest_bias == round(largest_bias(rule)[0], 4)
    assert found.expected_repeat_agreement and not found.unstated


def test_settled_for_certain_is_the_sampled_probe(small: Small, frames: str, tmp_path: Path) -> None:
    columns = ["fact_id", "score", "level", "level_probability", "hits", "draws"]
    certain = table(probe(small, frames, tmp_path / "a", settled=1.0), "levels.parquet").select(columns)
    assert certain.equals(
        table(probe(small, frames, tmp_path / "s", method="sampled"), "levels.parquet").select(columns)
    )


def test_batches_order_and_company_change_nothing(small: Small, frames: str, tmp_path: Path) -> None:
    whole = table(probe(small, frames, tmp_path / "a", batch_size=1), "levels.parquet")
    shuffled = FactSet(tuple(np.random.default_rng(1).permutation(np.array(facts().facts, dtype=object)).tolist()))
    columns = ["fact_id", "score", "hits", "draws"]
    other = table(probe(small, frames, tmp_path / "b", shuffled, batch_size=100), "levels.parquet")
    assert whole.select(columns).sort("fact_id").equals(other.select(columns).sort("fact_id"))
    fewer = table(probe(small, frames, tmp_path / "c", facts("ab")), "levels.parquet").select(columns)
    assert fewer.equals(whole.filter(pl.col("object").is_in(["a", "b"])).select(columns))


class Cut(Exception):
    pass


def test_a_probe_cut_off_in_a_round_goes_on_to_the_same_bytes(
    small: Small, frames: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = probe(small, frames, tmp_path / "whole")
    plain, calls = TransformersEngine.sample, 0

    def cut(self: TransformersEngine, asks: list[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        nonlocal calls
        calls += 1
        if calls in (2, 6, 11) and asks[0].name.startswith("R"):
            raise Cut
        return plain(self, asks, how, decided)

    monkeypatch.setattr(TransformersEngine, "sample", cut)
    for _ in range(3):
        with pytest.raises(Cut):
            probe(small, frames, tmp_path / "cut")
    path = probe(small, frames, tmp_path / "cut")
    for name in TABLES:
        assert (path / name).read_bytes() == (whole / name).read_bytes()


def test_its_texts_can_be_judged_again(small: Small, frames: str, tmp_path: Path) -> None:
    path = probe(small, frames, tmp_path / "a")
    again, levels = rescore_levels(path, facts(), "contains"), table(path, "levels.parquet")
    assert again.drop("part").equals(levels.drop("part"))
    stricter = rescore_levels(path, facts(), "word")
    assert stricter["draws"].equals(levels["draws"]) and (stricter["score"] <= levels["score"]).all()


def test_a_probe_of_an_earlier_version_keeps_its_name() -> None:
    assert "settled" not in ProbeSettings.make(method="sampled").fingerprint_values()
    assert "settled" in ProbeSettings.make(settled=0.9).fingerprint_values()
