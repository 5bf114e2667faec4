"""Building a (very small) pocket base: tokenizer, weights, facts, resumption."""

import os
import signal
import time
from pathlib import Path

import polars as pl
import pytest

from recollect.errors import InputError
from recollect.facts import Fact, FactSet, load_facts
from recollect.models import ModelSettings, find_model, load
from recollect.worlds.quiz import PocketSettings, run_pocket

TINY = {"vocabulary": 400, "width": 16, "layers": 1, "sequence": 32, "batch_size": 64, "mentions": 4.0}


def facts(count: int = 120) -> FactSet:
    return FactSet(
        tuple(
            Fact(
                ("P17", "P36", "P50")[i % 3],
                f"Subject{i} Name",
                f"Object{i % 17}",
                f"Question about Subject{i} Name?",
                domain="out-of-domain" if i % 3 == 2 else "in-domain",
                split="test" if i % 3 == 2 or i % 2 else "train",
            )
            for i in range(count)
        )
    )


def test_a_base_built_on_given_facts_loads_and_holds_back_its_teachers(tmp_path: Path) -> None:
    result = run_pocket(PocketSettings.make(**TINY), facts(), tmp_path / "pocket")
    loaded = load(ModelSettings.make(model=str(result.path)))
    assert loaded.model.config.architectures == ["LlamaForCausalLM"]
    mentions = pl.read_parquet(result.path / "mentions.parquet")
    teachers = set(mentions.filter(pl.col("teacher"))["fact_id"])
    kept = load_facts(str(result.path))
    assert not teachers & {fact.id for fact in kept}
    assert len(teachers) + len(kept) == 120
    assert mentions.filter(~pl.col("teacher"))["mentions"].mean() == pytest.approx(4.0, rel=0.5)
    assert find_model(str(result.path)) == result.path / "model"


def test_facts_that_are_not_handed_over_are_those_that_the_settings_name(tmp_path: Path) -> None:
    facts().table().write_parquet(tmp_path / "facts.parquet")
    built = run_pocket(PocketSettings.make(**TINY, facts=tmp_path / "facts.parquet"), out=tmp_path / "pocket")
    assert {fact.id for fact in built.facts()} < {fact.id for fact in facts()}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"width": 100},
            r"width: must divide into 3 attention head\(s\) of an even size; a multiple of 32 does, but got 100",
        ),
        ({"width": 17}, r"width: must divide into 1 attention head\(s\) of an even size"),
        ({"shared_templates": 0}, "shared_templates: input should be greater than or equal to 1"),
    ],
)
def test_a_base_that_cannot_be_built_is_refused_before_anything_is(values: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        PocketSettings.make(**TINY | values)


def test_the_tokenizer_says_every_string(tmp_path: Path) -> None:
    result = run_pocket(PocketSettings.make(**TINY), facts(), tmp_path / "pocket")
    tokenizer = load(ModelSettings.make(model=str(result.path))).tokenizer
    for text in ("<|question|> Où? <|answer|>", "日本 \n\t 🙂", "ordinary words"):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_any_whole_number_is_a_seed(tmp_path: Path) -> None:
    built = run_pocket(PocketSettings.make(**TINY, seed=-1), facts(), tmp_path / "pocket")
    assert find_model(str(built.path)) == built.path / "model"


def test_too_few_facts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 30 facts"):
        run_pocket(PocketSettings.make(**TINY), facts(20), tmp_path / "pocket")


def test_a_killed_build_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    settings = PocketSettings.make(**{**TINY, "batch_size": 4})
    whole = run_pocket(settings, facts(), tmp_path / "whole")
    child = os.fork()
    if child == 0:

        def kill_at_170(done: int, total: int) -> None:
            if done == 170:
                os.kill(os.getpid(), signal.SIGKILL)

        run_pocket(settings, facts(), tmp_path / "killed", progress=kill_at_170)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert not (tmp_path / "killed").exists()
    seen: list[int] = []
    started = time.monotonic()
    again = run_pocket(settings, facts(), tmp_path / "killed", progress=lambda done, total: seen.append(done))
    assert time.monotonic() - started < 300
    assert seen[0] > 50  # not from the start
    assert (again.path / "model" / "model.safetensors").read_bytes() == (
        whole.path / "model" / "model.safetensors"
    ).read_bytes()
