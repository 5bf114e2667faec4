"""Cells that are no text, neighbouring data sets, near duplicates, traps and bad rows: read, named or refused."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recollect.errors import InputError
from recollect.facts import Fact, FactSet, FactsSettings, load_facts, read_facts, read_relations
from recollect.facts.reading import near_key

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def read(folder: Path, content: str | list[Any], name: str = "t.jsonl", **settings: Any) -> tuple[FactSet, Any]:
    path = folder / name
    path.write_text(content if isinstance(content, str) else "\n".join(map(json.dumps, content)), encoding="utf-8")
    return read_facts(FactsSettings.make(path=str(path), **settings))


def forms(facts: FactSet) -> list[tuple[str, ...]]:
    return [fact.accepted for fact in facts]


# -- cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["answer", "answers"])
@pytest.mark.parametrize("cell", ["\"['red', 'ruby']\"", '"[""red"", ""ruby""]"', "\"['red' 'ruby']\""])
def test_a_list_written_into_a_csv_is_an_object_and_its_synonyms(tmp_path: Path, column: str, cell: str) -> None:
    facts, report = read(tmp_path, f"question,{column}\nq?,{cell}\n", "t.csv")
    assert forms(facts) == [("red", "ruby")]
    assert any("Lists written as text" in note for note in report.notes)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("NaN", "line 1 has an empty answer"),
        ("null", "line 1 has an empty answer"),
        ("[NaN]", "line 1 has an empty answer"),
        ("Infinity", "the number inf"),
        ("true", r"object must be a text, but is True \(yes or no\)"),
        ('[["a"]]', "inside a list"),
    ],
)
def test_a_cell_that_is_no_answer_is_refused_with_its_row(tmp_path: Path, cell: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, f'{{"question": "q?", "answer": {cell}}}')


def test_dates_of_a_parquet_file_are_refused_by_name(tmp_path: Path) -> None:
    table = pl.DataFrame({"question": ["q?"]}).with_columns(answer=pl.date(1969, 7, 20))
    table.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"row 1: object must be a text, but is 1969-07-20 \(a date\)"):
        read_facts(FactsSettings.make(path=str(tmp_path / "t.parquet")))


def test_whole_floats_are_whole_numbers_in_json_and_in_a_csv_column_of_floats(tmp_path: Path) -> None:
    rows = [{"question": "a?", "answer": 1971.0}, {"question": "b?", "answer": 1.10}]
    text = "\n".join(map(json.dumps, rows)).replace("1.1}", "1.10}")
    assert forms(read(tmp_path, text)[0]) == [("1971",), ("1.10",)]
    assert forms(read(tmp_path, "question,answer\na?,1971.0\nb?,12.5\n", "t.csv")[0]) == [("1971",), ("12.5",)]
    assert forms(read(tmp_path, "question,answer\na?,12.50\nb?,13.00\n", "t.csv")[0]) == [("12.50",), ("13.00",)]


def test_a_question_that_is_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="question must be a text, but is a list"):
        read(tmp_path, "question,answer\n\"['q?']\",a\n", "t.csv")


# -- choices -------------------------------------------------------------------------------------------------

RINGS, FISH = ["Mars", "Saturn", "Venus"], ["cod", "oak", "fox"]


@pytest.mark.parametrize(
    ("first", "second"), [(1, 0), ("1", "0"), ("B", "A"), ("(b)", "a."), ("Saturn", "cod"), (2.0 - 1, 0.0)]
)
def test_the_answer_is_the_text_of_the_choice_it_names(tmp_path: Path, first: Any, second: Any) -> None:
    rows = [
        {"question": "Rings?", "choices": RINGS, "answer": first},
        {"question": "Fish?", "choices": FISH, "answer": second},
    ]
    assert forms(read(tmp_path, rows)[0]) == [("Saturn",), ("cod",)]


def test_numbers_count_from_one_where_the_last_choice_says_so_and_must_be_said_where_nothing_does(
    tmp_path: Path,
) -> None:
    rows = [{"question": "Rings?", "choices": RINGS, "answer": 2}, {"question": "F?", "choices": FISH, "answer": 1}]
    last = [*rows, {"question": "Red?", "choices": FISH, "answer": 3}]
    assert forms(read(tmp_path, last)[0]) == [("Saturn",), ("cod",), ("fox",)]
    with pytest.raises(InputError, match="--choice-base 0 or --choice-base 1"):
        read(tmp_path, rows)
    assert forms(read(tmp_path, rows, choice_base=0)[0]) == [("Venus",), ("oak",)]
    with pytest.raises(InputError, match="count choices from 0 in 1 rows and from 1 in 1"):
        read(tmp_path, [*last, {"question": "B?", "choices": FISH, "answer": 0}])


def test_choices_with_labels_and_choices_in_columns_are_read(tmp_path: Path) -> None:
    labelled = {"text": RINGS, "label": ["1", "2", "3"]}
    assert forms(read(tmp_path, [{"question": "Rings?", "choices": labelled, "answerKey": "2"}])[0]) == [("Saturn",)]
    table = "question,A,B,C,answer\nRings?,Mars,Saturn,Venus,B\n"
    assert forms(read(tmp_path, table, "t.csv")[0]) == [("Saturn",)]
    assert forms(read(tmp_path, table, "t.csv", columns="choices=")[0]) == [("B",)]


def test_an_answer_that_is_no_choice_is_a_bad_row(tmp_path: Path) -> None:
    rows = [{"question": "Rings?", "choices": RINGS, "answer": "E"}, {"question": "F?", "choices": FISH, "answer": "A"}]
    with pytest.raises(InputError, match="line 1: the answer 'E' is none of the 3 choices"):
        read(tmp_path, rows)
    facts, report = read(tmp_path, rows, bad_rows="skip")
    assert forms(facts) == [("cod",)]
    assert report.bad_rows.reasons == {"answer is none of the choices": 1}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"text": ["a", "b"], "label": 5}, "line 1: the labels of choices must be a list, but are '5'"),
        ({"text": ["a"], "label": ["A", "B"]}, "line 1: the answer 'B' is none of the 1 choices"),
    ],
)
def test_labels_that_do_not_fit_their_choices_are_a_bad_row(tmp_path: Path, choices: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, [{"question": "Q?", "choices": choices, "answerKey": "B"}])


# -- neighbouring data sets ----------------------------------------------------------------------------------

BEAR = {"sub_id": "Q1", "sub_label": "Avalia", "sub_aliases": ["A."], "obj_label": "Torm", "answer_idx": 0}


def test_bear_rows_take_their_relation_from_the_name_of_the_file(tmp_path: Path) -> None:
    facts, report = read(tmp_path, [BEAR], "P36.jsonl")
    assert [(fact.relation, fact.subject, fact.accepted) for fact in facts] == [("P36", "Avalia", ("Torm",))]
    assert "The relation of P36.jsonl is taken from its name: P36." in report.notes
    with pytest.raises(InputError, match=r"neither a question nor a relation.*--relation-name P36"):
        read(tmp_path, [BEAR], "capitals.jsonl")
    assert read(tmp_path, [BEAR], "capitals.jsonl", relation_name="P36")[0].relations == ("P36",)


def test_a_folder_of_bear_files_is_one_set(tmp_path: Path) -> None:
    for name in ("P36", "P19"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(BEAR))
    facts = read_facts(FactsSettings.make(path=str(tmp_path)))[0]
    assert set(facts.relations) == {"P36", "P19"}
    assert read_facts(FactsSettings.make(path=str(tmp_path), relations="P19"))[0].relations == ("P19",)


def test_a_folder_of_splits_is_read_by_the_names_of_its_files(tmp_path: Path) -> None:
    def asked(question: str, **more: str) -> str:
        turns = [("system", "Be brief."), ("user", question), ("assistant", f"to {question}")]
        return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns], **more}) + "\n"

    (tmp_path / "train.jsonl").write_text(asked("one") + asked("two"))
    (tmp_path / "test-00000-of-00001.jsonl").write_text(asked("three") + asked("four", split="train"))
    (tmp_path / "validation.csv").write_text("question,answer\nfive,to five\n")
    for source in ("auto", "chat"):
        if source == "chat":
            (tmp_path / "validation.csv").unlink()
        facts, report = read_facts(FactsSettings.make(path=str(tmp_path), source=source))
        parts = {fact.question: fact.part for fact in facts}
        assert parts == {"one": "train", "two": "train", "three": "test", "four": "train"}
        assert facts.relations == ("qa",)
        assert "The part of a fact is said by the name of its file." in report.notes
        assert "train.jsonl: 2 rows have a system turn, without which their questions are asked." in report.notes
    (tmp_path / "extra.jsonl").write_text(asked("six"))
    with pytest.raises(InputError, match="named neither by relations such as P36 nor all by their part"):
        read_facts(FactsSettings.make(path=str(tmp_path)))


def test_the_subjects_of_a_folder_of_splits_have_no_relation_of_that_name(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text(f"subject,question,answer\n{name},Who is {name}?,{name} it is\n")
    facts = read_facts(FactsSettings.make(path=str(tmp_path)))[0]
    assert {(fact.relation, fact.part) for fact in facts} == {("qa", "train"), ("qa", "test")}


def test_lama_rows_are_read_and_nested_sets_are_refused_by_name(tmp_path: Path) -> None:
    lama = {"uuid": "1", "sub_label": "Avalia", "obj_label": "Torm", "predicate_id": "P36", "evidences": [{}]}
    assert read(tmp_path, [lama])[0].relations == ("P36",)
    with pytest.raises(InputError, match="CounterFact as published is nested"):
        read(tmp_path, [{"case_id": 0, "requested_rewrite": {"prompt": "{} is", "subject": "A"}}])
    with pytest.raises(InputError, match="SQuAD as published is nested"):
        read(tmp_path, json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": []}]}), "t.json")


@pytest.mark.parametrize("question", ["The capital of [X] is [Y].", "The capital of Avalia is [MASK].", "<mask> is it"])
def test_a_question_with_an_open_slot_is_refused(tmp_path: Path, question: str) -> None:
    with pytest.raises(InputError, match="the question holds the slot"):
        read(tmp_path, [{"question": question, "answer": "a"}])


def templates(folder: Path, name: str, text: str) -> tuple[str, ...]:
    (folder / name).write_text(text)
    return read_relations(folder / name)["P36"].templates


def test_a_template_that_ends_in_the_object_is_cut_before_it(tmp_path: Path) -> None:
    text = 'P36: ["The capital of [X] is [Y].", "[X] has the seat [Y] .", "[X] is ruled from [MASK]", "[X] has"]\n'
    expected = ("The capital of [X] is", "[X] has the seat", "[X] is ruled from", "[X] has")
    assert templates(tmp_path, "t.yaml", text) == expected


@pytest.mark.parametrize("template", ["[Y] is the capital of [X].", "[X] has [Y] as capital", "[X] [Y] [Y]"])
def test_a_template_with_the_object_elsewhere_is_refused(tmp_path: Path, template: str) -> None:
    with pytest.raises(InputError, match="holds the object's slot before its end"):
        templates(tmp_path, "t.yaml", f'P36: ["{template}"]\n')


def test_template_files_of_lama_pararel_and_bear_are_read_less_those_that_cannot_be_continued(tmp_path: Path) -> None:
    cut = ("The capital of [X] is",)
    lama = '{"relation": "P36", "template": "The capital of [X] is [Y] ."}'
    pararel = '{"pattern": "The capital of [X] is [Y].", "tense": "present"}\n{"pattern": "[Y] is the seat of [X]."}'
    bear = json.dumps({"P36": {"templates": ["The capital of [X] is [Y].", "[Y] is the seat of [X]."]}})
    assert templates(tmp_path, "relations.jsonl", lama) == cut
    assert templates(tmp_path, "P36.jsonl", pararel) == cut
    assert templates(tmp_path, "metadata.json", bear) == cut
    with pytest.raises(InputError, match="none of the 1 templates of P36 ends in the object's slot"):
        templates(tmp_path, "P36.jsonl", '{"pattern": "[Y] is the seat of [X]."}')


def test_the_published_pararel_and_known_1000_files_are_read() -> None:
    if not SHARED.is_dir():
        pytest.skip("the published data is not at ../shared/data")
    relations = read_relations(SHARED / "pararel" / "pattern_data" / "graphs_json")
    assert len(relations["P36"].templates) == 8 and not any(
        "[Y]" in template for relation in relations.values() for template in relation.templates
    )
    known = read_facts(FactsSettings.make(path=str(SHARED / "known_1000" / "known_1000.json")))[0]
    assert len(known) > 1_000 and known.facts[0].object == "Antarctica"


# -- near duplicates and traps -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who leads the Caf\u00e9?", "Who leads the Cafe\u0301?"),
        ("Which sea is  dead?", "which sea is dead"),
        ("Who is at home?", "Who is a\u200bt home?"),
        ("Who wrote O\u2019Dell?", "Who wrote O'Dell?"),
        ("Was J.R. well-known?", "was JR well known"),
        ("Who wrote \u00abIt\u00bb?", 'Who wrote "It"?'),
    ],
)
def test_questions_that_differ_in_writing_alone_overlap_and_are_dropped_on_demand(
    tmp_path: Path, one: str, other: str
) -> None:
    rows = [{"question": one, "answer": "Ann", "split": "train"}, {"question": other, "answer": "Ann", "split": "test"}]
    rows.append({"question": "Another?", "answer": "Ann", "split": "train"})
    report = read(tmp_path, rows)[1]
    assert report.overlap.plain() == {"train_questions_in_test": 1, "nearly_the_same": 1, "dropped": False}
    assert any("1 of them nearly the same" in trap for trap in report.traps)
    assert read(tmp_path, rows, drop_overlap=True)[0].counts()["train"] == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("What is -4?", "What is 4?"), ("Is it 3.14?", "Is it 314?"), ("Who made C#?", "Who made C?"), ("5 %?", "5?")],
)
def test_questions_that_differ_in_meaning_do_not_overlap(one: str, other: str) -> None:
    assert near_key(one) != near_key(other)


@pytest.mark.parametrize(
    ("rows", "trap"),
    [
        ([("q?", ["politician", "p"])], "one or two letters accepted ('p')"),
        ([("q?", "7")], "one or two letters accepted ('7')"),
        ([("q?", "A"), ("r?", "C")], "Every answer is one letter or digit"),
        ([("q?", "Ann &amp; Ben")], "HTML entities or tags ('Ann &amp; Ben')"),
        ([("Salt &#38; Stone?", "Ann")], "HTML entities or tags"),
        ([("q?", "<b>Cy</b>")], "HTML entities or tags ('<b>Cy</b>')"),
        ([("q?", "nan")], "says a value is missing ('nan')"),
        ([("q?", "[0, 1]")], "written like a list or an object"),
        ([("q?", "York"), ("r?", "New York")], "inside another object of the same relation ('York' in 'New York')"),
        ([("q?", "Oman"), ("r?", "Woman")], "another object of the same relation"),
        ([("q?", "Torm"), ("q?", "Lund")], "not the first one's: 1."),
    ],
)
def test_traps_are_named(tmp_path: Path, rows: list[tuple[str, Any]], trap: str) -> None:
    found = read(tmp_path, [{"question": question, "answer": answer} for question, answer in rows])[1].traps
    if "Oman" in str(rows):  # case counts: Oman does not occur in Woman
        assert not any(trap in line for line in found)
    else:
        assert any(trap in line for line in found), found


def test_plain_data_has_no_trap(tmp_path: Path) -> None:
    rows = [("Who was it?", "Torm"), ("Where?", "Graz & Linz"), ("Country?", "UK"), ("Is 3 < 4 > 2?", "yes")]
    assert read(tmp_path, [{"question": q, "answer": a} for q, a in rows])[1].traps == []


# -- bad rows, unions, ids -----------------------------------------------------------------------------------


def test_bad_rows_are_skipped_and_counted_with_their_place_and_reason(tmp_path: Path) -> None:
    text = "question,answer\nq1?,a1\nq2?,\n,a3\nq4?,a4,b\nq5?,a5\n"
    with pytest.raises(InputError, match="line 5 has more cells"):
        read(tmp_path, text, "t.csv")
    facts, report = read(tmp_path, text, "t.csv", bad_rows="skip")
    assert len(facts) == 2 == report.rows_total
    account = report.bad_rows
    assert account.skipped == 3
    assert account.reasons == {"empty answer": 1, "empty question": 1, "more cells than the header": 1}
    assert {row.where for row in account.first} == {"line 3", "line 4", "line 5"}
    with pytest.raises(InputError, match="no fact is left of 1 row; dropped: 1 by 'empty answer'"):
        read(tmp_path, "question,answer\nq2?,\n", "t.csv", bad_rows="skip")


def test_rows_of_a_union_of_shapes_are_read_by_the_keys_they_fill(tmp_path: Path) -> None:
    empty = dict.fromkeys(("prompt", "completion", "instruction", "output", "question", "answer"))
    filled = [{"question": "q1?", "answer": "a1"}, {"prompt": "q2?", "completion": "a2"}]
    filled.append({"instruction": "q3?", "output": "a3"})
    facts = read(tmp_path, [{**empty, **row} for row in filled])[0]
    assert {(fact.question, fact.object) for fact in facts} == {("q1?", "a1"), ("q2?", "a2"), ("q3?", "a3")}


def test_the_answers_of_chats_are_texts_even_when_they_are_written_as_json(tmp_path: Path) -> None:
    assert forms(read(tmp_path, [{"prompt": "List?", "completion": '["a", "b"]'}])[0]) == [('["a", "b"]',)]


def test_own_ids_stay_in_both_parts(tmp_path: Path) -> None:
    rows = [{"fact_id": f"A-{n}", "question": f"q{n}?", "answer": f"a{n}"} for n in range(8)]
    facts = read(tmp_path, rows)[0]
    assert {fact.id for fact in facts} == {f"A-{n}" for n in range(8)}
    assert facts.counts()["test"] == 2


def test_a_table_with_our_columns_but_other_values_is_refused(tmp_path: Path) -> None:
    table = FactSet((Fact("qa", "q?", "a", "q?"),)).table()
    broken = {
        "split must be train or test, but got 'dev'": table.with_columns(split=pl.lit("dev")),
        "row 1 has an empty synonyms": table.with_columns(synonyms=pl.lit(None, pl.List(pl.String))),
        "row 1 has an empty object": table.with_columns(object=pl.lit(" ")),
        "column relation of type String, but got Int32": table.with_columns(relation=pl.lit(3)),
    }
    for said, changed in broken.items():
        changed.write_parquet(tmp_path / "t.parquet")
        with pytest.raises(InputError, match=said):
            load_facts(str(tmp_path / "t.parquet"))


# -- facts and relations that are none ----------------------------------------------------------------------


def test_a_fact_of_anything_but_texts_is_refused() -> None:
    with pytest.raises(InputError, match=r"a fact's fields must be texts, but got .*object=1969"):
        Fact("P571", "The Moon landing", 1969, "When was the Moon landing?")  # type: ignore[arg-type]


def test_a_relation_without_templates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("P36: {question: 'What is the capital of [X]?'}", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine.yaml: P36 must have a list of texts as templates, but got None"):
        read_relations(tmp_path / "mine.yaml")


def test_a_question_about_an_image_is_no_fact_without_it(tmp_path: Path) -> None:
    def asked(*parts: object) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": [*parts]}, {"role": "assistant", "content": "Lima"}]}

    text = {"type": "text", "text": "Which city is this?"}
    rows = [asked({"type": "image_url", "image_url": {"url": "lima.png"}}, text), asked({"type": "text", "text": "Q?"})]
    facts, report = read(tmp_path, rows, bad_rows="skip")
    assert [fact.question for fact in facts] == ["Q?"]
    assert report.bad_rows.reasons == {"content that is no text": 1}


def test_earlier_turns_that_no_question_holds_are_told(tmp_path: Path) -> None:
    turns = [("human", "one"), ("gpt", "1"), ("human", "two"), ("gpt", "2")]
    rows = [{"conversations": [{"from": who, "value": text} for who, text in part]} for part in (turns, turns[:2])]
    facts, report = read(tmp_path, rows)
    assert {fact.object for fact in facts} == {"1", "2"}
    assert "t.jsonl: 1 row has earlier turns, without which its question is asked." in report.notes
