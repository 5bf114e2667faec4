"""Other accepted forms."""

from pathlib import Path

import pytest

from recollect.errors import InputError
from recollect.facts import FactsSettings, read_facts, synonyms_for
from recollect.facts.synonyms import read_synonyms, shipped_synonyms


def test_common_short_names_are_accepted() -> None:
    assert {"USA", "United States", "U.S."} <= set(synonyms_for("United States of America"))
    assert "UK" in synonyms_for("United Kingdom")
    assert "China" in synonyms_for("People's Republic of China")
    assert "Holland" in synonyms_for("Netherlands")
    assert "New York" in synonyms_for("New York City")
    assert synonyms_for("Torm") == ()


def test_no_shipped_form_contains_its_object_and_every_form_belongs_to_one_object() -> None:
    table = shipped_synonyms()
    for name, forms in table.items():
        assert forms
        assert not [form for form in forms if name in form], "such a form adds nothing to a containment match"
    for name, forms in table.items():
        for other, others in table.items():
            if name not in other and other not in name and "Netherlands" not in name + other:
                assert not set(forms) & {other, *others}


def test_short_forms_do_not_stand_inside_the_other_objects() -> None:
    wrong = {"South America", "USSR", "North Korea", "Rio Grande", "popular", "Northern Ireland"}
    for forms in shipped_synonyms().values():
        assert not [(form, text) for form in forms for text in wrong if form in text and form != text]


def test_a_user_entry_takes_the_place_of_ours_and_may_be_empty(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("Turkey: []\nTorm: [Tormville, Tormville, ' T. ']\n", encoding="utf-8")
    table = read_synonyms(file)
    assert synonyms_for("Turkey", table) == ()
    assert synonyms_for("Torm", table) == ("Tormville", "T.")
    assert synonyms_for("Kyiv", table) == ("Kiev",)


@pytest.mark.parametrize("text", ["Torm: Tormville", "Torm: [1]", "Torm: ['']", "- Torm"])
def test_a_user_table_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_synonyms(file)


def test_forms_reach_the_facts_from_the_data_the_user_and_us(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("question,answer,synonyms,split\nq1?,Kyiv,Kyjiw|Kiew,test\nq2?,Torm,,test\n", encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text("Torm: [Tormville]\n", encoding="utf-8")
    facts = read_facts(FactsSettings.make(path=str(data), synonyms_file=str(file)))[0]
    assert [fact.accepted for fact in facts] == [("Kyiv", "Kyjiw", "Kiew", "Kiev"), ("Torm", "Tormville")]
    plain = read_facts(FactsSettings.make(path=str(data), shipped_synonyms=False))[0]
    assert [fact.accepted for fact in plain] == [("Kyiv", "Kyjiw", "Kiew"), ("Torm",)]
