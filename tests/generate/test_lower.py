"""What several adapters read alike passes the layers below the first adapted one once, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from helpers_adapters import tiny_base
from recollect.generate.engine import Ask, Sampling
from recollect.generate.lower import lower_layers
from recollect.generate.together import Greedy, Sampled, Scored, Together
from recollect.models import LoadedModel, ModelSettings, load
from recollect.models.stacked import NotByRows, Product, Stacked, put_together

PROMPTS = [[1, 30, 31, 32, 5, 6, 7], [1, 30, 31, 32, 5, 6, 8, 9], [1, 30, 31, 32, 50], [1, 30, 31, 60]]
OTHERS = [PROMPTS[0], [1, 70, 71]]
CONTINUATIONS = [[[4, 5, 6], [4, 5, 7], [9]], [[8]], [[3, 3]], [[10, 11, 12]]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_base(tmp_path_factory.mktemp("lower") / "base", "llama")
    return load(ModelSettings.make(model=str(folder), device="cpu", dtype="float32"))


def adapter(model: Any, rank: int, layer: int = 1, names: tuple[str, ...] = ("q_proj", "down_proj")) -> Any:
    """Random factors on modules of one layer."""
    given = torch.Generator().manual_seed(rank)
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and f".{layer}." in name and name.endswith(names):
            outside, inside = module.weight.shape
            a, b = torch.randn(rank, inside, generator=given), torch.randn(outside, rank, generator=given)
            found[name] = Product(a, b, 0.5)
    return found


@pytest.fixture
def stacked(base: LoadedModel) -> Iterator[Stacked]:
    found = put_together(base.model, [adapter(base.model, rank) for rank in (2, 3, 8)])
    yield found
    found.take_off()


def rows_seen(model: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Rows and tokens that the first and the last layer read from now on."""
    seen: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for layer, said in zip((model.model.layers[0], model.model.layers[-1]), seen, strict=True):
        mlp = layer.mlp.register_forward_pre_hook(lambda _, given, said=said: said.append(tuple(given[0].shape[:2])))
        model.handles = [*getattr(model, "handles", []), mlp]
    return seen


def test_answers_draws_and_scores_are_those_of_rows_read_whole(base: LoadedModel, stacked: Stacked) -> None:
    plain = Together(base, stacked.rows, 3)
    once = Together(base, stacked.rows, 3, stacked.modules)
    assert plain._lower is None and once._lower is not None
    prompts = {0: PROMPTS, 1: PROMPTS, 2: OTHERS}
    greedy = {member: Greedy(some, 6) for member, some in prompts.items()}
    assert once.answer(greedy) == plain.answer(greedy)
    how = Sampling(seed=3, temperature=1.0, max_new_tokens=5)
    asks = {member: [Ask(one, f"{one}", 0, 3, [[4, 5], [6]]) for one in some] for member, some in prompts.items()}
    sampled = {member: Sampled(some, how, None) for member, some in asks.items()}
    ours, theirs = once.answer(sampled), plain.answer(sampled)
    assert [one.draws for member in ours for one in ours[member]] == [
        one.draws for member in theirs for one in theirs[member]
    ]
    scored = {member: Scored(some, CONTINUATIONS[: len(some)], 0.8) for member, some in prompts.items()}
    assert _flat(once.answer(scored)) == pytest.approx(_flat(plain.answer(scored)), rel=1e-5)
    assert len(set(map(str, plain.answer(greedy).values()))) == 3


def _flat(scores: dict[int, list[list[list[float]]]]) -> list[float]:
    return [one for member in sorted(scores) for texts in scores[member] for said in texts for one in said]


def test_the_lower_layer_reads_each_text_once_and_the_upper_one_for_each_adapter(
    base: LoadedModel, stacked: Stacked
) -> None:
    once = Together(base, stacked.rows, 3, stacked.modules)
    lower, upper = rows_seen(base.model)
    once.answer({member: Scored(PROMPTS, CONTINUATIONS, 1.0) for member in range(3)})
    assert lower == [(4, 8), (5, 2)]  # prompts; then continuations but for their last tokens, of which two are alike
    assert upper == [(12, 8), (18, 2)]
    lower.clear(), upper.clear()
    once.answer({member: Greedy(PROMPTS, 3) for member in range(3)})
    (first, rest, *singles), above = lower, upper
    assert (first, above[0]) == ((1, 3), (3, 3))  # what all begin with, for each adapter
    assert (rest, above[1]) == ((4, 5), (12, 5))
    assert singles == above[2:] and all(tokens == 1 for _, tokens in singles)
    for handle in base.model.handles:
        handle.remove()


def test_a_layer_is_found_where_nothing_lies_below_or_beside(base: LoadedModel) -> None:
    model = base.model
    found = lower_layers(model, ["model.layers.1.mlp.up_proj", "model.layers.1.self_attn.q_proj"])
    assert found is not None and found.above == [model.model.layers[1]]
    assert lower_layers(model, ["model.layers.1.mlp.up_proj", "model.layers.0.self_attn.q_proj"]) is None
    assert lower_layers(model, ["model.layers.1.mlp.up_proj", "lm_head"]) is None
    assert lower_layers(model, []) is None
    model.others = nn.ModuleList([nn.Identity(), nn.Linear(2, 2)])
    assert lower_layers(model, ["model.layers.1.mlp.up_proj", "others.1"]) is None
    del model.others


@pytest.mark.parametrize("odd", ["fails", "mixes"])
def test_a_model_whose_layers_know_more_than_they_are_given_reads_every_row_whole(
    base: LoadedModel, stacked: Stacked, odd: str
) -> None:
    """It keeps something by rows beside the layers, or lets rows see how many others there are."""
    kept: list[torch.Tensor] = []
    first, last = base.model.model.layers

    def keep(_: Any, given: tuple[torch.Tensor, ...], __: Any) -> None:
        kept[:] = [given[0]]

    def add(_: Any, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        return out + (kept[0] if odd == "fails" else kept[0].sum() / 100)

    handles = [first.register_forward_hook(keep), last.register_forward_hook(add)]
    once = Together(base, stacked.rows, 3, stacked.modules)
    assert once._lower is None
    asked = {member: Greedy(PROMPTS, 3) for member in range(3)}
    assert once.answer(asked) == Together(base, stacked.rows, 3).answer(asked)
    for handle in handles:
        handle.remove()


def test_a_module_that_loses_its_rows_tells_so_when_it_is_asked(
    base: LoadedModel, stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise NotByRows("an expert is called with (7, 32), but the batch has 12 rows.")

    monkeypatch.setattr(stacked.rows, "rows_of", lost)
    once = Together(base, stacked.rows, 3, stacked.modules)
    answers = once.answer({member: Greedy(PROMPTS, 3) for member in range(3)})
    assert all(isinstance(one, NotByRows) for one in answers.values())


def test_where_memory_ends_with_it_batches_are_halved(
    base: LoadedModel, stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, asked = Together(base, stacked.rows, 3, stacked.modules), {member: Greedy(PROMPTS, 4) for member in range(3)}
    whole = once.answer(asked)
    real, rows = type(once).greedy, list[int]()

    def greedy(self: Together, prompts: Any, longest: int) -> Any:
        rows.append(len(prompts))
        if len(prompts) > 5:
            raise MemoryError
        return real(self, prompts, longest)

    monkeypatch.setattr(Together, "greedy", greedy)
    assert once.answer(asked) == whole
    assert rows[0] == 12 and max(rows[1:]) <= 6
