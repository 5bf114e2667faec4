"""`recollect compare`: of two models from the ground up, of finished evaluations, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_compare import maker
from helpers_tiny import tiny_model
from helpers_world import Command, World

KEYS = ["n", "right_to_wrong", "wrong_to_right", "difference", "low", "high", "p"]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("other") / "other", seed=1)


def test_two_models_are_asked_and_compared(recollect: Command, world: World, other: Path) -> None:
    asked = ["--facts", world.facts, "--max-new-tokens", 4, "--few-shot", 2, "--out", "c"]
    answer = recollect("compare", world.model, other, *asked, "--json").json
    assert list(answer) == KEYS
    assert answer["n"] == 28
    assert {path.name for path in Path("c/steps").iterdir()} == {"0-first", "1-few-shot", "2-other"}
    people = recollect("compare", world.model, other, *asked).out
    assert people.splitlines()[-1] == str(Path("c").resolve())
    for shown in ("of 28 flipped", "by contains", "McNemar"):
        assert shown in people
    # the same numbers from the finished evaluations, without a model
    steps = ["c/steps/0-first", "c/steps/2-other"]
    again = recollect("compare", "--evaluations", *steps, "--out", "e", "--json").json
    assert again == answer


def test_the_base_may_be_named_as_everywhere(recollect: Command, world: World, other: Path) -> None:
    asked = ["--facts", world.facts, "--limit", 3, "--max-new-tokens", 2, "--few-shot", 0]
    one = recollect("compare", world.model, other, *asked, "--out", "one", "--json").json
    assert recollect("compare", other, "--model", world.model, *asked, "--out", "two", "--json").json == one
    refused = recollect("compare", world.model, other, "--model", other, *asked)
    assert refused.code == 2 and "leave --model out" in refused.err
    assert recollect("compare", world.model, *asked).code == 2


def test_flips_by_hand_are_printed_with_their_texts(recollect: Command, tmp_path: Path) -> None:
    make = maker(tmp_path)
    make("base", [1, 1, 0, 0, 0, 1, 0, 0])
    make("tuned", [1, 0, 1, 1, 0, 0, 1, 1])
    answer = recollect("compare", "--evaluations", "base", "tuned", "--json").json
    assert (answer["n"], answer["right_to_wrong"], answer["wrong_to_right"]) == (8, 2, 4)
    assert answer["difference"] == pytest.approx(0.25) and answer["p"] == pytest.approx(44 / 64)
    text = recollect("compare", "--evaluations", "base", "tuned").out
    for shown in ("right → wrong: 2", "wrong → right: 4", "Who wrote Emma?", "Tokyo | Tokio", "no 5"):
        assert shown in text, text


def test_what_asks_is_refused_where_nothing_is_asked(recollect: Command, tmp_path: Path) -> None:
    make = maker(tmp_path)
    make("base", [1] * 8)
    make("tuned", [0] * 8)
    refused = recollect("compare", "--evaluations", "base", "tuned", "--limit", 3, "--facts", "x.csv")
    assert refused.code == 2
    assert "nothing is asked, so facts, limit must not be given" in refused.err
