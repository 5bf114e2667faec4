"""The fingerprint of a set of facts: every field is in it, and no two sets write alike."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.facts import Fact, FactSet, FactsSettings, read_facts, run_facts

FACT = Fact("P36", "Avalia", "Torm", "Capital?", ("T.",), "in-domain", "train", "A-1")
CHANGES = {
    "relation": "P17",
    "subject": "Besk",
    "object": "Lund",
    "question": "Seat?",
    "synonyms": ("T", "."),
    "domain": "out-of-domain",
    "split": "test",
    "id": "A-2",
    "choices": ("Tarn", "Besk"),
    "turns": '[{"role": "user", "content": "Capital?"}]',
}


@pytest.mark.parametrize("name", Fact.__dataclass_fields__)
def test_every_field_of_a_fact_is_in_the_fingerprint(name: str) -> None:
    assert FactSet((replace(FACT, **{name: CHANGES[name]}),)).fingerprint() != FactSet((FACT,)).fingerprint()


PIECES = st.lists(st.sampled_from(["a", "b", "\x1f", "\x1e", '"', "\\", ",", "\n"]), max_size=4).map("".join)
ANY = st.builds(
    Fact,
    relation=PIECES,
    subject=PIECES,
    object=PIECES,
    question=PIECES,
    synonyms=st.lists(PIECES, max_size=3).map(tuple),
    domain=st.sampled_from(["in-domain", "out-of-domain"]),
    split=st.sampled_from(["train", "test"]),
    id=PIECES.map("i".__add__),
    choices=st.lists(PIECES, max_size=2).map(tuple),
    turns=PIECES,
)


@given(st.lists(ANY, max_size=2, unique_by=lambda fact: fact.id), st.lists(ANY, max_size=2, unique_by=lambda f: f.id))
def test_different_facts_have_different_fingerprints(one: list[Fact], other: list[Fact]) -> None:
    same = FactSet(tuple(one)).fingerprint() == FactSet(tuple(other)).fingerprint()
    assert same == (one == other)


def test_other_relations_under_the_same_ids_are_another_step(tmp_path: Path) -> None:
    rows = "fact_id,relation,subject,question,object\n1,{},Avalia,Capital?,Torm\n2,P17,Besk,Where?,Cor\n"
    sets = []
    for relation in ("P36", "P159"):
        (tmp_path / "t.csv").write_text(rows.format(relation), encoding="utf-8")
        sets.append(read_facts(FactsSettings.make(path=str(tmp_path / "t.csv")))[0])
    assert sets[0].fingerprint() != sets[1].fingerprint()
    assert run_facts(FactsSettings.make(path=str(tmp_path / "t.csv")), tmp_path / "out").facts == sets[1]
