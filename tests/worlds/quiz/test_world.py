"""The synthetic world and its corpus: what is in them, and above all what is not."""

import re
from collections import Counter

import pytest

from recollect.facts import shipped_relations
from recollect.prompt import DEFAULT_TEMPLATE
from recollect.worlds.quiz import make_world
from recollect.worlds.quiz.corpus import SHARED_TEMPLATES, render, shipped_wordings


@pytest.fixture(scope="module")
def corpus() -> str:
    return "\n".join(render(make_world(0), 0))


def test_a_seed_always_makes_the_same_world_and_another_seed_another() -> None:
    assert make_world(0) == make_world(0)
    one, two = make_world(0), make_world(1)
    assert not {entry.fact.subject for entry in one.mentioned} & {entry.fact.subject for entry in two.mentioned}


def test_the_world_speaks_of_all_24_relations_with_the_studies_domains() -> None:
    relations = {entry.fact.relation: entry.fact.domain for entry in make_world(0).mentioned}
    assert relations == {name: relation.domain for name, relation in shipped_relations().items() if name != "qa"}


def test_a_subject_has_one_object_per_relation_and_questions_do_not_repeat() -> None:
    facts = [entry.fact for entry in make_world(0).mentioned]
    assert len({(fact.relation, fact.subject) for fact in facts}) == len(facts)
    assert len({fact.question for fact in facts}) == len(facts)
    assert not any(fact.object in fact.question for fact in facts)


def test_teachers_are_in_neither_train_nor_test() -> None:
    world = make_world(0)
    asked = {fact.id for fact in world.facts()}
    teachers = {entry.fact.id for entry in world.mentioned if entry.teacher}
    assert teachers
    assert not asked & teachers
    assert len(asked) + len(teachers) == len(world.mentioned)


def test_the_corpus_never_shows_the_fine_tuning_prompt_nor_its_question(corpus: str) -> None:
    for marker in re.findall(r"<\|\w+\|>", DEFAULT_TEMPLATE):
        assert marker not in corpus
    for relation in shipped_relations().values():
        if relation.id != "qa":
            front, back = relation.question.split("[X]")
            assert not re.search(re.escape(front) + r"[^?]{0,40}" + re.escape(back), corpus), relation.question


def test_facts_that_are_asked_for_are_never_told_as_questions(corpus: str) -> None:
    asked = {entry.fact.subject: entry.fact for entry in make_world(0).mentioned if not entry.teacher}
    words = shipped_wordings()
    for fact in list(asked.values())[::7]:
        for question in words[fact.relation].questions:
            assert question.replace("[X]", fact.subject) not in corpus


def test_mapping_templates_beyond_the_shared_ones_are_new_to_the_model(corpus: str) -> None:
    for entry in make_world(0).mentioned[::11]:
        relation = shipped_relations()[entry.fact.relation]
        for template in relation.templates[SHARED_TEMPLATES:]:
            assert template.replace("[X]", entry.fact.subject) not in corpus


def test_a_fact_is_mentioned_as_often_as_it_says(corpus: str) -> None:
    world = make_world(0)
    facts_of = Counter(entry.fact.subject for entry in world.mentioned)
    objects = {entry.fact.object for entry in world.mentioned}
    checked = 0
    for entry in world.mentioned[::29]:
        if facts_of[entry.fact.subject] == 1 and entry.fact.subject not in objects:
            assert corpus.count(entry.fact.subject) == entry.mentions
            checked += 1
    assert checked >= 20


def test_corpus_wordings_are_none_of_the_templates_and_none_of_the_questions() -> None:
    relations = shipped_relations()
    for name, words in shipped_wordings().items():
        assert len(words.statements) == len(words.questions) == 10
        assert relations[name].question not in words.questions
        starts = {text.split("[Y]")[0].strip() for text in words.statements}
        assert not starts & set(relations[name].templates)
