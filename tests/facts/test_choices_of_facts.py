"""Facts of multiple-choice data keep their choices, and may show them."""

from __future__ import annotations

import json

import polars as pl

from recollect.facts import Fact, FactSet, FactsSettings
from recollect.facts.step import run_facts

ROWS = [
    {"question": "Sky?", "choices": ["red", "blue"], "answer": 1},
    {"question": "Grass?", "choices": ["green", "pink"], "answer": 0},
]


def facts_of(tmp_path, rows=ROWS, **values):
    path = tmp_path / "mc.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return run_facts(FactsSettings.make(path=path, **values), root=tmp_path)


def test_choices_are_kept_and_read_back(tmp_path):
    result = facts_of(tmp_path)
    found = {fact.question: (fact.object, fact.choices) for fact in result.facts}
    assert found == {"Sky?": ("blue", ("red", "blue")), "Grass?": ("green", ("green", "pink"))}
    assert FactSet.read(result.path / "facts.parquet").facts == result.facts.facts


def test_choices_are_shown_below_the_question_where_asked_for(tmp_path):
    shown = {fact.question for fact in facts_of(tmp_path, show_choices=True).facts}
    assert shown == {"Sky?\nA. red\nB. blue", "Grass?\nA. green\nB. pink"}


def test_facts_without_choices_have_the_table_and_the_fingerprint_that_they_had():
    fact = Fact("qa", "q", "Lima", "q")
    assert "choices" not in FactSet((fact,)).table().columns
    with_choices = Fact("qa", "q", "Lima", "q", choices=("Lima", "Quito"))
    assert with_choices.id == fact.id
    assert FactSet((with_choices,)).fingerprint() != FactSet((fact,)).fingerprint()
    table = FactSet((fact, Fact("qa", "r", "Rome", "r", choices=("Rome",)))).table()
    assert table.schema["choices"] == pl.List(pl.String)
    assert FactSet.from_table(table).facts[0].choices == ()
