"""The facts step: what it writes, when it is the same step, and what `load_facts` takes."""

import json
from pathlib import Path

import polars as pl
import pytest

from recollect.errors import InputError, StepError
from recollect.facts import (
    Fact,
    FactSet,
    FactsSettings,
    load_facts,
    read_facts,
    run_facts,
    shipped_relations,
    write_csv,
)

CSV = "subject,relation,object,question,split\n" + "".join(
    f"S{n},P36,{'Torm' if n < 15 else f'City{n}'},Capital of S{n}?,{'train' if n % 2 else 'test'}\n" for n in range(40)
)


def source(folder: Path, name: str = "data.csv", text: str = CSV) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_the_step_holds_the_facts_their_relations_and_the_report(tmp_path: Path) -> None:
    result = run_facts(FactsSettings.make(path=source(tmp_path)), tmp_path / "facts")
    assert result.path == tmp_path / "facts"
    assert FactSet.read(result.path / "facts.parquet").facts == result.facts.facts
    assert json.loads((result.path / "report.json").read_text(encoding="utf-8")) == result.report.plain()
    table = pl.read_parquet(result.path / "relations.parquet")
    assert table["part"].to_list() == ["train", "test"]
    assert table["facts"].to_list() == [20, 20]
    assert table["majority_object"].to_list() == ["Torm", "Torm"]
    assert table["majority_share"].to_list() == [7 / 20, 8 / 20]
    assert "test, P36: always answering 'Torm' scores 40.0%." in result.report.traps


def test_what_was_found_is_the_parts_and_the_report_is_plain_json(tmp_path: Path) -> None:
    settings = FactsSettings.make(path=source(tmp_path))
    result = run_facts(settings, tmp_path / "facts")
    assert result.found.plain() == {"train": 20, "test": 20, "ood": 0, "rows_read": 40}
    assert json.loads(json.dumps(result.report.plain(), allow_nan=False)) == result.report.plain()
    again = run_facts(settings, tmp_path / "facts")
    assert (again.found, again.report, again.facts.facts) == (result.found, result.report, result.facts.facts)


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    settings = FactsSettings.make(path=source(tmp_path), limit_per_relation=7, seed=3)
    paths = [run_facts(settings, tmp_path / name).path for name in ("one", "two")]
    for name in ("facts.parquet", "relations.parquet", "report.json"):
        assert (paths[0] / name).read_bytes() == (paths[1] / name).read_bytes()


def test_the_same_data_in_another_place_is_the_same_step_and_other_data_is_not(tmp_path: Path) -> None:
    here = run_facts(FactsSettings.make(path=source(tmp_path / "a")), root=tmp_path / "runs")
    moved = run_facts(FactsSettings.make(path=source(tmp_path / "b")), root=tmp_path / "runs")
    changed = run_facts(
        FactsSettings.make(path=source(tmp_path / "c", text=CSV + "S,P36,T,q?,test\n")),
        root=tmp_path / "runs",
    )
    assert here.path == moved.path != changed.path
    assert here.report == moved.report
    assert here.facts.facts == moved.facts.facts


def test_the_content_of_the_synonyms_file_is_part_of_the_step(tmp_path: Path) -> None:
    data = source(tmp_path)
    file = tmp_path / "mine.yaml"
    paths = []
    for text in ("Torm: [T.]\n", "Torm: [T., Tormville]\n"):
        file.write_text(text, encoding="utf-8")
        paths.append(run_facts(FactsSettings.make(path=data, synonyms_file=str(file)), root=tmp_path / "runs").path)
    assert paths[0] != paths[1]


def test_unusable_data_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run_facts(FactsSettings.make(path=source(tmp_path, text="question,answer\nq,\n")), tmp_path / "facts")
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


def test_load_facts_takes_a_step_and_a_file(tmp_path: Path) -> None:
    path = source(tmp_path)
    result = run_facts(FactsSettings.make(path=path), tmp_path / "facts")
    assert load_facts(result.path).facts == load_facts(str(result.path)).facts == result.facts.facts
    assert load_facts(path).facts == result.facts.facts
    assert load_facts(path).name == "data"
    assert load_facts(str(result.path / "facts.parquet")).facts == result.facts.facts


def test_load_facts_names_what_it_cannot_take(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder: pockett"):
        load_facts("pockett")
    with pytest.raises(StepError, match="not a finished step directory"):
        load_facts(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [("test_share", 0.0), ("test_share", 1.0), ("limit_per_relation", 0), ("source", "pickle"), ("nope", 1)],
)
def test_settings_out_of_bounds_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        FactsSettings.make(path="x", **{name: value})


def test_the_shipped_relations_are_24_and_qa_with_21_templates_each() -> None:
    relations = shipped_relations()
    assert len(relations) == 25
    assert {len(relation.templates) for relation in relations.values()} == {21}
    assert relations["qa"].question == "[X]"
    for template in relations["qa"].templates:
        assert "[X]" in template
        assert not template.endswith("[X]")


def test_the_shipped_facts_are_read_by_name_and_a_table_of_them_is_the_same_facts(tmp_path: Path) -> None:
    facts, _ = read_facts(FactsSettings.make(path="pocket", relations="P17", limit_per_relation=5))
    assert facts.counts() == {"train": 5, "test": 5, "ood": 0}
    odd = Fact("P17", 'A "b", c', "x\ny", "Where?", synonyms=("one", "an other"), split="test")
    mine = FactSet((*facts, odd), "mine")
    file = write_csv(mine, tmp_path / "mine.csv")
    assert load_facts(file).fingerprint() == mine.fingerprint()
    write_csv(mine, file)
    with pytest.raises(InputError, match="holds something else"):
        write_csv(facts, file)
