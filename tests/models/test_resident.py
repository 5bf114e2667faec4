"""A base in memory that is other models for a while: the very weights that loading them gives, and itself again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers_adapters import tiny_adapter, tiny_base
from helpers_models import edit
from recollect.errors import ModelError
from recollect.models import LoadedModel, ModelRef, ModelSettings, load
from recollect.models.resident import Resident
from recollect.models.stacked import read_factors

BASES = ("llama", "tied", "bias", "gpt2")


@pytest.fixture(scope="module")
def residents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Resident]]:
    folder = tmp_path_factory.mktemp("bases")
    found = {kind: Resident(load(of(tiny_base(folder / kind, kind)))) for kind in BASES}
    before = {kind: values(one.base) for kind, one in found.items()}
    yield found
    for kind, one in found.items():  # after all that was put into them
        after = values(one.base)
        assert {name: at for name, (at, _) in after.items()} == {name: at for name, (at, _) in before[kind].items()}
        assert all(torch.equal(value, before[kind][name][1]) for name, (_, value) in after.items())


def of(folder: Path, **changes: object) -> ModelSettings:
    return ModelSettings.make(model=str(folder), device="cpu", dtype="float32", **changes)


def values(loaded: LoadedModel) -> dict[str, tuple[int, torch.Tensor]]:
    """Which parameter object each name has, and what is in it."""
    named = loaded.model.named_parameters(remove_duplicate=False)
    return {name: (id(parameter), parameter.detach().clone()) for name, parameter in named}


def check_same(held: LoadedModel, settings: ModelSettings) -> None:
    """What is held is what is loaded: weights, answers, tokenizer, fingerprint."""
    plain = load(settings)
    theirs = dict(plain.model.named_parameters(remove_duplicate=False))
    ours = dict(held.model.named_parameters(remove_duplicate=False))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    ids = torch.tensor([[1, 5, 9, 20, 31]])
    with torch.inference_mode():
        assert torch.equal(held.model(input_ids=ids).logits, plain.model(input_ids=ids).logits)
    assert (held.fingerprint, held.folder, held.machine) == (plain.fingerprint, plain.folder, plain.machine)
    assert held.tokenizer("Paris 12").input_ids == plain.tokenizer("Paris 12").input_ids
    assert held.tokenizer.pad_token_id == plain.tokenizer.pad_token_id


@pytest.mark.parametrize(
    ("base", "kind"),
    [
        *(("llama", kind) for kind in ("patterns", "DoRA", "PiSSA", "output head")),
        *(
            ("tied", "rank-stabilised"),
            ("tied", "output head"),
            ("bias", "plain"),
            ("bias", "all biases"),
            ("gpt2", "plain"),
        ),
    ],
)
def test_an_adapter_in_the_bases_place_is_what_loading_it_gives(
    residents: dict[str, Resident], tmp_path: Path, base: str, kind: str
) -> None:
    resident = residents[base]
    adapter = tmp_path / "adapter"
    tiny_adapter(adapter, resident.base.folder, kind)
    with resident.holding(of(adapter)) as held:
        more = ("all biases", "output head")  # stored beside the products; of the latter the base's own by PEFT
        assert (held.model is resident.base.model) is (kind not in more)
        check_same(held, of(adapter))
    if kind in ("plain", "patterns", "rank-stabilised"):
        factors = read_factors(ModelRef.at(adapter))
        with resident.holding(of(adapter), factors=factors) as held:
            check_same(held, of(adapter))


@pytest.mark.parametrize(("base", "dtype"), [("llama", "bfloat16"), ("tied", "float32"), ("gpt2", "bfloat16")])
def test_a_tuned_model_in_the_bases_place_is_what_loading_it_gives(
    residents: dict[str, Resident], tmp_path: Path, base: str, dtype: str
) -> None:
    resident = residents[base]
    tuned = load(of(resident.base.folder))
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    tuned.model.to(getattr(torch, dtype)).save_pretrained(tmp_path / "tuned")
    tuned.tokenizer.save_pretrained(tmp_path / "tuned")
    with resident.holding(of(tmp_path / "tuned")) as held:
        assert held.model is resident.base.model
        check_same(held, of(tmp_path / "tuned"))
        assert all(one.requires_grad for one in held.model.parameters())  # torch multiplies in another way without
        with resident.holding(of(resident.base.folder)) as other:  # the place is taken
            assert other.model is not held.model
            check_same(other, of(resident.base.folder))


def test_what_is_another_model_is_loaded_beside(residents: dict[str, Resident], tmp_path: Path) -> None:
    resident = residents["llama"]
    other = Path(shutil.copytree(resident.base.folder, tmp_path / "other"))
    edit(other / "config.json", rms_norm_eps=1e-3)
    changed = Path(shutil.copytree(resident.base.folder, tmp_path / "changed"))
    edit(changed / "generation_config.json", eos_token_id=5)
    for folder in (other, changed, residents["tied"].base.folder, residents["gpt2"].base.folder):
        with resident.holding(of(folder)) as held:
            assert held.model is not resident.base.model
            check_same(held, of(folder))
    wanted = ModelSettings.make(model=str(resident.base.folder), device="cpu", dtype="bfloat16")
    with resident.holding(wanted) as held:
        assert (held.model.dtype, held.machine.dtype) == (torch.bfloat16, "bfloat16")


def test_a_broken_model_is_refused_as_ever_and_the_base_stays(residents: dict[str, Resident], tmp_path: Path) -> None:
    resident = residents["llama"]
    broken = load(of(resident.base.folder)).model
    broken.lm_head.weight.data[0, 0] = float("nan")
    broken.save_pretrained(tmp_path / "broken")
    resident.base.tokenizer.save_pretrained(tmp_path / "broken")
    with pytest.raises(ModelError, match=r"lm_head\.weight holds NaN"), resident.holding(of(tmp_path / "broken")):
        raise AssertionError
    with pytest.raises(RuntimeError, match="on the way"), resident.holding(of(resident.base.folder)):
        raise RuntimeError("on the way")


def test_a_base_that_its_folder_does_not_hold_takes_nothing(tmp_path: Path) -> None:
    base = load(of(tiny_base(tmp_path / "base", "llama")))
    with torch.no_grad():
        base.model.lm_head.weight[0, 0] += 1
    with Resident(base).holding(of(base.folder)) as held:
        assert held.model is not base.model
