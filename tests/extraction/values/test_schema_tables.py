"""Schemas, files of values, the score step, and the real benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from recollect.errors import InputError, StepError
from recollect.extraction.values import (
    ScoreFound,
    ScoreSettings,
    make_schema,
    read_schema,
    read_values,
    run_score,
)

DATA = Path(__file__).parents[3].parent / "shared/data/product_pages"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the product pages are not on this machine")


def test_the_default_schema_has_the_eight_attributes() -> None:
    names = read_schema().names
    assert names == ("title", "brand", "price", "currency", "sku", "gtin", "availability", "rating")


def test_a_schema_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(read_schema().text(), encoding="utf-8")
    assert read_schema(path) == read_schema()


def test_an_answers_json_schema_allows_every_attribute_to_be_null() -> None:
    schema = read_schema().json_schema()
    assert schema["required"] == list(read_schema().names) and schema["additionalProperties"] is False
    assert schema["properties"]["price"]["type"] == ["string", "null"]
    assert schema["properties"]["availability"]["enum"] == ["InStock", "OutOfStock", "PreOrder", None]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ([], "attributes"),
        ([{"name": "a"}, {"name": "a"}], "more than once"),
        ([{"name": "has blank"}], "name"),
        ([{"name": "a", "type": "colour"}], "type"),
        ([{"name": "a", "unit": "kg"}], "unit"),
        ("brand", "attributes"),
    ],
)
def test_a_bad_schema_is_refused_with_the_field(attributes: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_schema({"name": "x", "attributes": attributes}, "mine.yaml")


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(InputError, match="no such schema"):
        read_schema("nothing-like-it")


TABLES = {
    "truth.json": '{"p1": {"brand": ["Acme", "A"], "sku": "007", "url": "x"}, "p2": {"price": 12.50, "brand": null}}',
    "long.csv": "page_id,attribute,value\np1,brand,Acme\np1,brand,A\np1,sku,007\np1,url,x\np2,price,12.50\n",
    "wide.tsv": "page_id\tbrand\tsku\tprice\np1\tAcme\t007\t\np2\t\t\t12.50\n",
    "long.jsonl": '{"page_id":"p1","brand":["Acme","A"],"sku":"007"}\n{"page_id":"p2","price":"12.50"}\n',
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_values_are_read_as_text_from_every_form(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    values = read_values(tmp_path / name, read_schema())
    assert values["p1"]["brand"][0] == "Acme" and values["p1"]["sku"] == ["007"]
    assert values["p2"] == {"price": ["12.50"]}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[1]", "must map page ids"),
        ("a.json", '{"p": 3}', "must map page ids"),
        ("a.json", '{"p": {"colour": "red"}}', "no value of the attributes"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.csv", "id,brand\n1,x\n", "no column page_id"),
        ("a.parquet", "no parquet", "not a readable Parquet file"),
        ("a.xlsx", "x", "files ending in .xlsx are not read"),
    ],
)
def test_a_bad_file_of_values_is_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_values(tmp_path / name, read_schema())


def score_files(tmp_path: Path) -> ScoreSettings:
    truth, predictions = tmp_path / "truth.json", tmp_path / "given.json"
    truth.write_text(json.dumps({"a": {"brand": ["x"]}, "b": {"brand": ["y"]}}))
    predictions.write_text(json.dumps({"a": {"brand": "X"}, "c": {"brand": "z"}}))
    return ScoreSettings(predictions=predictions, truth=truth)


def test_the_score_step_counts_missing_pages_as_empty(tmp_path: Path) -> None:
    result = run_score(score_files(tmp_path), out=tmp_path / "score")
    found = result.found
    assert found.macro is not None and found.macro.value == 0.5 and found.pages == 2
    assert (found.pages_without_prediction, found.predictions_without_truth) == (1, 1)
    assert result.items().height == 2
    again = run_score(score_files(tmp_path), out=tmp_path / "score")
    assert again.found == found
    answer = json.loads((result.path / "scores.json").read_text())
    assert answer["macro"] == answer["by_attribute"]["brand"]["accuracy"] == 50.0 and answer["f1"][
        "brand"
    ] == pytest.approx(200 / 3)
    assert ScoreFound.model_validate(answer).macro == found.macro  # as older versions have it in their manifest


def test_scoring_other_files_into_the_same_step_is_refused(tmp_path: Path) -> None:
    settings = score_files(tmp_path)
    run_score(settings, out=tmp_path / "score")
    settings.predictions.write_text(json.dumps({"a": {"brand": "other"}}))
    with pytest.raises(StepError, match="predictions"):
        run_score(settings, out=tmp_path / "score")


def test_files_without_a_common_page_are_refused(tmp_path: Path) -> None:
    settings = score_files(tmp_path)
    settings.predictions.write_text(json.dumps({"q": {"brand": "x"}}))
    with pytest.raises(InputError, match="no page in common"):
        run_score(settings, out=tmp_path / "score")
    assert not (tmp_path / "score").exists() and not (tmp_path / "score.partial").exists()


@needs_data
def test_the_published_systems_score_as_published_where_matching_is_alike(tmp_path: Path) -> None:
    """Availability is compared as the benchmark does; price and sku forgive the way of writing, so never score less."""
    truth = DATA / "ground-truth.json"
    for name in ("Zyte", "Diffbot", "extruct"):
        settings = ScoreSettings(predictions=DATA / "peers" / f"{name}.json", truth=truth)
        f1 = {
            key: 100 * one.f1.value for key, one in run_score(settings, out=tmp_path / name).found.by_attribute.items()
        }
        given, true = (json.loads(path.read_text()) for path in (settings.predictions, truth))
        exact = {key: exact_f1(true, given, key) for key in ("availability", "sku")}
        assert f1["availability"] == pytest.approx(exact["availability"])
        assert f1["sku"] >= exact["sku"] - 1e-9


def exact_f1(truth: dict[str, dict[str, list[str]]], given: dict[str, dict[str, str]], name: str) -> float:
    right = sum(given[page].get(name) in values.get(name, []) for page, values in truth.items())
    asked, said = sum(name in values for values in truth.values()), sum(name in values for values in given.values())
    return 100 * 2 * right / (asked + said)


@needs_data
def test_every_true_value_of_the_benchmark_can_be_read() -> None:
    schema = read_schema()
    from recollect.extraction.values import normalise

    values = read_values(DATA / "ground-truth.json", schema)
    odd = [
        (name, value)
        for page in values.values()
        for name, found in page.items()
        for value in found
        if normalise(schema.attribute(name), value) is None
    ]
    assert odd == []
    assert pl.Series([len(page) for page in values.values()]).sum() == 490


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"page_id;attribute;value\np1;brand;LUMO\n;;\n"),
        ("a.csv", "page_id\tbrand\np1\tLUMO\n".encode("utf-16")),
        ("a.json", b'[{"page_id": "p1", "brand": ["LUMO", null]}]'),
        ("a.json", b'{"p1": {"brand": "LUMO", "sku": NaN}}'),
    ],
)
def test_values_are_read_by_the_reader_of_facts(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert read_values(tmp_path / name, read_schema()) == {"p1": {"brand": ["LUMO"]}}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '{"p1": {"brand": "x"}, "p2": {"brand": true}}', "page 'p2': brand must be a text, but is True"),
        ("a.json", '{"p1": {"brand": "x"}, "p2": {"brand": "\\ud800"}}', "half of a surrogate pair"),
        ("a.json", '{"p1": {"brand": "x"}, "p2": {"sku": ' + "1" * 5_000 + "}}", "a number of 5,000 digits"),
        ("a.csv", "page_id,brand\np1,x\n,y\n", "line 3 must have one page_id"),
        ("a.csv", "page_id,brand\np1,x\np2,y,z\n", "line 3 has more cells"),
    ],
)
def test_a_bad_row_of_values_is_named_or_skipped_and_counted(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_values(tmp_path / name, read_schema())
    settings = ScoreSettings(predictions=tmp_path / name, truth=tmp_path / name, bad_rows="skip")
    found = run_score(settings, out=tmp_path / "score").found
    assert (found.pages, found.bad_rows["truth"].skipped) == (1, 1)
