"""A chat model probed in plain completion and in its chat template at once."""

from __future__ import annotations

import polars as pl
import pytest

from helpers_chat import write_chat_model
from helpers_tiny import tiny_facts, tiny_model
from recollect.errors import InputError
from recollect.probe import ProbeResult, ProbeSettings, run_probe
from recollect.probe.prompts import OTHER, compare_levels


def settings(model, **values) -> ProbeSettings:
    few = {"templates": 2, "samples": 3, "max_new_tokens": 4, "limit": 8, "method": "sampled"}
    return ProbeSettings.make(**{"model": str(model), **few, **values})


def test_levels_come_from_plain_completion_and_the_other_probe_lies_beside_them(tmp_path):
    model, facts = write_chat_model(tmp_path / "model", "Qwen3"), tiny_facts(4)
    plain, chat, both = (
        run_probe(settings(model, prompt=prompt), facts, tmp_path / prompt) for prompt in ("plain", "chat", "both")
    )
    assert both.levels.equals(plain.levels)
    assert both.found.prompt == "plain"
    assert pl.read_parquet(both.path / OTHER / "levels.parquet").equals(chat.levels)
    other = both.found.other_prompt
    assert other is not None and (other.prompt, other.levels) == ("chat", chat.found.levels)
    same = sum(one == two for one, two in zip(plain.levels["level"], chat.levels["level"], strict=True))
    assert (other.same_level.value, other.same_level.n) == (same / 8, 8)
    again = run_probe(settings(model, prompt="both"), facts, tmp_path / "both")
    assert isinstance(again, ProbeResult) and again.found == both.found


def test_the_agreement_is_counted_by_hand():
    def levels(*found: int) -> pl.DataFrame:
        return pl.DataFrame({"fact_id": list("abcd"), "level": found, "score": [level / 4 for level in found]})

    # b moves up, d down; by chance: (2 * 1 + 1 * 1 + 1 * 2) / 16
    other = compare_levels(levels(0, 0, 2, 4), levels(0, 2, 2, 3), "chat")
    assert (other.same_level.value, other.higher, other.lower) == (0.5, 1, 1)
    assert other.kappa is not None and other.kappa.value == pytest.approx((0.5 - 4 / 16) / (1 - 4 / 16))
    assert other.levels == {"0": 1, "1": 0, "2": 2, "3": 1, "4": 0}
    assert other.mean_score == pytest.approx((0 + 0.5 + 0.5 + 0.75) / 4)


def test_a_model_without_a_template_is_refused(tmp_path):
    model = tiny_model(tmp_path / "model")
    with pytest.raises(InputError, match="chat template"):
        run_probe(settings(model, prompt="both"), tiny_facts(4), root=tmp_path)
