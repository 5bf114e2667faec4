"""Sampler, closed form and conditional sampler against brute force on a vocabulary small enough to enumerate."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from enumerable import Small, load_small
from recollect.errors import SelfTestError
from recollect.generate import Sampling, distribution
from recollect.generate.engine import Decided
from recollect.generate.random import draw_keys, uniforms
from recollect.generate.sampler import SETTLE_EVERY, Trie, arrange, prefix_free, sample
from recollect.generate.selftest import self_test
from recollect.generate.state import continuation_logprobs, greedy, prefill

T = 0.7


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return load_small(tmp_path_factory.mktemp("small"))


def ids(small: Small, text: str) -> list[int]:
    return list(small.loaded.tokenizer(text)["input_ids"])


def words(small: Small, text: str) -> tuple[int, ...]:
    return tuple(small.loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


def exact_start(small: Small, prompt: list[int], sequences: list[tuple[int, ...]], longest: int = 3) -> float:
    return sum(p for said, p in small.completions(prompt, T, longest) if any(said[: len(s)] == s for s in sequences))


def test_uniforms_are_uniform_and_unrelated_between_steps_and_draws() -> None:
    keys = draw_keys(3, ["fact"] * 20000, [1] * 20000, list(range(20000)))
    first, second = uniforms(keys, 0), uniforms(keys, 1)
    assert kstest(first, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.03
    assert first.min() >= 0 and first.max() < 1
    assert len(np.unique(keys)) == 20000


def test_addresses_decide_the_numbers() -> None:
    one = draw_keys(3, ["x", "y"], [0, 1], [5, 6])
    assert (one == draw_keys(3, ["x", "y"], [0, 1], [5, 6])).all()
    assert not (one == draw_keys(4, ["x", "y"], [0, 1], [5, 6])).any()
    assert draw_keys(3, ["y"], [1], [6])[0] == one[1]
    assert draw_keys(3, ["y"], [6], [1])[0] != one[1]


def test_teacher_forcing_equals_a_plain_forward_pass(small: Small) -> None:
    prompts = [ids(small, "c"), ids(small, "a d b c")]
    answers = [words(small, "a b"), words(small, "d"), words(small, "b b c")]
    rows = [0, 1, 1]
    state = prefill(small.loaded.model, prompts, 2)
    found = continuation_logprobs(state, rows, answers, T)
    for row, answer, values in zip(rows, answers, found, strict=True):
        text = list(prompts[row])
        for token, value in zip(answer, values, strict=True):
            assert value == pytest.approx(float(small.next_distribution(text, T)[token].log()), abs=1e-5)
            text.append(token)


def test_closed_form_is_the_exact_probability_of_starting_with_an_accepted_form(small: Small) -> None:
    prompt = ids(small, "c d")
    forms = [words(small, text) for text in ("a b", "a c", "a b c", "d", "a b")]
    kept = prefix_free(forms)
    assert kept == [words(small, "d"), words(small, "a b"), words(small, "a c")]
    state = prefill(small.loaded.model, [prompt], 2)
    trie = Trie(kept, continuation_logprobs(state, [0] * len(kept), kept, T))
    assert trie.probability == pytest.approx(exact_start(small, prompt, forms), abs=1e-6)


def p_value_of_counts(drawn: list[list[int]], wanted: dict[tuple[int, ...], float]) -> float:
    counts = dict.fromkeys(wanted, 0)
    for said in drawn:
        counts[tuple(said)] += 1
    expected = np.array(list(wanted.values())) * len(drawn)
    observed = np.array(list(counts.values()), dtype=float)
    large = expected >= 5
    observed = np.append(observed[large], observed[~large].sum())
    expected = np.append(expected[large], expected[~large].sum())
    return float(chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


@pytest.mark.parametrize("text", ["c", "b a d"])
def test_drawn_completions_follow_the_enumerated_distribution(small: Small, text: str) -> None:
    prompt = ids(small, text)
    draws = 6000
    keys = draw_keys(1, [text] * draws, list(range(draws)))
    state = prefill(small.loaded.model, [ids(small, "a"), prompt], 2)
    drawn = sample(state, [1] * draws, keys, Sampling(T, 3), {1})
    wanted = dict(small.completions(prompt, T, 3))
    assert sum(wanted.values()) == pytest.approx(1)
    assert p_value_of_counts(drawn, wanted) > 1e-4


def test_excluding_draws_from_the_exact_conditional_distribution(small: Small) -> None:
    prompt = ids(small, "c")
    forms = prefix_free([words(small, text) for text in ("a b", "a c d", "d")])
    state = prefill(small.loaded.model, [prompt], 2)
    trie = Trie(forms, continuation_logprobs(state, [0] * len(forms), forms, T))
    draws = 6000
    keys = draw_keys(2, ["x"] * draws, list(range(draws)))
    drawn = sample(state, [0] * draws, keys, Sampling(T, 3), {1}, exclude=[trie])
    wanted = {
        said: p / (1 - trie.probability)
        for said, p in small.completions(prompt, T, 3)
        if not any(said[: len(form)] == form for form in forms)
    }
    assert sum(wanted.values()) == pytest.approx(1, abs=1e-5)
    assert p_value_of_counts(drawn, wanted) > 1e-4  # an excluded completion would be a KeyError


def test_a_draw_is_the_same_alone_and_in_any_company(small: Small) -> None:
    texts = ["c", "a d b c", "b", "d d"]
    prompts = [ids(small, text) for text in texts]

    def run(order: list[int], draws: int) -> dict[tuple[int, int], list[int]]:
        state = prefill(small.loaded.model, [prompts[at] for at in order], 2)
        rows = [row for row in range(len(order)) for _ in range(draws)]
        keys = draw_keys(7, [texts[order[row]] for row in rows], [n for _ in order for n in range(draws)])
        drawn = sample(state, rows, keys, Sampling(T, 8), {1})
        return {(order[row], number % draws): said for number, (row, said) in enumerate(zip(rows, drawn, strict=True))}

    together = run([0, 1, 2, 3], 20)
    for order in ([3, 1, 0, 2], [2], [1, 3]):
        apart = run(order, 20)
        assert all(together[key] == said for key, said in apart.items())
    assert len({tuple(said) for said in together.values()}) > 20


def test_sharing_rows_draws_what_separate_rows_would(small: Small) -> None:
    prompt = ids(small, "b a")
    draws = 50
    keys = draw_keys(5, ["x"] * draws, list(range(draws)))
    shared = sample(
        prefill(small.loaded.model, [prompt], 2),
        [0] * draws,
        keys,
        Sampling(T, 6),
        {1},
    )
    for draw in range(draws):  # the plain reference: one full forward pass per token
        said: list[int] = []
        for step in range(6):
            wanted = small.next_distribution([*prompt, *said], T).cumsum(0)
            token = int(torch.searchsorted(wanted, uniforms(keys[draw : draw + 1], step)[0] * wanted[-1], right=True))
            if token == 1:
                break
            said.append(token)
        assert shared[draw] == said


def test_settled_draws_end_early_and_the_others_do_not_change(small: Small) -> None:
    prompt, draws = ids(small, "c"), 200
    keys = draw_keys(9, ["x"] * draws, list(range(draws)))

    def run(settled: Decided | None) -> list[list[int]]:
        state = prefill(small.loaded.model, [prompt], 2)
        return sample(state, [0] * draws, keys, Sampling(T, 12), {1}, settled=settled)

    full = run(None)
    wanted = words(small, "a")[0]
    short = run(lambda row, said: wanted in said)
    assert any(len(one) < len(two) for one, two in zip(short, full, strict=True))
    for one, two in zip(short, full, strict=True):
        assert two[: len(one)] == one
        assert one == two or (wanted in one and len(one) % SETTLE_EVERY == 0)


def test_top_k_keeps_the_k_most_likely_tokens(small: Small) -> None:
    prompt = ids(small, "c")
    allowed = set(small.next_distribution(prompt, 1.0).topk(2).indices.tolist())
    state = prefill(small.loaded.model, [prompt], 2)
    keys = draw_keys(0, ["x"] * 300, list(range(300)))
    drawn = sample(state, [0] * 300, keys, Sampling(2.0, 1, 2), ())
    assert {said[0] for said in drawn} == allowed


def test_greedy_equals_transformers_generate(small: Small) -> None:
    prompts = [ids(small, text) for text in ("c", "a d b c", "b", "d d a")]
    found = greedy(small.loaded.model, prompts, 10, {1}, 2)
    for prompt, said in zip(prompts, found, strict=True):
        whole = small.loaded.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            do_sample=False,
            max_new_tokens=10,
        )[0].tolist()[len(prompt) :]
        expected = whole[: whole.index(1)] if 1 in whole else whole
        assert said == expected


def test_self_test_accepts_the_sampler(small: Small) -> None:
    found = self_test(small.loaded.model, small.loaded.tokenizer, temperature=T)
    assert found.p_value > 1e-6
    assert found.cache_difference < 1e-4
    self_test(small.loaded.model, small.loaded.tokenizer, temperature=T, top_k=3)


@pytest.mark.parametrize("fault", ["top-k", "temperature"])
def test_self_test_refuses_a_sampler_that_strays(small: Small, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = distribution.weights

    def wrong(logits: torch.Tensor, temperature: float, top_k: int = 0) -> torch.Tensor:
        return right(logits, temperature, 2) if fault == "top-k" else right(logits, 1.0, top_k)

    monkeypatch.setattr(distribution, "weights", wrong)
    with pytest.raises(SelfTestError, match="do not follow"):
        self_test(small.loaded.model, small.loaded.tokenizer, temperature=T)


def test_self_test_gives_the_p_value_of_the_chi_square_test() -> None:
    """Of one prompt with a few likely tokens it is scipy's own; no token is so rare that it shares a bin."""
    from scipy.special import softmax
    from scipy.stats import chisquare

    from recollect.generate.selftest import _DRAWS, first_token_p_value

    logits = np.array([1.0, 0.5, 0.0, -0.5, -1.0])
    drawn = np.random.default_rng(3).choice(5, size=_DRAWS, p=softmax(logits / T))
    wanted = chisquare(np.bincount(drawn, minlength=5), softmax(logits / T) * _DRAWS).pvalue
    assert first_token_p_value([drawn], [logits], T, 0) == pytest.approx(wanted, rel=1e-9)


def test_self_test_bins_are_filled_for_flat_and_peaked_distributions() -> None:
    """With 2,048 nearly equal tokens every one is rare; bins must not swallow the difference."""
    from recollect.generate.selftest import _bins

    want = np.full(2048, 700 / 2048)
    group = _bins(want)
    assert np.bincount(group, weights=want).min() >= 5
    assert len(np.unique(group)) > 100
    assert _bins(np.array([0.5, 0.2])).tolist() == [0, 0]
    peaked = _bins(np.array([690.0, 6.0, 3.0, 1.0]))
    assert peaked.tolist() == [0, 1, 1, 1]


def test_children_stay_where_their_parents_are_and_fill_what_is_free() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        rows = int(random.integers(1, 12))
        parents = np.sort(random.integers(0, rows, random.integers(1, 15)))
        place = arrange(parents)
        assert sorted(place.tolist()) == list(range(len(parents)))
        for parent in np.unique(parents):
            assert parent >= len(parents) or parent in place[parents == parent]


@pytest.mark.parametrize("unseen", [2, 3, 8, 50])
@pytest.mark.parametrize("excluding", [False, True])
def test_tokens_drawn_before_anybody_looks_are_the_same(small: Small, unseen: int, excluding: bool) -> None:
    prompts = [ids(small, text) for text in ("c", "a d b c", "b")]
    forms = prefix_free([words(small, text) for text in ("a b", "a c d", "d")])
    rows = [row for row in range(3) for _ in range(60)]
    keys = draw_keys(4, ["x"] * len(rows), rows, list(range(len(rows))))

    def run(unseen: int) -> list[list[int]]:
        state = prefill(small.loaded.model, prompts, 2)
        scores = continuation_logprobs(state, [0] * len(forms), forms, T)
        tries = [Trie(forms, scores), Trie([], []), Trie(forms[:1], scores[:1])] if excluding else None
        return sample(state, rows, keys, Sampling(T, 11), {1}, exclude=tries, unseen=unseen)

    seen = run(1)
    assert len({len(said) for said in seen}) > 5
    assert run(unseen) == seen
