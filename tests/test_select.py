import itertools
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_tiny import tiny_facts, tiny_levels
from recollect.errors import InputError, StepError
from recollect.facts import Fact, FactSet
from recollect.select import LEVELS, SelectSettings, available, read_levels, run_select, selection_order


def _world(counts: dict[tuple[str, int], int]) -> tuple[list[Fact], dict[str, int]]:
    facts, level_of = [], {}
    for (relation, level), count in counts.items():
        for number in range(count):
            fact = Fact(relation, f"s{level}.{number}", "o", f"{relation} {level}.{number}?")
            facts.append(fact)
            level_of[fact.id] = level
    return facts, level_of


worlds = st.dictionaries(
    st.tuples(st.sampled_from(["P1", "P2", "P3", "P4"]), st.sampled_from(LEVELS)),
    st.integers(1, 9),
    min_size=1,
)


@given(worlds, st.integers(0, 5), st.booleans())
def test_order_holds_every_fact_once_whatever_order_they_came_in(counts, seed, mixed):
    facts, level_of = _world(counts)
    turns = LEVELS if mixed else None
    order = list(selection_order(facts, seed, level_of, turns))
    assert sorted(fact.id for fact in order) == sorted(fact.id for fact in facts)
    assert order == list(selection_order(facts[::-1], seed, level_of, turns))


@given(worlds, st.integers(0, 5), st.data())
def test_a_pool_is_shared_evenly_over_relations_as_far_as_they_reach(counts, seed, data):
    facts, _ = _world(counts)
    size = data.draw(st.integers(1, len(facts)))
    taken = Counter(fact.relation for fact in itertools.islice(selection_order(facts, seed), size))
    available = Counter(fact.relation for fact in facts)
    most = max(taken.values())
    for relation, there in available.items():
        assert taken[relation] == there or taken[relation] >= most - 1


@given(worlds, st.integers(0, 5), st.data())
def test_mixed_levels_share_evenly_as_far_as_they_reach(counts, seed, data):
    facts, level_of = _world(counts)
    size = data.draw(st.integers(1, len(facts)))
    taken = Counter(
        level_of[fact.id] for fact in itertools.islice(selection_order(facts, seed, level_of, LEVELS), size)
    )
    available = Counter(level_of.values())
    most = max(taken.values())
    for level, there in available.items():
        assert taken[level] == there or taken[level] >= most - 1


@pytest.mark.parametrize("size", [50, 60, 100, 240])
def test_mixed_is_exact_in_levels_and_in_relations_where_there_are_enough(size, tmp_path):
    facts = tiny_facts(40, test=0)
    result = run_select(SelectSettings(size=size, seed=size), facts, tiny_levels(facts), root=tmp_path)
    found = result.found
    assert set(found.by_level.values()) == {size // 5}
    assert set(found.by_relation.values()) == {size // 10}
    assert found.shortfall.plain() == {"relations": {}, "levels": {}}


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["mixed", "2", "0,3", "random"]),
    st.integers(0, 9),
    st.integers(1, 80),
    st.integers(1, 80),
)
def test_smaller_selection_of_a_seed_is_inside_the_larger_one(tmp_path_factory, level, seed, one, other):
    facts = tiny_facts(40, test=0)
    levels = tiny_levels(facts)
    root = tmp_path_factory.mktemp("nested")
    small, large = (
        [
            fact.id
            for fact in run_select(SelectSettings(size=size, level=level, seed=seed), facts, levels, root=root).facts
        ]
        for size in sorted((one, other))
    )
    assert large[: len(small)] == small


def test_other_seed_gives_other_facts(tmp_path):
    facts = tiny_facts(40, test=0)
    levels = tiny_levels(facts)
    first, second = (run_select(SelectSettings(seed=s), facts, levels, root=tmp_path).facts for s in (0, 1))
    assert {fact.id for fact in first} != {fact.id for fact in second}


def test_only_train_facts_of_the_wanted_levels_are_taken(tmp_path):
    facts = tiny_facts(10, test=10)
    levels = tiny_levels(facts)
    result = run_select(SelectSettings(size="all", level="3, 1"), facts, levels, root=tmp_path)
    table = pl.read_parquet(result.path / "selection.parquet")
    assert {fact.part for fact in result.facts} == {"train"}
    assert table.columns == ["fact_id", "relation", "level", "question", "object"]
    assert Counter(table["level"]) == {1: 20, 3: 20}


def test_relation_that_is_too_small_is_filled_evenly_and_named(tmp_path):
    facts = tiny_facts(10, test=0, ood=0)
    few = FactSet(tuple(f for f in facts if f.relation != "P36" or f.subject in ("thing 0", "thing 1")), "few")
    result = run_select(SelectSettings(size=50, level="random"), few, root=tmp_path)
    found = result.found
    assert found.by_relation["P36"] == 2
    assert sorted(found.by_relation.values()) == [2, 5, 5, 5, 5, 5, 5, 6, 6, 6]
    assert found.shortfall.relations == {"P36": 3}


def test_mixed_with_a_level_missing_takes_the_others_and_says_so(tmp_path):
    facts = tiny_facts(10, test=0, ood=0)
    levels = tiny_levels(facts).with_columns(pl.col("level").replace(4, 3))
    found = run_select(SelectSettings(size=40), facts, levels, root=tmp_path).found
    assert found.by_level == {"0": 10, "1": 10, "2": 10, "3": 10}
    assert found.shortfall.levels == {"4": 8}


def test_random_needs_no_levels_and_is_balanced(tmp_path):
    result = run_select(SelectSettings(size=20, level="random"), tiny_facts(10), root=tmp_path)
    assert set(Counter(fact.relation for fact in result.facts).values()) == {2}
    assert pl.read_parquet(result.path / "selection.parquet")["level"].null_count() == 20


def test_unsure_levels_can_be_left_out(tmp_path):
    facts = tiny_facts(12)
    levels = tiny_levels(facts)
    settings_ = SelectSettings(size="all", level="0", min_level_confidence=0.8)
    result = run_select(settings_, facts, levels, root=tmp_path)
    sure = set(levels.filter((pl.col("level") == 0) & (pl.col("level_probability") > 0.8))["fact_id"])
    assert {fact.id for fact in result.facts} == {fact.id for fact in facts.part("train") if fact.id in sure}


def test_too_large_a_size_says_which_would_work(tmp_path):
    facts = tiny_facts(10)
    with pytest.raises(InputError, match=r"at most 20.*size=21.*Lower --size to 20"):
        run_select(SelectSettings(size=21, level="2"), facts, tiny_levels(facts), root=tmp_path)


def test_level_without_facts_says_which_there_are(tmp_path):
    facts = tiny_facts(2)
    with pytest.raises(InputError, match=r"no training fact at level 4.*\{0: 10, 1: 10\}"):
        run_select(SelectSettings(size=1, level="4"), facts, tiny_levels(facts), root=tmp_path)


def test_selecting_by_level_without_levels_is_an_error(tmp_path):
    with pytest.raises(InputError, match="levels must be given"):
        run_select(SelectSettings(size=1, level="4"), tiny_facts(2), root=tmp_path)


@pytest.mark.parametrize("level", ["5", "1,1", "", "high", "1;2"])
def test_level_that_is_none_is_refused(level):
    with pytest.raises(InputError, match="level"):
        SelectSettings.make(level=level)


def test_repeat_finds_its_step_and_other_settings_are_refused(tmp_path):
    facts = tiny_facts(10)
    levels = tiny_levels(facts)
    first = run_select(SelectSettings(size=10), facts, levels, out=tmp_path / "s")
    before = (first.path / "selection.parquet").read_bytes()
    assert run_select(SelectSettings(size=10), facts, levels, out=tmp_path / "s").facts == first.facts
    with pytest.raises(StepError, match="size was 10, now 20"):
        run_select(SelectSettings(size=20), facts, levels, out=tmp_path / "s")
    again = run_select(SelectSettings(size=10), facts, levels, out=tmp_path / "t")
    assert (again.path / "selection.parquet").read_bytes() == before


def test_facts_and_levels_are_read_from_step_directories_and_files(tmp_path):
    facts = tiny_facts(10)
    facts.table().write_parquet(tmp_path / "facts.parquet")
    tiny_levels(facts).write_parquet(tmp_path / "levels.parquet")
    by_path = run_select(
        SelectSettings(facts=str(tmp_path / "facts.parquet"), levels=tmp_path / "levels.parquet", size=10),
        root=tmp_path,
    )
    in_memory = run_select(SelectSettings(size=10), facts, tiny_levels(facts), root=tmp_path / "other")
    assert list(by_path.facts) == list(in_memory.facts)
    assert by_path.path.name == in_memory.path.name  # where the inputs lie does not count


def test_missing_or_foreign_tables_are_named(tmp_path):
    with pytest.raises(InputError, match="no levels at"):
        read_levels(tmp_path)
    with pytest.raises(StepError, match="not a finished step directory"):
        run_select(SelectSettings(facts=str(tmp_path), level="random"), root=tmp_path / "runs")
    pl.DataFrame({"fact_id": ["a"]}).write_parquet(tmp_path / "levels.parquet")
    with pytest.raises(InputError, match="level is missing"):
        read_levels(tmp_path)
    (tmp_path / "levels.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_levels(tmp_path)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"fact_id": ["a"]}, "a table of levels must have the columns fact_id, level, but level is missing"),
        (
            {"fact_id": ["a"], "level": ["high"]},
            "must have numbers from 0 to 4 as level, but the column is of type Str",
        ),
    ],
)
def test_a_table_that_holds_no_levels_is_refused_in_memory_and_on_disk(columns, said, tmp_path):
    levels = pl.DataFrame(columns)
    with pytest.raises(InputError, match=said):
        run_select(SelectSettings(size=1), tiny_facts(2), levels, root=tmp_path)
    levels.write_parquet(tmp_path / "levels.parquet")
    with pytest.raises(InputError, match=said.removeprefix("a table of levels")):
        read_levels(tmp_path)


def test_the_folder_one_is_in_is_no_step_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match="not a finished step directory"):
        run_select(SelectSettings(facts=".", level="random"), root=tmp_path / "runs")
    with pytest.raises(InputError, match="facts"):
        SelectSettings.make(facts="", level="random")


@pytest.mark.parametrize("level", ["mixed", "random", "2", "2,3"])
@pytest.mark.parametrize("confidence", [0.0, 0.6])
def test_what_is_available_is_what_a_selection_of_all_takes(level, confidence, tmp_path):
    facts = tiny_facts(8, test=2)
    levels = tiny_levels(facts)
    odds = [0.5 if at % 3 else 0.9 for at in range(levels.height)]
    levels = levels.with_columns(level_probability=pl.Series(odds))
    settings = SelectSettings(size="all", level=level, min_level_confidence=confidence)
    taken = run_select(settings, facts, levels, root=tmp_path).found.size
    assert available(facts, levels, level, confidence) == taken
    assert available(facts, None, level, confidence) == len(facts.part("train"))
