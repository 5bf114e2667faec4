"""The rule that knows nothing: which answer it gives to which question."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recollect.core.estimates import clustered, proportion
from recollect.experiments.fit.answers import Answers, gap_between
from recollect.experiments.fit.luck import Luck
from recollect.experiments.fit.rule import OTHERS, Tried, better_kinds, join, rule_found, rule_of
from recollect.facts import Fact, FactSet
from recollect.match import judge_of


def fact(question: str, answer: str, relation: str = "qa", **more: object) -> Fact:
    return Fact(relation, question, answer, question, **more)  # type: ignore[arg-type]


def test_the_commonest_answer_of_a_relation_however_it_is_written():
    train = [fact(f"Q{at}?", name, "currency") for at, name in enumerate(("peso", "Peso", "peso", "euro", "euro"))]
    train += [fact(f"C{at}?", "Lima", "capital") for at in range(9)]
    rule = rule_of(FactSet(tuple(train)))
    assert rule.by_relation
    assert rule.answers == {"currency": "peso", "capital": "Lima"}
    assert rule.answer(fact("new?", "x", "unseen")) == "Lima"  # the commonest of all
    asked = [fact("a?", "the Peso", "currency", synonyms=("peso",)), fact("b?", "euro", "currency")]
    assert rule.right(asked, judge_of("contains")).tolist() == [True, False]


def test_without_relations_questions_are_told_apart_by_how_they_begin():
    names = [f"Land{at}" for at in range(10)]
    train = [fact(f"What is the currency of {name}?", "peso" if at else "euro") for at, name in enumerate(names)]
    train += [fact(f"Who leads {name}?", "Ana" if at < 7 else name) for at, name in enumerate(names)]
    rule = rule_of(FactSet(tuple(train)))
    assert not rule.by_relation
    assert rule.answers == {"what is the currency of …": "peso", "who leads …": "Ana"}
    assert rule.answer(fact("What is the Currency of Atlantis?", "x")) == "peso"
    assert rule.kind_of(fact("Why?", "x")) == OTHERS


def test_the_rule_takes_the_place_of_the_base_only_where_validation_has_it_ahead():
    train = [fact(f"T{kind}{at}?", "Lima", kind) for kind in ("capital", "river", "hill") for at in range(2)]
    rule, judge = rule_of(FactSet(tuple(train))), judge_of("contains")
    asked = [
        fact("a?", "Lima", "capital"),
        fact("b?", "x", "capital"),
        fact("c?", "Lima", "river"),
        fact("d?", "x", "hill"),
    ]
    better = better_kinds(rule, asked, np.asarray([False, False, True, True]), judge)
    assert better == ("capital",)
    base = np.asarray([False, True, False, True])  # on the test, where the rule would do better for rivers, too
    assert join(rule, asked, base, rule.right(asked, judge), better).tolist() == [True, False, False, True]


def answers(folder: Path, facts: list[Fact], right: list[bool]) -> Answers:
    folder.mkdir()
    table = pl.DataFrame(
        {
            "fact_id": [fact.id for fact in facts],
            "part": "test",
            "relation": [fact.relation for fact in facts],
            "level": pl.Series([None] * len(facts), dtype=pl.Int64),
            "subject": [fact.subject for fact in facts],
            "object": [fact.object for fact in facts],
            "synonyms": pl.Series([[]] * len(facts), dtype=pl.List(pl.String)),
            "output": [fact.object if good else "?" for fact, good in zip(facts, right, strict=True)],
            "contains": right,
        }
    )
    table.write_parquet(folder / "outputs.parquet")
    return Answers(folder)


@pytest.mark.parametrize("asked", [1, 2])
def test_a_relation_holds_the_luck_of_a_training_and_counts_subjects(tmp_path: Path, asked: int):
    """Sixty questions of each relation; more than the rule beyond the questions, but not beyond the luck."""
    facts = [
        Fact(kind, f"{kind} S{at // asked}", "x", f"{kind} {at}?", split="test", id=f"{kind}{at:02}")
        for kind in ("capital", "river")
        for at in range(60)
    ]
    truth = [at % 3 == 0 for at in range(120)]
    right = [at % 6 in (0, 3, 4) for at in range(120)]
    base, chosen = answers(tmp_path / "base", facts, truth), answers(tmp_path / "ours", facts, right)
    tried = Tried(rule_of(FactSet(tuple(facts))), tuple(facts), np.asarray(truth), np.asarray(truth))
    over = tried.gap(chosen), tried.gap(chosen).at()
    luck = Luck.of((30.0, 50.0, 70.0), (), 1)
    alone = rule_found(tried, base, chosen, over, None, lambda gap: gap)
    found = rule_found(tried, base, chosen, over, None, lambda gap: luck.on(gap, "ours"))
    units = chosen.units()
    for one, wide in zip(alone.kinds, found.kinds, strict=True):
        assert one.over is not None and wide.over is not None
        assert (one.over.sign, wide.over.sign) == (1, 0)
        gap = gap_between(np.asarray(truth[:60]), np.asarray(right[:60]), units[:60])
        assert wide.over.low in (luck.on(gap, "ours").at(0.95).low, luck.on(gap, "ours").at(0.975).low)
        share = proportion(20, 60) if asked == 1 else clustered(truth[:60], units[:60].tolist())
        assert (wide.rule.low, wide.rule.high) == pytest.approx((share.low, share.high))
    assert found.power is not None and found.power.unit == ("question" if asked == 1 else "subject")
