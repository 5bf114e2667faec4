"""Models that bring their own code: refused, unless trusted and pinned, and then passed on whole."""

import json
import re

import pytest

import pairs
from pairs import restore
from recollect.errors import ModelError
from recollect.weights import open_pair


@pytest.fixture
def sides(tmp_path):
    found = []
    for name, tensors in zip(("base", "tuned"), pairs.weights(), strict=True):
        folder = pairs.write(tmp_path / name, tensors)
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoModelForCausalLM": "modeling_own.Own"}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "modeling_own.py").write_text("raise SystemExit('ran')\n")
        found.append(folder)
    return found


def pin_of(*sides, **pins) -> str:
    with pytest.raises(ModelError, match="auto_map") as refusal:
        open_pair(*sides, **pins)
    found = re.search(r"--revision ([0-9a-f]+)", str(refusal.value))
    assert found
    return found[1]


def test_a_pair_with_code_is_refused_until_both_sides_are_pinned(sides):
    pin = pin_of(*sides)
    with pytest.raises(ModelError, match="pinned"):
        open_pair(*sides, trust_remote_code=True)
    with pytest.raises(ModelError, match="pinned"):
        open_pair(*sides, trust_remote_code=True, revision=pin)
    open_pair(*sides, trust_remote_code=True, revision=pin, tuned_revision=pin).close()


def test_a_restored_model_keeps_its_code_and_needs_the_same_trust(sides, tmp_path):
    pin = pin_of(*sides)
    pins = {"trust_remote_code": True, "revision": pin, "tuned_revision": pin}
    made = restore(*sides, 50, region="all", out=tmp_path / "out", **pins)
    assert (made.model / "modeling_own.py").read_text() == (sides[1] / "modeling_own.py").read_text()
    assert pin_of(sides[0], made.model, trust_remote_code=False) == pin
    open_pair(sides[0], made.model, **pins).close()
