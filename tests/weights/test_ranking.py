"""The exact ranking: equal to a full sort, nested, and blind to how it is cut into pieces."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.errors import InputError, ModelError
from recollect.weights import ORDERS, Ranking, rank, rank_tensors
from recollect.weights import ranking as module
from recollect.weights import read as stream
from recollect.weights.pair import TensorPair

PERCENTS = (0, 0.1, 1, 3, 5, 10, 20, 33.3, 40, 60, 99.9, 100)
TIED = [0.0, -0.0, 1e-45, -1e-45, 1e-40, 1e-9, 0.5, -0.5, 0.02, 0.020001, 1.0, 3.4e38, -3.4e38]
NUMBERS = st.one_of(st.sampled_from(TIED), st.floats(-1, 1, width=32))


@st.composite
def sides(draw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Up to five tensors, some empty, full of ties, zeros, denormals and unchanged weights."""
    base, tuned = {}, {}
    for name in draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True)):
        count = draw(st.integers(0, 40))
        before = draw(st.lists(NUMBERS, min_size=count, max_size=count))
        after = draw(st.lists(st.one_of(NUMBERS, st.none()), min_size=count, max_size=count))
        base[name] = torch.tensor(before, dtype=torch.float32)
        tuned[name] = torch.tensor(
            [b if a is None else a for b, a in zip(before, after, strict=True)], dtype=torch.float32
        )
    return base, tuned


def by_sorting(base: dict[str, Any], tuned: dict[str, Any], order: str, percent: float) -> dict[str, Any]:
    """The masks by a full stable sort of all scores, straight from the definition."""
    names = sorted(base)
    p = torch.cat([base[name] for name in names]).numpy()
    s = torch.cat([tuned[name] for name in names]).numpy()
    with np.errstate(over="ignore"):
        score = np.abs(s - p)
        if order != "absolute":
            score = score / (np.abs(p) + np.float32(1e-8))
    first = np.argsort(score if order == "bottom" else -score, kind="stable")
    mask = np.zeros(len(p), bool)
    mask[first[: int(Fraction(str(percent)) * len(p) / 100)]] = True
    ends = np.cumsum([len(base[name]) for name in names])[:-1]
    return dict(zip(names, np.split(mask, ends), strict=True))


def masks(ranking: Ranking, percent: float, base: dict[str, Any], tuned: dict[str, Any]) -> dict[str, Any]:
    """The ranking's own masks of whole tensors."""
    return {name: ranking.cut(percent).mask(name, base[name], tuned[name]) for name in base}


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Equal masks by name."""
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 8 and blocks of 3 elements, so that ties and thresholds fall across their edges."""
    monkeypatch.setattr(stream, "CHUNK", 8)
    monkeypatch.setattr(stream, "BLOCK", 3)


@settings(max_examples=120, deadline=None)
@given(pair=sides(), order=st.sampled_from(["relative", "absolute", "bottom"]), pieces=st.sampled_from([7, 1 << 22]))
def test_radix_selection_is_a_full_stable_sort(pair: Any, order: str, pieces: int) -> None:
    base, tuned = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "CHUNK", pieces)
        patch.setattr(stream, "BLOCK", max(1, pieces // 2))
        ranking = rank_tensors(base, tuned, order, "all", PERCENTS)
        for percent in PERCENTS:
            wanted = by_sorting(base, tuned, order, percent)
            assert same(masks(ranking, percent, base, tuned), wanted)
            assert ranking.cut(percent).restored == sum(int(mask.sum()) for mask in wanted.values())
    assert ranking.of == sum(value.numel() for value in base.values())
    assert ranking.changed == sum(int((base[name] != tuned[name]).sum()) for name in base)


@settings(max_examples=40, deadline=None)
@given(pair=sides(), order=st.sampled_from(ORDERS), per_tensor=st.booleans(), seed=st.integers(0, 3))
def test_masks_nest_and_have_the_exact_size(pair: Any, order: str, per_tensor: bool, seed: int) -> None:
    base, tuned = pair
    ranking = rank_tensors(base, tuned, order, "all", PERCENTS, per_tensor, seed)
    smaller = masks(ranking, 0, base, tuned)
    for percent in PERCENTS:
        mine = masks(ranking, percent, base, tuned)
        assert all((smaller[name] <= mine[name]).all() for name in base)
        assert sum(int(mask.sum()) for mask in mine.values()) == ranking.cut(percent).restored
        if per_tensor:
            for mask in mine.values():
                assert int(mask.sum()) == int(Fraction(str(percent)) * len(mask) / 100)
        smaller = mine
    assert all(mask.all() for mask in smaller.values())


@settings(max_examples=30, deadline=None)
@given(pair=sides(), order=st.sampled_from(ORDERS))
def test_per_tensor_is_each_tensor_ranked_alone(pair: Any, order: str) -> None:
    base, tuned = pair
    together = rank_tensors(base, tuned, order, "all", [20, 60], per_tensor=True, seed=5)
    for name in base:
        alone = rank_tensors({name: base[name]}, {name: tuned[name]}, order, "all", [20, 60], seed=5)
        for percent in (20, 60):
            wanted = alone.cut(percent).mask(name, base[name], tuned[name])
            assert np.array_equal(together.cut(percent).mask(name, base[name], tuned[name]), wanted)


@settings(max_examples=40, deadline=None)
@given(pair=sides(), order=st.sampled_from(ORDERS))
def test_a_ladder_climbed_in_place_ends_at_each_rung_as_if_begun_there(pair: Any, order: str) -> None:
    base, tuned = pair
    ranking = rank_tensors(base, tuned, order, "all", PERCENTS)
    live = {name: value.clone() for name, value in tuned.items()}
    for percent in PERCENTS:
        for name in base:
            mask = torch.from_numpy(ranking.cut(percent).mask(name, base[name], live[name]))
            live[name][mask] = base[name][mask]
            fresh = torch.from_numpy(ranking.cut(percent).mask(name, base[name], tuned[name]))
            assert torch.equal(live[name], torch.where(fresh, base[name], tuned[name]))


@pytest.mark.parametrize("order", ORDERS)
def test_any_piece_can_be_asked_for_at_any_time(order: str) -> None:
    rng = np.random.default_rng(0)
    base = {name: torch.from_numpy(rng.integers(1, 4, 100).astype(np.float32)) for name in "ab"}
    tuned = {name: value + torch.from_numpy(rng.integers(0, 3, 100).astype(np.float32)) for name, value in base.items()}
    cut = rank_tensors(base, tuned, order, "all", [37]).cut(37)
    for name in "ba":
        whole = cut.mask(name, base[name], tuned[name])
        for start in (93, 0, 41):
            part = cut.mask(name, base[name][start : start + 7], tuned[name][start : start + 7], start)
            assert np.array_equal(part, whole[start : start + 7])


def test_it_chooses_what_torch_topk_chooses() -> None:
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(300, 41, generator=generator) * 0.02 for name in "abc"}
    tuned = {name: value + torch.randn(300, 41, generator=generator) * 3e-5 for name, value in base.items()}
    p, s = (torch.cat([side[name].flatten() for name in "abc"]) for side in (base, tuned))
    chosen = torch.topk((s - p).abs() / (p.abs() + 1e-8), len(p) * 20 // 100).indices
    wanted = torch.zeros(len(p), dtype=torch.bool)
    wanted[chosen] = True
    cut = rank_tensors(base, tuned, region="all", percents=[20]).cut(20)
    assert np.array_equal(np.concatenate([cut.mask(name, base[name], tuned[name]) for name in "abc"]), wanted.numpy())


def test_random_order_depends_on_seed_name_and_place_alone() -> None:
    base = {name: torch.zeros(2000) for name in ("x", "y")}
    tuned = {name: torch.ones(2000) for name in base}
    found = {
        seed: masks(rank_tensors(base, tuned, "random", "all", [25], seed=seed), 25, base, tuned) for seed in (0, 1)
    }
    again = masks(rank_tensors(tuned, base, "random", "all", [25]), 25, base, tuned)
    assert same(found[0], again)
    assert not same(found[0], found[1])
    assert not np.array_equal(found[0]["x"], found[0]["y"])
    assert 400 < found[0]["x"].sum() < 600  # 500 expected, standard deviation below 20


def test_threads_do_not_show(monkeypatch: pytest.MonkeyPatch, small_pieces: None) -> None:
    rng = np.random.default_rng(1)
    base = {name: torch.from_numpy(rng.integers(1, 3, 50).astype(np.float32)) for name in "abcdef"}
    tuned = {name: value + torch.from_numpy(rng.integers(0, 2, 50).astype(np.float32)) for name, value in base.items()}
    found = []
    for threads in (1, 5):
        monkeypatch.setattr(module, "threads_to_use", lambda threads=threads: threads)
        for per_tensor in (False, True):
            found.append(rank_tensors(base, tuned, "relative", "all", PERCENTS, per_tensor))
    assert found[0] == found[2]
    assert found[1] == found[3]


def test_progress_counts_both_passes(small_pieces: None) -> None:
    told: list[tuple[int, int]] = []
    pair = TensorPair({"a": torch.zeros(20), "b": torch.zeros(5)}, {"a": torch.ones(20), "b": torch.zeros(5)})
    rank(pair, region="all", progress=lambda *at: told.append(at))
    assert told[-1] == (50, 50)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_0_1_percent_of_1000_is_one_weight() -> None:
    assert module.how_many(0.1, 1000) == 1
    assert module.how_many(0.3, 1000) == 3  # 0.3 / 100 * 1000 is 2.9999… in floats
    assert module.how_many(99.9, 10) == 9


@pytest.mark.parametrize("side", ["base", "tuned", "both"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("order", ORDERS)
def test_nan_and_infinity_are_refused_by_name(order: str, value: float, side: str) -> None:
    base, tuned = ({"good": torch.ones(4), "broken": torch.ones(9)} for _ in range(2))
    for name, tensors in (("base", base), ("tuned", tuned)):
        if side in (name, "both"):
            tensors["broken"][7] = value
    with pytest.raises(ModelError, match="weight broken holds NaN or infinite"):
        rank_tensors(base, tuned, order, "all")


def test_a_finite_change_too_large_for_float32_ranks_first() -> None:
    base, tuned = {"a": torch.tensor([1.0, -3.4e38, 1.0])}, {"a": torch.tensor([2.0, 3.4e38, 1.0])}
    cut = rank_tensors(base, tuned, "absolute", "all", [40]).cut(40)
    assert cut.mask("a", base["a"], tuned["a"]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"order": "top"}, "order must be relative, absolute, bottom, random, but got order='top'"),
        ({"percents": [101]}, "percent must be from 0 to 100, but got 101"),
        ({"percents": [-1, 5]}, "percent must be from 0 to 100, but got -1, 5"),
        ({"percents": [float("nan")]}, "percent must be from 0 to 100, but got nan"),
        ({"percents": []}, "percent must be from 0 to 100, but got none"),
        ({"region": "decoder"}, "'decoder' holds no tensor of this model"),
    ],
)
def test_what_cannot_be_ranked_is_said(arguments: dict[str, Any], said: str) -> None:
    tensors = {"a": torch.ones(3)}
    with pytest.raises(InputError) as refusal:
        rank_tensors(tensors, tensors, **({"region": "all"} | arguments))
    assert said in str(refusal.value)


def test_a_cut_not_ranked_for_is_refused() -> None:
    ranking = rank_tensors({"a": torch.ones(3)}, {"a": torch.ones(3)}, region="all", percents=[20, 5])
    assert ranking.percents == (5.0, 20.0)
    with pytest.raises(InputError, match=r"one of those ranked \(5.0, 20.0\), but got 10"):
        ranking.cut(10)


def test_sides_with_other_tensors_are_refused() -> None:
    with pytest.raises(InputError, match="1 differ: b"):
        rank_tensors({"a": torch.ones(3)}, {"a": torch.ones(3), "b": torch.ones(1)})
    with pytest.raises(InputError, match="1 differ: a"):
        rank_tensors({"a": torch.ones(3)}, {"a": torch.ones(4)})
