"""A base and a tuned model stored in two layouts: matched weight by weight, or refused with what has no partner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import helpers_layouts as made
import pairs
from helpers_models import loaded
from helpers_tiny import tiny_model
from recollect.errors import ModelError
from recollect.weights import open_pair

Make = Callable[[Path], Path]
PLAIN: dict[str, Make] = {
    "one file": tiny_model,
    "shards": made.shards,
    "rotary buffers": made.changed(tiny_model, made.rotary),
    "several formats": made.changed(tiny_model, made.half),
}
TIED: dict[str, Make] = {
    "stored once": made.tied,
    "head stored": made.changed(made.tied, made.head_too),
    "without prefix": made.changed(made.tied, made.bare),
}
GPT2: dict[str, Make] = {"today": made.family("GPT-2"), "hub": made.changed(made.family("GPT-2"), made.hub_gpt2)}
LLAVA: dict[str, Make] = {"hub": made.family("Llava"), "own": made.changed(made.family("Llava"), made.own_llava)}
PAIRS = [
    pytest.param(base, tuned, id=f"{kind}: {one} and {other}")
    for kind, group in (("plain", PLAIN), ("tied", TIED), ("GPT-2", GPT2), ("Llava", LLAVA))
    for one, base in group.items()
    for other, tuned in group.items()
    if one != other
]


def moved(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every weight a little larger, copies alike."""
    return {
        name: value * 1.01 if value.is_floating_point() and "inv_freq" not in name else value
        for name, value in found.items()
    }


@pytest.mark.parametrize(("base", "tuned"), PAIRS)
def test_both_ends_of_a_restoration_are_the_two_models(base: Make, tuned: Make, tmp_path: Path) -> None:
    one = base(tmp_path / "base")
    other = tuned(tmp_path / "tuned")
    for file in other.glob("*.safetensors"):
        made.store(file, moved(made.weights(file)))
    with open_pair(one, other) as pair:
        assert pair.sizes and not [
            name for name in pair.unrankable if "inv_freq" not in name and "attn.bias" not in name
        ]
    before, after = loaded(one, dtype="float32").model, loaded(other, dtype="float32").model
    for percent, wanted in ((0, after), (100, before)):
        found = pairs.restore(one, other, percent, region="all", out=tmp_path / str(percent))
        held = loaded(found.model, dtype="float32").model
        stored = {name: value.dtype for name, value in pairs.read(found.model).items()}
        assert stored == {name: value.dtype for name, value in pairs.read(other).items()}
        theirs = dict(wanted.named_parameters())
        for name, value in held.named_parameters():
            assert torch.allclose(value, theirs[name], rtol=2**-7, atol=0), name  # one format's rounding at most
            if percent == 0:
                assert torch.equal(value, theirs[name]), name


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    one, other = made.tied(tmp_path / "tied"), tiny_model(tmp_path / "untied")
    with pytest.raises(ModelError, match=r"lacks 1 \(lm_head\.weight\).*ties its output head") as error:
        open_pair(other, one)
    assert "Traceback" not in str(error.value)
