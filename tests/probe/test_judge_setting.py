"""A probe by another judge than containment: plain, whole draws, and no closed form."""

from __future__ import annotations

import pytest

from helpers_tiny import tiny_facts, tiny_model
from recollect.errors import InputError
from recollect.match import judge_of
from recollect.probe import ProbeSettings, rescore_levels, run_probe


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("base") / "model"))


def settings(model: str, **values) -> ProbeSettings:
    few = {"templates": 2, "samples": 3, "max_new_tokens": 6, "limit": 6}
    return ProbeSettings.make(**{"model": model, **few, **values})


@pytest.mark.parametrize("method", ["closed-form", "hybrid"])
def test_a_method_with_a_closed_form_says_that_it_does_not_apply(model, method):
    with pytest.raises(InputError, match=f"method {method} counts the probability .* but judge is token-f1:0.2"):
        settings(model, method=method, judge="token-f1:0.2")
    settings(model, method=method, judge="contains")


def test_auto_takes_plain_draws_and_says_why(model, tmp_path):
    facts = tiny_facts(4)
    found = run_probe(settings(model, judge="token-f1:0.2", limit=40), facts, root=tmp_path).found
    assert (found.method, found.judge) == ("adaptive", "token-f1:0.2")
    assert found.choice is not None
    assert "the judge token-f1:0.2 is no containment of an accepted form" in found.choice.why


def test_hits_are_the_judges_and_draws_are_whole(model, tmp_path):
    """The judge regex accepts any letter, so that a draw that may end early would."""
    import polars as pl

    from recollect.facts import Fact, FactSet

    facts = FactSet(tuple(Fact("qa", f"q{n}", "[a-z]", f"q{n}") for n in range(3)))
    result = run_probe(settings(model, judge="regex", method="sampled"), facts, root=tmp_path)
    texts = pl.read_parquet(result.path / "completions.parquet")
    judge = judge_of("regex")
    for row in result.levels.iter_rows(named=True):
        said = [text for texts_ in texts.filter(fact_id=row["fact_id"])["texts"] for text in texts_]
        right = sum(judge.judge(text, ["[a-z]"]).right for text in said)
        assert row["score"] == pytest.approx(right / 6)
    # the same draws by containment of a form that never comes are the same texts: none ended early
    other = FactSet(tuple(Fact("qa", f"q{n}", "\u2603\u2603", f"q{n}", id=fact.id) for n, fact in enumerate(facts)))
    plain = run_probe(settings(model, method="sampled"), other, root=tmp_path)
    assert pl.read_parquet(plain.path / "completions.parquet")["texts"].to_list() == texts["texts"].to_list()


def test_whole_draws_can_be_judged_again_by_any_judge_and_cut_ones_cannot(model, tmp_path):
    facts = tiny_facts(4)
    whole = run_probe(settings(model, judge="equal", method="sampled"), facts, root=tmp_path)
    again = rescore_levels(whole.path, facts, "equal")
    assert again["score"].to_list() == whole.levels["score"].to_list()
    rescore_levels(whole.path, facts, "token-f1:0.1")
    cut = run_probe(settings(model, method="sampled"), facts, root=tmp_path)
    rescore_levels(cut.path, facts, "word")
    with pytest.raises(InputError, match="ended as soon as they held the answer for good, so equal cannot judge them"):
        rescore_levels(cut.path, facts, "equal")


def test_answers_that_cannot_be_judged_and_an_llm_are_refused(model):
    with pytest.raises(InputError, match="numeric cannot judge"):
        run_probe(settings(model, judge="numeric"), _without_numbers())
    with pytest.raises(InputError, match="llm is no judge of a probe"):
        settings(model, judge="llm")
    with pytest.raises(InputError, match="judge must be one of"):
        settings(model, judge="nearly")


def _without_numbers():
    from recollect.facts import Fact, FactSet

    return FactSet(tuple(Fact("qa", f"q{n}", "Lima", f"q{n}") for n in range(3)))


def test_the_default_judge_leaves_the_fingerprint_as_it_was(model):
    assert "judge" not in settings(model).fingerprint_values()
    assert settings(model, judge="word").fingerprint_values()["judge"] == "word"
