"""Tables and chat data: what is read, what is guessed, what is refused."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.core.tables import Row
from recollect.errors import InputError
from recollect.facts import Fact, FactSet, FactsSettings, read_facts
from recollect.facts.tables import read_facts_table


def write(folder: Path, name: str, content: str | bytes | list[Any]) -> str:
    file = folder / name
    if isinstance(content, list):
        content = "\n".join(json.dumps(item) for item in content) if name.endswith("l") else json.dumps(content)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def pairs(path: str, **values: Any) -> list[tuple[str, str]]:
    facts = read_facts(FactsSettings.make(path=path, **values))[0]
    return sorted((fact.question, fact.object) for fact in facts)


TWO = [{"question": "q1?", "answer": "a1"}, {"question": "q2?", "answer": "a, 2"}]
PAIRS = [("q1?", "a1"), ("q2?", "a, 2")]


def test_every_format_gives_the_same_facts(tmp_path: Path) -> None:
    pl.DataFrame(TWO).write_parquet(tmp_path / "t.parquet")
    paths = [
        write(tmp_path, "t.csv", 'question,answer\nq1?,a1\nq2?,"a, 2"\n'),
        write(tmp_path, "s.csv", "question;answer\nq1?;a1\nq2?;a, 2\n"),
        write(tmp_path, "t.tsv", "question\tanswer\nq1?\ta1\nq2?\ta, 2\n"),
        write(tmp_path, "t.jsonl", TWO),
        write(tmp_path, "t.json", TWO),
        write(tmp_path, "d.json", json.dumps({"data": TWO})),
        write(tmp_path, "l.json", "\n".join(json.dumps(item) for item in TWO)),
        write(tmp_path, "bom.csv", b'\xef\xbb\xbfquestion,answer\r\nq1?,a1\r\nq2?,"a, 2"\r\n'),
        str(tmp_path / "t.parquet"),
    ]
    assert [pairs(path) for path in paths] == [PAIRS] * len(paths)


def test_a_fact_without_a_relation_is_a_qa_fact_about_its_question(tmp_path: Path) -> None:
    facts = read_facts(FactsSettings.make(path=write(tmp_path, "t.jsonl", TWO)))[0]
    assert {(fact.relation, fact.subject == fact.question, fact.domain) for fact in facts} == {
        ("qa", True, "in-domain")
    }


def test_own_column_names_are_mapped(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "t.csv",
        "frage,antwort,r,s,teil,d,auch\nWo?,Torm,P36,Avalia,test,out-of-domain,Tormville|T.\n",
    )
    columns = "question=frage,object=antwort,relation=r,subject=s,split=teil,domain=d,synonyms=auch"
    expected = Fact("P36", "Avalia", "Torm", "Wo?", ("Tormville", "T."), "out-of-domain", "test")
    assert read_facts(FactsSettings.make(path=path, columns=columns))[0].facts == (expected,)
    mapping = dict(item.split("=") for item in columns.split(","))
    assert read_facts(FactsSettings.make(path=path, columns=mapping))[0].facts == (expected,)


def test_a_known_relation_brings_its_domain_and_its_question(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "subject,relation,object\nAl,P106,poet\nAvalia,P36,Torm\n")
    facts = {fact.relation: fact for fact in read_facts(FactsSettings.make(path=path, test_share=0.01))[0]}
    assert facts["P106"].question == "What is the occupation of Al?"
    assert facts["P106"].part == "ood"  # out-of-domain facts are not trained on
    assert facts["P36"].part == "train"


def test_an_empty_mapping_reads_without_relations(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "question,answer,relation\nq1?,a1,rel\n")
    with pytest.raises(InputError, match=r"no subject column.*'question', 'answer', 'relation'"):
        read_facts(FactsSettings.make(path=path))
    assert pairs(path, columns="relation=") == [("q1?", "a1")]


@pytest.mark.parametrize(
    "answers",
    [
        ["Torm", "T."],
        "Torm|T.",
        '["Torm", "T."]',
        {"text": ["Torm", "T."]},
        {"value": "Torm", "aliases": ["T."]},
    ],
)
def test_several_answers_are_an_object_and_its_synonyms(tmp_path: Path, answers: Any) -> None:
    path = write(tmp_path, "t.jsonl", [{"question": "q?", "answers": answers}])
    assert [fact.accepted for fact in read_facts(FactsSettings.make(path=path))[0]] == [("Torm", "T.")]


def test_numbers_are_answers_too(tmp_path: Path) -> None:
    assert pairs(write(tmp_path, "t.jsonl", [{"question": "q?", "answer": 1984}])) == [("q?", "1984")]


def test_the_split_column_is_followed_and_validation_rows_are_counted_out(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "q,a,split\nq1,a,train\nq2,a,test\nq3,a,ood\nq4,a,validation\n")
    facts, report = read_facts(FactsSettings.make(path=path, columns="question=q,object=a"))
    assert facts.counts() == {"train": 1, "test": 1, "ood": 1}
    assert report.dropped == {"split not used (validation)": {"validation": 1}}


def test_without_a_split_the_share_is_exact_seeded_and_free_of_the_row_order(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}?", "answer": f"a{n}", "relation": f"r{n % 3}", "subject": "s"} for n in range(100)]
    first = read_facts(FactsSettings.make(path=write(tmp_path, "a.jsonl", rows), test_share=0.25))[0]
    assert first.counts() == {"train": 75, "test": 25, "ood": 0}
    by_relation = [sum(f.relation == r for f in first.part("test")) for r in first.relations]
    assert max(by_relation) - min(by_relation) <= 1
    shuffled = read_facts(FactsSettings.make(path=write(tmp_path, "b.jsonl", rows[::-1]), test_share=0.25))[0]
    assert {fact.id for fact in first} == {fact.id for fact in shuffled}
    other = read_facts(FactsSettings.make(path=str(tmp_path / "a.jsonl"), test_share=0.25, seed=1))[0]
    assert {f.id for f in first} != {f.id for f in other}


def test_repeated_questions_are_dropped_before_the_split_so_none_is_on_both_sides(tmp_path: Path) -> None:
    rows = [{"question": f"q{n % 10}?", "answer": f"a{n}"} for n in range(40)]
    facts, report = read_facts(FactsSettings.make(path=write(tmp_path, "t.jsonl", rows), test_share=0.5))
    assert [fact.object for fact in facts] == [f"a{n}" for n in range(10)]
    assert report.repeated_questions == 30
    assert report.overlap.train_questions_in_test == 0


def test_overlap_between_given_splits_is_reported_and_dropped_on_demand(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "question,answer,split\nq1?,a,train\nq2?,a,train\nq1?,a,test\n")
    facts, report = read_facts(FactsSettings.make(path=path))
    assert (facts.counts()["train"], report.overlap.train_questions_in_test) == (2, 1)
    facts, report = read_facts(FactsSettings.make(path=path, drop_overlap=True))
    assert (facts.counts()["train"], report.overlap.plain()) == (
        1,
        {"train_questions_in_test": 1, "nearly_the_same": 0, "dropped": True},
    )


CHATS = {
    "prompt-completion": {"prompt": "q?", "completion": " a"},
    "messages": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "earlier?"},
            {"role": "assistant", "content": "earlier"},
            {"role": "user", "content": [{"type": "text", "text": "q?"}]},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "unanswered?"},
        ]
    },
    "alpaca": {"instruction": "q?", "input": "", "output": "a"},
    "sharegpt": {"conversations": [{"from": "human", "value": "q?"}, {"from": "gpt", "value": "a"}]},
}


@pytest.mark.parametrize("shape", CHATS)
@pytest.mark.parametrize("how", ["auto", "chat", "named"])
@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_every_chat_shape_is_read_and_recognised(tmp_path: Path, shape: str, how: str, ending: str) -> None:
    if ending == "parquet":
        path = str(tmp_path / "t.parquet")
        if shape == "messages":  # Arrow wants one type of content
            messages = [dict(m, content="q?" if isinstance(m["content"], list) else m["content"])
                        for m in CHATS[shape]["messages"]]  # fmt: skip
            pl.DataFrame([{"messages": messages}]).write_parquet(path)
        else:
            pl.DataFrame([CHATS[shape]]).write_parquet(path)
    else:
        path = write(tmp_path, f"t.{ending}", [CHATS[shape]])
    facts, report = read_facts(FactsSettings.make(path=path, source=shape if how == "named" else how))
    assert [(fact.question, fact.object) for fact in facts] == [("q?", "a")]
    assert report.source == shape


def test_prompt_and_completion_may_be_messages_and_alpaca_input_joins_the_question(tmp_path: Path) -> None:
    lists = {
        "prompt": [{"role": "user", "content": "q?"}],
        "completion": [{"role": "assistant", "content": "a"}],
    }
    assert pairs(write(tmp_path, "a.jsonl", [lists])) == [("q?", "a")]
    alpaca = {"instruction": "Name the capital.", "input": "Avalia", "output": "Torm"}
    assert pairs(write(tmp_path, "b.jsonl", [alpaca])) == [("Name the capital.\nAvalia", "Torm")]


HALF = b"question,answer\nq1?,caf\xe9\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", " \n", "is empty"),
        ("t.csv", "question,answer\n", "has no rows"),
        ("t.jsonl", "\n{}\n", "no column for the object"),
        ("t.csv", HALF, "wrong byte 0xe9 at offset 23"),
        ("t.csv", "question,text\nq,a\n", r"no column for the object .*Its columns: 'question', 'text'"),
        ("t.csv", "frage,answer\nq,a\n", r"no column for the question .*Its columns: 'frage', 'answer'"),
        ("t.csv", "question,answer\nq1?,a\nq2?,\n", "line 3 has an empty answer"),
        ("t.csv", "question,answer\n,a\n", "line 2 has an empty question"),
        ("t.csv", "question,answer\nq1?,a,b\n", "line 2 has more cells than the header's 2"),
        ("t.csv", "question,answer,answer\nq1?,a,b\n", "'answer' stands twice"),
        ("t.csv", 'question,answer\nq1?,"a\n', "the row after line 1 cannot be read"),
        ("t.csv", 'question,answer\nq1?,a\nq2?,"a\n', "the row after line 2 cannot be read"),
        ("t.csv", "question,answer,split\nq1?,a,maybe\n", "split must be train, test, ood or validation"),
        ("t.csv", "question,answer,domain\nq1?,a,maybe\n", "domain must be in-domain or out-of-domain"),
        ("t.csv", "subject,relation,object\ns,zzz,a\n", "relation 'zzz' is not one of ours"),
        ("t.csv", "question,answer,relation,subject\nq1?,a,,s\n", "line 2 has an empty relation"),
        ("t.jsonl", '{"question": "q", "answer": "a"}\n[1]\n', r"line 2 must be an object.*\[1\]"),
        ("t.jsonl", '{"question": "q", "answer": "a"}\n{"question"\n', "line 2 is not valid JSON"),
        ("t.jsonl", '{"question": "q", "answer": {"a": 1}}', "line 1 has an empty answer"),
        ("t.jsonl", '{"question": "q", "answer": true}', "object must be a text, but is True"),
        ("t.jsonl", '{"question": "q", "answers": []}', "line 1 has an empty answer"),
        ("t.jsonl", '{"question": ["q"], "answer": "a"}', "question must be a text"),
        ("t.json", '"text"', "must hold a list of objects"),
        ("t.json", "[1]", "item 1 must be an object"),
        ("t.json", "[1", "is not valid JSON"),
        ("t.json", "[]", "has no rows"),
        ("t.parquet", "not parquet", "is not a readable Parquet file"),
        ("t.jsonl", '{"messages": [{"role": "user", "content": "q"}]}', "line 1 has no assistant turn"),
        ("t.jsonl", '{"messages": [{"role": "assistant", "content": "a"}]}', "no user turn before"),
        ("t.jsonl", '{"messages": "text"}', "the turns must be a list of objects"),
        (
            "t.jsonl",
            '{"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]}',
            "must hold a text",
        ),
        ("t.jsonl", '{"prompt": "q", "completion": "a"}\n{"prompt": "q"}', "line 2 lacks 'completion'"),
        ("t.jsonl", '{"prompt": "q", "completion": " "}', "line 1 has an empty answer"),
        ("t.jsonl", '{"prompt": "q", "completion": ["a"]}', "both be texts, or both lists"),
        ("t.csv", "question,answer,split\nq1?,a,dev\n", "no fact is left of 1 row"),
    ],
)
def test_bad_input_is_refused_with_its_place(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        read_facts(FactsSettings.make(path=write(tmp_path, name, content)))


@pytest.mark.parametrize("name", ["t.pkl", "t.pickle", "t.pt", "t.xlsx", "t", "t.txt"])
def test_pickles_and_unknown_endings_are_refused_unread(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match=r"is refused: files ending in"):
        read_facts(FactsSettings.make(path=path))


def test_absent_paths_wrong_mappings_and_unfit_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_facts(FactsSettings.make(path=str(tmp_path / "absent.csv")))
    path = write(tmp_path, "t.jsonl", TWO)
    with pytest.raises(InputError, match=r"no column 'nope' \(for question\). Its columns: 'question', 'answer'"):
        read_facts(FactsSettings.make(path=path, columns="question=nope"))
    with pytest.raises(InputError, match="columns must be like"):
        read_facts(FactsSettings.make(path=path, columns="frage=question"))
    with pytest.raises(InputError, match="has none of the chat shapes"):
        read_facts(FactsSettings.make(path=path, source="chat"))
    with pytest.raises(InputError, match="lacks 'messages'"):
        read_facts(FactsSettings.make(path=path, source="messages"))


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip).filter(bool)
FACT = st.builds(
    Fact,
    relation=TEXT,
    subject=TEXT,
    object=TEXT.map(lambda text: "o" + text),
    question=TEXT,
    synonyms=st.lists(TEXT.map(lambda text: "s" + text), max_size=3, unique=True).map(tuple),
    domain=st.sampled_from(["in-domain", "out-of-domain"]),
    split=st.sampled_from(["train", "test"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FACT, min_size=1, max_size=6, unique_by=lambda fact: fact.id))
def test_facts_survive_the_way_through_a_table_and_its_reader(facts: list[Fact]) -> None:
    there = FactSet(tuple(facts))
    assert FactSet.from_table(there.table()).facts == there.facts
    rows = [Row(f"row {n}", values) for n, values in enumerate(there.table().iter_rows(named=True))]
    assert read_facts_table(rows, "table", lambda object: ()).facts == list(there.facts)
