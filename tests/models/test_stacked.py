"""Many adapters on one base: each row as with its own adapter alone, no gradient mixed, and the base as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers_adapters import tiny_adapter, tiny_base
from recollect.errors import InputError, ModelError
from recollect.models import resolve_name
from recollect.models.stacked import NotByRows, Product, Rows, put_together, read_factors, why_not_stacked

torch = pytest.importorskip("torch")

IDS = [[1, 5, 9, 20, 31], [1, 7, 7, 40, 2], [1, 90, 60, 30, 8], [1, 3, 4, 5, 6], [1, 11, 12, 13, 14]]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A base and four adapters of ranks 4, 4, 3 (padded to 4) and 8, one of them on other modules."""
    folder = tmp_path_factory.mktemp(request.param)
    base = tiny_base(folder / "base", request.param)
    query, other = ("c_attn", "c_fc") if request.param == "gpt2" else ("q_proj", "o_proj")
    kinds: list[dict[str, Any]] = [
        {},
        {"use_rslora": True},
        {"rank_pattern": {other: 3}},
        {
            "rank_pattern": {query: 8},
            "target_modules": ["q_proj", "up_proj", "c_attn"],
        },
    ]
    made = []
    for number, kind in enumerate(kinds):
        wanted = kind.get("target_modules", ["q_proj", "up_proj", "c_attn"])
        alphas = {name: 3 + 5 * number for name in wanted if (name == "c_attn") == (request.param == "gpt2")}
        tiny_adapter(folder / f"adapter-{number}", base, alpha_pattern=alphas, **kind)
        made.append(folder / f"adapter-{number}")
    return base, made


def _base(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


def _alone(folder: Path, adapter: Path, ids: list[int]) -> Any:
    from peft import PeftModel

    with torch.inference_mode():
        return PeftModel.from_pretrained(_base(folder), adapter).eval()(torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("owners", [[0, 0, 1, 2, 3], [0, 1, 1, 2, 3], [3, 0, 2, 0, 1], [2, 2, 2, 2, 2]])
def test_each_row_passes_its_own_adapter(world: tuple[Path, list[Path]], owners: list[int]) -> None:
    base, adapters = world
    model = _base(base)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modules = dict(model.named_modules())
    stacked = put_together(model, [read_factors(resolve_name(str(folder))) for folder in adapters])
    stacked.rows.belong_to(owners)
    with torch.inference_mode():
        found = model(torch.tensor(IDS)).logits
    for row, owner in enumerate(owners):
        torch.testing.assert_close(found[row], _alone(base, adapters[owner], IDS[row]), rtol=1e-4, atol=1e-5)
    stacked.take_off()
    assert all(module is modules[name] for name, module in model.named_modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_neighbours_with_equally_many_rows_pass_at_once(world: tuple[Path, list[Path]]) -> None:
    base, adapters = world
    stacked = put_together(_base(base), [read_factors(resolve_name(str(folder))) for folder in adapters])
    stacked.rows.belong_to([0, 0, 1, 1, 2, 2, 3, 3])
    assert [run.adapters for run in stacked.rows.runs] == [3, 1]
    stacked.rows.belong_to([0, 0, 1, 3])
    assert [run.adapters for run in stacked.rows.runs] == [1, 1, 1]
    assert stacked.rows.sorted([3, 1, 2, 0]) == [0, 1, 2, 3]


def test_no_gradient_reaches_a_neighbour(world: tuple[Path, list[Path]]) -> None:
    base, adapters = world
    factors = [read_factors(resolve_name(str(folder))) for folder in adapters]
    alone = _gradient(base, [factors[1]], [0, 0], IDS[1:3])[0]
    among = _gradient(base, factors, [0, 1, 1, 2, 3], IDS, rows=[1, 2])
    torch.testing.assert_close(among[1], alone, rtol=1e-4, atol=1e-6)
    assert not any(among[other].any() for other in (0, 2, 3))
    padded = put_together(_base(base), factors).factors(2, dict.fromkeys(factors[2], 4))
    assert any(not product.a[3].any() for product in padded.values())


def _gradient(base: Path, factors: Any, owners: list[int], ids: Any, rows: list[int] | None = None) -> list[Any]:
    """Of each adapter, for a loss on some rows."""
    model = _base(base).requires_grad_(False)
    stacked = put_together(model, factors, trained=True)
    stacked.rows.belong_to(owners)
    logits = model(torch.tensor(ids)).logits
    (logits if rows is None else logits[rows]).square().sum().backward()
    found = []
    for adapter in range(len(factors)):
        group, row = stacked.home(adapter)
        assert group.gradients is not None
        found.append(group.gradients[row])
    return found


def test_what_cannot_pass_is_refused(world: tuple[Path, list[Path]], tmp_path: Path) -> None:
    base, adapters = world
    model, [first] = _base(base), [read_factors(resolve_name(str(adapters[0])))]
    stacked = put_together(model, [first])
    stacked.rows.belong_to([0, 0, 0])
    with pytest.raises(NotByRows, match="the batch has 3 rows"):
        model(torch.tensor(IDS))
    stacked.take_off()
    with pytest.raises(InputError, match=r"nowhere, which the base does not have"):
        put_together(model, [{"nowhere": Product(torch.zeros(1, 2), torch.zeros(2, 1), 1.0)}])
    name = next(iter(first))
    with pytest.raises(InputError, match="from 2 to 2 numbers, but the base has"):
        put_together(model, [{name: Product(torch.zeros(1, 2), torch.zeros(2, 1), 1.0)}])
    with pytest.raises(InputError, match="one or more"):
        put_together(model, [])
    tiny_adapter(tmp_path / "dora", base, "DoRA")
    with pytest.raises(ModelError, match="DoRA"):
        read_factors(resolve_name(str(tmp_path / "dora")))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["norm"]}, "whole"),
        ({"init_lora_weights": "eva", "use_rslora": True}, ""),
    ],
)
def test_reasons(config: dict[str, Any], said: str) -> None:
    found = why_not_stacked(config)
    assert said in found
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("shape", "name", "taken"),
    [
        ((2, 5, 4), "layers.0.q_proj", True),
        ((2, 1, 5, 4), "layers.0.kv_b_proj", True),
        ((10, 4), "layers.0.mlp.shared_expert.up_proj", True),
        ((10, 4), "layers.0.mlp.experts.1.up_proj", False),  # as many tokens as there are, but in an order of its own
        ((2, 4), "layers.0.mlp.experts.1.up_proj", False),
        ((2, 4), "layers.0.mlp.up_proj", False),
        ((7, 4), "layers.0.mlp.up_proj", False),
        ((2, 5, 3, 4), "layers.0.per_head", False),
        ((5, 2, 4), "layers.0.time_first", False),
    ],
)
def test_which_inputs_are_the_rows(shape: tuple[int, ...], name: str, taken: bool) -> None:
    rows, x = Rows([(0, 0), (0, 1)]), torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    rows.belong_to([0, 1])
    rows.hear(None, (), {"input_ids": torch.zeros(2, 5)})
    if taken:
        assert torch.equal(rows.rows_of(x, name), x.reshape(2, 5, 4))
    else:
        with pytest.raises(NotByRows, match=name):
            rows.rows_of(x, name)
