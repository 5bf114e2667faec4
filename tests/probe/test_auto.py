"""Method auto: what it compares, what it takes, and that nothing but the facts and the model decides it."""

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
from recollect.probe import ProbeFound, ProbeSettings
from recollect.probe.choose import Pilot, choose
from recollect.probe.settings import Choice
from recollect.probe.work import first_facts


def probe(small: Small, frames: str, out: Path, given: FactSet | None = None, **values: object) -> Path:
    return run(small, frames, out, given, **{"pilot": 9, **values})


def world(late: float, seed: int = 0, facts: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """(probability at once, rate in the rest) [facts, 21]."""
    random = np.random.default_rng(seed)
    known = random.beta(0.5, 0.8, size=(facts, 1))
    right = random.beta(known * 8 + 1e-9, (1 - known) * 8 + 1e-9, (facts, 21))
    at_once = (1 - late) * right
    return at_once, np.clip((right - at_once) / np.maximum(1 - at_once, 1e-12), 0, 1)


def choice(late: float, count: int, excluding: bool = True, **values: object) -> Choice:
    """What is chosen from 10 plain draws a template of 24 facts, for so many facts in all."""
    at_once, rest = world(late)
    random = np.random.default_rng(1)
    starts = random.binomial(10, at_once)
    hits = random.binomial(10 - starts, rest)
    draws = np.full(at_once.shape, 10.0)
    pilot = Pilot(at_once, hits.astype(float), draws - starts, draws, 250.0, 60.0, 20.0, 25.0, 0.9)
    return choose(pilot, ProbeSettings.make(**values), count, excluding)


def test_where_answers_come_at_once_the_closed_form_takes_part_and_where_late_plain_draws_are_taken() -> None:
    assert choice(0.0, 1000).way == "closed-form"
    assert choice(0.0, 1000).share_at_once == pytest.approx(1.0, abs=0.02)
    assert choice(0.05, 1000).way == "hybrid"
    assert choice(0.05, 1000, excluding=False).way == "adaptive"
    late = choice(0.9, 1000)
    assert late.way == "adaptive" and late.share_at_once == pytest.approx(0.1, abs=0.02)
    # few facts cannot show how late answers lie beside those at once, so hybrid could not say how sure it is
    assert choice(0.4, 60).way in ("adaptive", "sampled")


def test_what_is_asked_for_is_reached_and_nothing_cheaper_would() -> None:
    for late in (0.0, 0.05, 0.3, 0.9):
        for loss in (0.0, 0.02, 0.1):
            found = choice(late, 1000, agreement_loss=loss)
            assert found.taken is not None and found.taken.most_loss is not None and found.taken.loss is not None
            assert found.way == "sampled" or found.taken.loss <= found.taken.most_loss <= loss
            costs = [one.tokens for one in found.candidates]
            assert costs == sorted(costs)
    assert choice(0.9, 1000, agreement_loss=0.3).taken.tokens < choice(0.9, 1000, agreement_loss=0.0).taken.tokens  # type: ignore[union-attr]


def test_expected_agreement_and_error_are_those_of_simulated_probes() -> None:
    """With the true rates instead of the pilot's: what `choose` expects of each way, over many pilots."""
    at_once, rest = world(0.3, facts=60)
    rates, random = at_once + (1 - at_once) * rest, np.random.default_rng(2)
    true = rates.mean(axis=1)
    expected: dict[str, list[tuple[float, float]]] = {}
    for _ in range(12):
        starts = random.binomial(10, at_once)
        hits = random.binomial(10 - starts, rest)
        draws = np.full(rates.shape, 10.0)
        pilot = Pilot(at_once, hits.astype(float), draws - starts, draws, 250.0, 60.0, 20.0, 25.0, 0.9)
        for one in choose(pilot, ProbeSettings.make(), 1000, True).candidates:
            expected.setdefault(one.words, []).append((one.agreement, one.error))
    scores = {
        "sampled": [random.binomial(10, rates).mean(axis=1) / 10 for _ in range(300)],
        "closed-form": [at_once.mean(axis=1)],
        "hybrid with 2 residual draws": [
            (at_once + (1 - at_once) * random.binomial(2, rest) / 2).mean(axis=1) for _ in range(300)
        ],
    }
    for name, found in scores.items():
        error = np.sqrt(np.mean([(score - true) ** 2 for score in found]))
        assert np.mean([pair[1] for pair in expected[name]]) == pytest.approx(error, rel=0.25), name


def test_the_first_facts_are_chosen_by_their_ids_and_keep_their_draws(
    small: Small, frames: str, tmp_path: Path
) -> None:
    path = probe(small, frames, tmp_path / "p")
    found, levels = ProbeFound.read(path), pl.read_parquet(path / "levels.parquet")
    assert found.choice is not None and found.choice.pilot == 9 and found.method == found.choice.way
    settings = ProbeSettings.make(pilot=9)
    first = first_facts(facts(), settings)
    assert first_facts(FactSet(facts().facts[::-1]), settings) == first and len(first) == 9
    adaptive = pl.read_parquet(probe(small, frames, tmp_path / "a", method="adaptive") / "levels.parquet")
    mine, plain = (one.filter(pl.col("fact_id").is_in(first)) for one in (levels, adaptive))
    assert mine["hits"].equals(plain["hits"]) and mine["draws"].equals(plain["draws"])


def test_first_facts_are_doubled_while_they_leave_the_choice_open(
    small: Small, frames: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most to two thirds of the facts; those drawn from before stay among them, with their draws."""
    pilots: list[int] = []

    def open_still(pilot: Pilot, *given: object) -> Choice:
        pilots.append(len(pilot.p0))
        return choose(pilot, *given).model_copy(update={"clear": False})  # type: ignore[arg-type]

    monkeypatch.setattr("recollect.probe.work.choose", open_still)
    path = probe(small, frames, tmp_path / "p", pilot=8)
    assert pilots == [8, 16] and len(facts()) == 36
    found, settings = ProbeFound.read(path), ProbeSettings.make(pilot=8)
    assert found.choice is not None and found.choice.pilot == 16
    first = first_facts(facts(), settings, 16)
    assert first_facts(facts(), settings) < first and len(first) == 16
    adaptive = pl.read_parquet(probe(small, frames, tmp_path / "a", method="adaptive") / "levels.parquet")
    levels = pl.read_parquet(path / "levels.parquet")
    mine, plain = (one.filter(pl.col("fact_id").is_in(first)) for one in (levels, adaptive))
    assert mine["hits"].equals(plain["hits"]) and mine["draws"].equals(plain["draws"])


def test_batches_and_order_change_neither_choice_nor_scores(small: Small, frames: str, tmp_path: Path) -> None:
    whole = probe(small, frames, tmp_path / "a", batch_size=1)
    shuffled = FactSet(tuple(np.random.default_rng(1).permutation(np.array(facts().facts, dtype=object)).tolist()))
    other = probe(small, frames, tmp_path / "b", shuffled, batch_size=100)
    one, two = ProbeFound.read(whole), ProbeFound.read(other)
    assert one.choice is not None and two.choice is not None and one.choice.way == two.choice.way
    columns = ["fact_id", "score", "hits", "draws"]
    tables = [pl.read_parquet(path / "levels.parquet").select(columns).sort("fact_id") for path in (whole, other)]
    assert tables[0].drop("score").equals(tables[1].drop("score"))
    assert tables[0]["score"].to_list() == pytest.approx(tables[1]["score"].to_list(), abs=1e-6)


class Cut(Exception):
    pass


@pytest.mark.parametrize("pilot", [8, 9])
@pytest.mark.parametrize("at", [1, 3, 6, 9])
def test_a_probe_cut_off_goes_on_with_its_choice_to_the_same_bytes(
    small: Small, frames: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, pilot: int
) -> None:
    whole = probe(small, frames, tmp_path / "whole", pilot=pilot)
    plain, calls = TransformersEngine.sample, 0

    def cut(self: TransformersEngine, asks: list[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Cut
        return plain(self, asks, how, decided)

    with monkeypatch.context() as patched:
        patched.setattr(TransformersEngine, "sample", cut)
        with pytest.raises(Cut):
            probe(small, frames, tmp_path / "cut", pilot=pilot)
    path = probe(small, frames, tmp_path / "cut", pilot=pilot)
    for name in TABLES:
        assert (path / name).read_bytes() == (whole / name).read_bytes()
    assert ProbeFound.read(path).choice == ProbeFound.read(whole).choice


def test_a_choice_that_was_made_is_not_made_again(
    small: Small, frames: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Choice(taken=None, way="sampled", why="as told", pilot=9)
    plain = TransformersEngine.sample

    def cut(self: TransformersEngine, asks: list[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        if asks[0].draws == 10:
            raise Cut
        return plain(self, asks, how, decided)

    with monkeypatch.context() as patched:
        patched.setattr(TransformersEngine, "sample", cut)
        patched.setattr("recollect.probe.work.choose", lambda *_: chosen)
        with pytest.raises(Cut):
            probe(small, frames, tmp_path / "p")
    found = ProbeFound.read(probe(small, frames, tmp_path / "p"))
    assert found.method == "sampled" and found.choice == chosen


@pytest.mark.parametrize(
    ("values", "why"), [({"top_k": 3}, "top_k leaves only plain draws"), ({"pilot": 36}, "36 facts are no more than")]
)
def test_where_there_is_nothing_to_compare_draws_are_adaptive(
    small: Small, frames: str, tmp_path: Path, values: dict[str, object], why: str
) -> None:
    path = probe(small, frames, tmp_path / "p", **values)
    found = ProbeFound.read(path)
    assert found.method == "adaptive" and found.choice is not None and found.choice.why.startswith(why)
    same = pl.read_parquet(probe(small, frames, tmp_path / "a", method="adaptive", **values) / "levels.parquet")
    assert pl.read_parquet(path / "levels.parquet").equals(same)
