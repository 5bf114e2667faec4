"""The rule that knows nothing: which answer it gives to which question."""

import numpy as np

from recollect.experiments.fit.rule import OTHERS, better_kinds, join, rule_of
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
