"""The validation slice: fixed, stratified, disjoint from the test set."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect.errors import InputError
from recollect.experiments.search.validation import split
from recollect.facts import Fact, FactSet


def fact_set(counts: dict[str, int], ood: int = 3) -> FactSet:
    """Test facts by relation, and some out-of-domain."""
    facts = [Fact("P36", "seen", "x", "seen?")]
    for relation, count in counts.items():
        facts += [Fact(relation, f"{relation} {n}", "x", f"{relation} of {n}?", split="test") for n in range(count)]
    facts += [Fact("P50", f"b{n}", "x", f"b{n}?", domain="out-of-domain", split="test") for n in range(ood)]
    return FactSet(tuple(facts))


@given(
    counts=st.dictionaries(st.sampled_from(["P17", "P19", "P20", "P36"]), st.integers(1, 30), min_size=1),
    share=st.floats(0.1, 0.9),
    seed=st.integers(0, 5),
)
def test_the_slices_are_disjoint_whole_and_of_the_share_in_every_stratum(
    counts: dict[str, int], share: float, seed: int
) -> None:
    facts = fact_set(counts)
    level_of = {fact.id: at % 3 for at, fact in enumerate(facts)}
    total = sum(counts.values())
    wanted = round(share * total)
    if min(wanted, total - wanted) < 4:
        with pytest.raises(InputError, match="at least 4 facts"):
            split(facts, level_of, share=share, most=None, seed=seed)
        return
    slices = split(facts, level_of, share=share, most=None, seed=seed)
    validation, test = {fact.id for fact in slices.validation}, {fact.id for fact in slices.test}
    assert len(validation) == wanted and not validation & test
    assert validation | test == {fact.id for fact in facts if fact.part != "train"}
    assert {fact.part for fact in slices.validation} == {"test"}
    strata = Counter((fact.relation, level_of[fact.id]) for fact in facts if fact.part == "test")
    chosen = Counter((fact.relation, level_of[fact.id]) for fact in slices.validation)
    assert all(abs(chosen[stratum] - count * wanted / total) <= 1 for stratum, count in strata.items())


def test_facts_added_to_one_relation_move_no_order_in_another() -> None:
    few, more = fact_set({"P17": 20, "P19": 20}), fact_set({"P17": 20, "P19": 40})
    chosen = [
        {fact.subject for fact in split(facts, None, share=0.5, most=None, seed=0).validation if fact.relation == "P17"}
        for facts in (few, more)
    ]
    assert chosen[0] == chosen[1] and len(chosen[0]) == 10


def test_seeds_draw_different_slices_and_the_same_seed_the_same() -> None:
    facts = fact_set({"P17": 40})
    draws = [
        tuple(fact.id for fact in split(facts, None, share=0.5, most=None, seed=seed).validation) for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_largest_number_caps_the_slice_and_the_rest_tests() -> None:
    slices = split(fact_set({"P17": 40, "P19": 40}), None, share=0.5, most=10, seed=0)
    assert len(slices.validation) == 10 and slices.test.counts() == {"train": 0, "test": 70, "ood": 3}
    assert Counter(fact.relation for fact in slices.validation) == {"P17": 5, "P19": 5}


def test_all_questions_about_a_page_stay_together() -> None:
    facts = [
        Fact("page", f"page{n}", "{}", f"page{n} question {q}", split="test")
        for n in range(20)
        for q in range(n % 3 + 1)
    ]
    slices = split(FactSet(tuple(facts)), None, share=0.5, most=None, seed=0, by_subject=True)
    pages = [{fact.subject for fact in one} for one in (slices.validation, slices.test)]
    assert not pages[0] & pages[1] and [len(one) for one in pages] == [10, 10]
