"""The pages step: sources, parts by shop, errors as rows, recall, resumption, the same bytes, the command."""

import csv
import gzip
import json
import os
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from recollect.cli import main as cli
from recollect.core.workspace import read_manifest
from recollect.errors import InputError, StepError
from recollect.extraction.html import PagesFound, PagesSettings, raw_pages, run_pages
from recollect.extraction.html import step as _step


def html(number: int, shop: int = 0) -> str:
    return (
        f'<html><head><title>Mug {number} | Shop {shop}</title><link rel=canonical href="https://www.shop{shop}.example/'
        f'{number}"></head><body><h1>Mug {number}</h1><p>Brand: Acme</p><p>${number}.50</p>{"<p>filler text" * 40}'
    )


def folder_of(path: Path, shops: int = 6, pages: int = 5) -> Path:
    path.mkdir(parents=True)
    for shop in range(shops):
        (path / f"shop{shop}").mkdir()
        for number in range(pages):
            data = html(number + 10, shop).encode()
            if number % 2:
                (path / f"shop{shop}" / f"{number}.html.gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                (path / f"shop{shop}" / f"{number}.html").write_bytes(data)
    return path


def run(path: Path, out: Path, **values):
    return run_pages(PagesSettings.make(path=path, **values), out)


def test_every_page_is_a_row_and_shops_are_not_shared_between_ood_and_the_rest(tmp_path):
    table = run(folder_of(tmp_path / "in"), tmp_path / "out", ood_share=0.4, seed=1).table()
    assert table.columns == list(_step.SCHEMA)
    assert table["page_id"].to_list() == sorted(f"shop{shop}/{number}" for shop in range(6) for number in range(5))
    assert table["error"].null_count() == 30 and table["host"][0] == "shop0.example"
    assert set(table["part"]) == {"train", "test", "ood"}
    ood = set(table.filter(pl.col("part") == "ood")["host"])
    assert ood and not ood & set(table.filter(pl.col("part") != "ood")["host"])


def test_more_pages_change_no_part_of_those_there(tmp_path):
    few = run(folder_of(tmp_path / "a", shops=3), tmp_path / "few").table()
    many = run(folder_of(tmp_path / "b", shops=9, pages=7), tmp_path / "many").table()
    both = few.join(many, on="page_id", suffix="_many")
    assert both.height == few.height and both["part"].to_list() == both["part_many"].to_list()


def test_pages_of_no_known_host_are_never_ood(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(20):
        (tmp_path / f"in/{number}.html").write_text(f"<p>{number}")
    table = run(tmp_path / "in", tmp_path / "out", ood_share=0.9).table()
    assert set(table["host"]) == {""} and set(table["part"]) == {"train", "test"}


def test_bad_pages_are_rows_with_an_error_and_the_run_goes_on(tmp_path):
    source = folder_of(tmp_path / "in", shops=1, pages=1)
    (tmp_path / "secret.html").write_text("<p>secret")
    (source / "a_link.html").symlink_to(tmp_path / "secret.html")
    (source / "b_loop.html").symlink_to(source / "b_loop.html")
    (source / "c_empty.html").touch()
    (source / "d_binary.html").write_bytes(bytes(range(256)) * 40)
    (source / "e_bomb.html.gz").write_bytes(gzip.compress(b"<p>" + b"a" * 30_000_000))
    (source / "f_torn.html.gz").write_bytes(gzip.compress(b"<p>x" * 1000)[:-20])
    (source / "g_no_gzip.html.gz").write_bytes(b"<p>x")
    (source / "h_folder.html").mkdir()
    os.mkfifo(source / "i_pipe.html")
    table = run(source, tmp_path / "out").table()
    error = dict(zip(table["page_id"], table["error"], strict=True))
    assert error.pop("shop0/0") is None
    for name, words in {
        "a_link": "outside the folder",
        "b_loop": "",
        "c_empty": "is empty",
        "d_binary": "is no text",
        "e_bomb": "more than the limit",
        "f_torn": "cannot be unpacked",
        "g_no_gzip": "cannot be unpacked",
        "h_folder": "cannot be read",
        "i_pipe": "is a pipe or a device",
    }.items():
        assert words in error[name], name
    assert table["prompt"].null_count() == 9 and "secret" not in str(table.to_dicts())
    assert read_manifest(tmp_path / "out").metrics["errors"] == 9


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_list_of_addresses_with_files(tmp_path, ending):
    folder_of(tmp_path / "in", shops=1)
    (tmp_path / "other.html").write_text("<p>secret")
    rows = [
        {"url": "https://www.Shop.example/1", "path": "shop0/0.html"},
        {"url": "https://shop.example/2", "path": "../other.html"},
        {"url": "https://shop.example/3", "path": str(tmp_path / "other.html")},
        {"url": "https://shop.example/4", "path": "missing.html"},
        {"url": "not an address [", "path": "shop0/1.html.gz"},
    ]
    file = tmp_path / f"in/list.{ending}"
    if ending == "csv":
        with file.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, ["url", "path"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    table = run(file, tmp_path / "out").table()
    assert table["host"].to_list() == ["shop.example"] * 4 + [""]
    assert [bool(text) for text in table["error"]] == [False, True, True, True, False]
    assert "secret" not in str(table.to_dicts()) and table["page_id"].n_unique() == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # warcio's writer leaves files open
def test_a_warc_archive(tmp_path):
    from io import BytesIO

    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    for packed in (True, False):
        file = tmp_path / f"crawl{packed}.warc{'.gz' if packed else ''}"
        with file.open("wb") as handle:
            writer = WARCWriter(handle, gzip=packed)
            for url, kind, body in (
                ("https://a.example/1", "text/html; charset=windows-1252", "<p>Käse 12 €".encode("cp1252")),
                ("https://a.example/0", "text/html", b"<p>gone"),
                ("https://a.example/x.png", "image/png", b"\x89PNG"),
                ("https://b.example/2", "text/html", gzip.compress(b"<p>Second")),
                ("https://b.example/3", "text/html", gzip.compress(b"<p>" + b"x" * 30_000_000)),
                ("https://a.example/1", "text/html", b"<p>again"),
            ):
                headers = [("Content-Type", kind)] + [("Content-Encoding", "gzip")] * (body[:2] == b"\x1f\x8b")
                status = "404 Not Found" if body == b"<p>gone" else "200 OK"
                http = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
                writer.write_record(writer.create_warc_record(url, "response", BytesIO(body), http_headers=http))
        table = run(file, tmp_path / f"out{packed}").table()
        assert table["host"].to_list() == ["a.example", "b.example", "b.example", "a.example"]
        assert table["prompt"].to_list() == ["Käse 12 €", "Second", None, "again"]
        assert "more than the limit" in table["error"][2] and table["page_id"].n_unique() == 4
    (tmp_path / "bad.warc").write_bytes(b"not an archive at all")
    (tmp_path / "short.warc").write_bytes(b"x")
    for name in ("bad", "short"):
        with pytest.raises(InputError, match="no WARC record of an HTML response"):
            run(tmp_path / f"{name}.warc", tmp_path / "bad")


TRUTH = {
    "shop0/0": {"price": ["10.50"], "brand": ["Acme"], "url": "https://www.shop9.example/"},
    "shop0/1": {"price": ["99.99", "11.50"], "brand": ["Nobody"], "sku": [], "colour": ["red"]},
}


def test_recall_counts_the_true_values_that_stand_in_the_prompt(tmp_path):
    source = folder_of(tmp_path / "in", shops=1, pages=2)
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    result = run(source, tmp_path / "out", truth=tmp_path / "truth.json", budget="16,400")
    recall = result.found.recall
    assert {place: cell.value for place, cell in recall["price"].items()} == {"raw": 1, "all": 1, "16": 0, "400": 1}
    assert recall["brand"]["400"].value == recall["brand"]["raw"].value == 0.5
    cell = recall["brand"]["400"]
    assert cell.n == 2 and cell.low < 0.5 < cell.high
    assert set(recall) == {"price", "brand"} and PagesFound.read(result.path) == result.found
    assert result.table()["host"].to_list() == ["shop9.example", "shop0.example"]
    found = pl.read_parquet(result.path / "recall.parquet")
    assert set(found["place"]) == {"raw", "all", "16", "400"} and found.height == 16
    assert result.table()["tokens"].max() > 16  # the prompts kept are of the largest budget


def test_a_truth_may_name_pages_without_their_folders_where_that_is_clear(tmp_path):
    source = folder_of(tmp_path / "in", shops=2, pages=2)
    (source / "shop1/1.html.gz").rename(source / "shop1/9.html.gz")
    truth = {"9": {"price": "11.50"}, "1": {"price": "11.50"}, "0": {"brand": "Acme"}, "shop0/0": {"price": "10.50"}}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    result = run(source, tmp_path / "out", truth=tmp_path / "truth.json")
    found = pl.read_parquet(result.path / "recall.parquet").filter(pl.col("place") == "raw")
    assert found["page_id"].to_list() == ["shop0/0", "shop0/1", "shop1/9"]  # "0" may be either shop's
    assert set(found["attribute"]) == {"price"} and result.found.without_truth == 1
    (tmp_path / "truth.json").write_text(json.dumps({"0": {"price": "10.50"}}))
    with pytest.raises(InputError, match="but of none in"):
        run(source, tmp_path / "other", truth=tmp_path / "truth.json")


def test_a_refused_page_with_a_truth_counts_as_missed(tmp_path):
    source = folder_of(tmp_path / "in", shops=1, pages=1)
    (source / "bad.html").touch()
    truth = {"bad": {"price": "5"}, "shop0/0": {"price": "10.50"}}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    result = run(source, tmp_path / "out", truth=tmp_path / "truth.json")
    assert result.found.recall["price"]["4096"].value == 0.5


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 5}', "", '{"a":' * 100_000])
def test_a_truth_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(InputError, match=r"truth\.json"):
        run(folder_of(tmp_path / "in", 1, 1), tmp_path / "out", truth=tmp_path / "truth.json")
    assert not (tmp_path / "out").exists()


def test_a_killed_run_goes_on_where_it_was_and_gives_the_same_bytes(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "in")
    whole = run(source, tmp_path / "whole")
    read, seen = _step.read_page, []

    def dying(data, **options):
        seen.append(1)
        if len(seen) == 20:
            raise KeyboardInterrupt
        return read(data, **options)

    monkeypatch.setattr(_step, "read_page", dying)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out")
    result = run(source, tmp_path / "out")
    assert len(seen) == 20 + 30 - _step.PART_SIZE
    assert (result.path / "pages.parquet").read_bytes() == (whole.path / "pages.parquet").read_bytes()
    with pytest.raises(StepError, match="setting budget was"):
        run(source, tmp_path / "out", budget=99)
    (source / "shop0/0.html").write_text("<p>changed")
    with pytest.raises(StepError, match="input pages was"):
        run(source, tmp_path / "out")


def test_raw_pages_gives_the_html_again(tmp_path):
    source = folder_of(tmp_path / "in", shops=1, pages=2)
    (source / "bad.html").touch()
    result = run(source, tmp_path / "out")
    expected = {f"shop0/{number}": html(number + 10) for number in range(2)}
    assert dict(raw_pages(result.path)) == expected
    source.rename(tmp_path / "moved")
    assert dict(raw_pages(result.path, tmp_path / "moved")) == expected
    with pytest.raises(InputError, match="no such file or folder"):
        dict(raw_pages(result.path))


def test_sources_that_are_none_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.docx").touch()
    (tmp_path / "list.csv").write_text("address,file\na,b\n")
    for name, words in (
        ("empty", "holds no page"),
        ("no", "no such"),
        ("page.docx", "refused"),
        ("list.csv", "url and"),
    ):
        with pytest.raises(InputError, match=words):
            run(tmp_path / name, tmp_path / "out")


def test_the_command_answers_in_json_and_in_a_table(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "in", shops=1, pages=2)
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    cli._register(["pages"])
    command = ["pages", "--path", str(source), "--truth", str(tmp_path / "truth.json"), "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(cli.app, [*command, "--json"])
    answer = json.loads(shown.stdout.splitlines()[-1])
    assert answer["pages"] == 2 and answer["recall"]["price"] == {"4096": 1.0} and answer["ceiling"]["brand"] == 0.5
    shown = CliRunner().invoke(cli.app, command)
    assert shown.exit_code == 0 and "100.0" in shown.stdout and "2 pages of 2 hosts" in shown.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": {"title": ["x"], "title": ["y"]}}', "the key 'title' twice"),
        ('{"a": {"title": ["x"]}, "a": {"title": ["y"]}}', "the key 'a' twice"),
        ('{"a": {"title": ["\\ud800"]}}', "half of a surrogate pair"),
        ('{"a": {"price": ' + "9" * 5000 + "}}", "5,000 digits"),
        ('{"a": {"price": Infinity}}', "is the number inf"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_truth_that_hides_or_breaks_values_is_refused_in_one_line(tmp_path, text, said):
    folder_of(tmp_path / "in", shops=1, pages=1)
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(InputError, match=said) as error:
        run(tmp_path / "in", tmp_path / "out", truth=tmp_path / "truth.json")
    assert str(tmp_path / "truth.json") in str(error.value) and "\n" not in str(error.value)
