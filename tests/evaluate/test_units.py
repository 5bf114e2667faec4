"""What answers were drawn with."""

import polars as pl

from recollect.evaluate import units_of


def outputs(*subjects: str, parts: str = "ttt") -> pl.DataFrame:
    return pl.DataFrame({"fact_id": list("abc"), "part": list(parts), "subject": list(subjects)})


def test_a_subject_is_the_unit_only_where_one_repeats():
    assert units_of(outputs("Peru", "Chile", "Cuba")).to_list() == ["a", "b", "c"]
    twice = units_of(outputs("Peru", "peru ", "Cuba")).to_list()
    assert twice[0] == twice[1] != twice[2]
    assert units_of(outputs("Peru", "Peru", "Cuba", parts="tot")).to_list() == ["a", "b", "c"]  # in another part
    assert units_of(outputs("Peru", "Peru", "Cuba").drop("subject")).to_list() == ["a", "b", "c"]  # earlier versions
    assert units_of(outputs("", "", "Cuba")).to_list() == ["a", "b", "c"]  # without a subject each is alone
