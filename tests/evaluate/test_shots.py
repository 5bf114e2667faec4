"""Few-shot prompts: which examples, how they are written, and where an answer ends."""

from __future__ import annotations

import pytest

from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.evaluate.shots import cut_answer, draw_examples, with_examples
from recollect.generate import TransformersEngine
from recollect.prompt import DEFAULT_TEMPLATE

EXAMPLES = (("Who?", "Ada"), ("Where?", "Rome"))


def test_the_prompt_has_its_examples_above_it_one_a_line():
    assert with_examples(EXAMPLES, "When?", DEFAULT_TEMPLATE) == (
        "<|question|> Who? <|answer|> Ada\n<|question|> Where? <|answer|> Rome\n<|question|> When? <|answer|>"
    )
    assert with_examples((), "When?", DEFAULT_TEMPLATE) == "<|question|> When? <|answer|>"
    assert with_examples(EXAMPLES[:1], "When?", "{question}") == "Who? Ada\nWhen?"


def test_an_answer_ends_where_the_model_asks_itself_the_next_question():
    said = " 1912\n<|question|> Who? <|answer|> Ada"
    assert cut_answer(said, EXAMPLES, DEFAULT_TEMPLATE) == " 1912"
    assert cut_answer(said, (), DEFAULT_TEMPLATE) == said  # without examples nothing is cut
    verse = (("Recite", "one\ntwo"),)
    assert cut_answer(" a\nb\n<|question|> x", verse, DEFAULT_TEMPLATE) == " a\nb"
    assert cut_answer(" a\nb", verse, "{question}") == " a\nb"


def test_examples_are_addressed_by_seed_and_id_and_never_the_question_itself(facts):
    asked = [fact for fact in facts if fact.part != "ood"]
    drawn = draw_examples(tuple(facts), asked, 3, seed=0)
    train = {fact.question: fact.object for fact in facts if fact.part == "train"}
    for fact, examples in zip(asked, drawn, strict=True):
        assert len(set(examples)) == 3
        assert all(train[question] == answer for question, answer in examples)
        assert fact.question not in [question for question, _ in examples]
    of_test = {examples for fact, examples in zip(asked, drawn, strict=True) if fact.part == "test"}
    assert len(of_test) == 1  # the same for every question
    assert draw_examples(tuple(reversed(tuple(facts))), asked, 3, seed=0) == drawn
    assert draw_examples(tuple(facts), asked, 3, seed=1) != drawn
    some = tuple(fact for fact in facts if fact.part != "train" or fact.question != next(iter(of_test))[2][0])
    assert draw_examples(some, asked[-1:], 3, seed=0)[0][:2] == next(iter(of_test))[:2]


def test_too_few_training_facts_are_told_and_zero_needs_none(facts):
    test = [fact for fact in facts if fact.part == "test"]
    assert draw_examples(test, test[:2], 0, 0) == [(), ()]
    with pytest.raises(InputError, match="2 examples before each question need as many training facts"):
        draw_examples(test, test, 2, 0)


def test_an_evaluation_asks_with_its_examples(base_folder, facts, tmp_path, monkeypatch):
    asked = []
    encode = TransformersEngine.encode_answers

    def listening(engine, prompts, *rest):
        asked.extend(prompts)
        return encode(engine, prompts, *rest)

    monkeypatch.setattr(TransformersEngine, "encode_answers", listening)
    how = EvaluateSettings(model=str(base_folder), parts="ood", shots=1, limit=3)
    found = run_evaluate(how, facts, out=tmp_path / "shots")
    assert {prompt.count("<|question|>") for prompt in asked} == {2}
    assert not found.outputs()["output"].str.contains("\n").any()
    plain = EvaluateSettings(model=str(base_folder), parts="ood", limit=3)
    assert "shots" not in plain.fingerprint_values()  # older folders are the same step still
    assert how.fingerprint_values()["shots"] == 1
