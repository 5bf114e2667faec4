"""One reader for every kind of table: separators, encodings, bad rows, and limits that hold before memory is spent."""

import io
import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recollect.core.tables import BadRows, read_table
from recollect.errors import InputError


def table(folder: Path, name: str, content: str | bytes, mode: Any = "error") -> tuple[list[dict[str, Any]], BadRows]:
    path, bad = folder / name, BadRows(mode)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row.values for row in read_table(path, bad).rows], bad


@pytest.mark.parametrize(
    "text",
    [
        "q,a\nx,y\n",
        "q;a\nx;y\n",
        "q\ta\nx\ty\n",
        "q|a\nx|y\n",
        "sep=;\nq;a\nx;y\n",
        "q;a;\nx;y;\n;;\n",
        "q,a\nx,y,,\n\n,\n",
        ",q,a\n0,x,y\n",
        " q , a \nx,y\n",
        "\ufeffq,a\r\nx,y\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_every_way_to_write_a_csv_gives_the_same_rows(tmp_path: Path, text: str, encoding: str) -> None:
    data = text.removeprefix("\ufeff").encode(encoding) if encoding != "utf-8" else text.encode()
    assert table(tmp_path, "t.csv", data)[0] == [{"q": "x", "a": "y"}]


def test_a_comma_in_a_header_name_does_not_hide_the_semicolons(tmp_path: Path) -> None:
    rows = table(tmp_path, "t.csv", "gas;answer;note, free text\nA, b?;C;x\nD?;E;y, z\n")[0]
    assert rows[0] == {"gas": "A, b?", "answer": "C", "note, free text": "x"}
    rows = table(tmp_path, "u.csv", "question,answer; short\nA?,b; c\n")[0]
    assert rows == [{"question": "A?", "answer; short": "b; c"}]


def test_a_long_cell_is_read_and_the_limit_of_the_csv_module_left_as_it_was(tmp_path: Path) -> None:
    import csv

    before = csv.field_size_limit()
    assert len(table(tmp_path, "t.csv", "q,a\n" + "x" * 200_000 + ",y\n")[0][0]["q"]) == 200_000
    assert csv.field_size_limit() == before


BAD = [
    ("t.csv", "q,a\nx,y\nx,y,z\n", "line 3", "more cells than the header"),
    ("t.csv", 'q,a\nx,y\n"x"1,y\n', "the row after line 2", "broken quotes"),
    ("t.jsonl", '{"q": 1}\n{"q"', "line 2", "not valid JSON"),
    ("t.jsonl", '{"q": 1}\n[1]', "line 2", "not an object"),
    ("t.jsonl", '{"q": 1}\n{"q": 1, "q": 2}', "line 2", "a repeated key"),
    ("t.jsonl", '{"q": 1}\n{"r": [{"q": 1, "q": 2}]}', "line 2", "a repeated key"),
    ("t.jsonl", '{"q": 1}\n{"q": "\\ud83d"}', "line 2", "half of a surrogate pair"),
    ("t.jsonl", '{"q": 1}\n{"\\udc00": 1}', "line 2", "half of a surrogate pair"),
    ("t.jsonl", '{"q": 1}\n{"q": ' + "9" * 5_000 + "}", "line 2", "a number that is too long"),
    ("t.jsonl", '{"q": 1}\n{"q": 1e99999999999999999999}', "line 2", "a number that is too large"),
    ("t.jsonl", '{"q": 1}\n{"q": ' + "[" * 90 + "]" * 90 + "}", "line 2", "too deep nesting"),
    ("t.jsonl", '{"q": 1}\n' + "[" * 100_000, "line 2", "not valid JSON"),
    ("t.json", '[{"q": 1}, 3]', "item 2", "not an object"),
    ("t.json", '[{"q": 1}, {"q": "\\ud83d"}]', "item 2", "half of a surrogate pair"),
]


@pytest.mark.parametrize(("name", "content", "where", "reason"), BAD)
def test_a_bad_row_is_an_error_with_its_place_or_is_skipped_and_counted(
    tmp_path: Path, name: str, content: str, where: str, reason: str
) -> None:
    with pytest.raises(InputError) as error:
        table(tmp_path, name, content)
    assert where in str(error.value) and "\n" not in str(error.value)
    rows, bad = table(tmp_path, name, content, "skip")
    assert len(rows) == 1
    account = bad.account()
    assert (account.skipped, account.reasons) == (1, {reason: 1})
    assert account.first[0].where == where


@pytest.mark.parametrize("content", ["9" * 5_000, '"\\ud83d"', '{"q": 1, "q": 2}'])
def test_a_file_that_is_one_bad_value_is_named_by_what_is_wrong(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="5,000 digits|half of a surrogate pair|twice"):
        table(tmp_path, "t.json", content)


def test_a_quote_that_is_never_closed_is_an_error_even_when_bad_rows_are_skipped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never closed"):
        table(tmp_path, "t.csv", 'q,a\nx,y\n"x,y\nx,y\n', "skip")


def test_decimals_of_json_stay_as_they_are_written(tmp_path: Path) -> None:
    assert str(table(tmp_path, "t.json", '{"version": "2", "data": [{"q": 1.10}]}')[0][0]["q"]) == "1.10"


def test_floats_of_32_bits_keep_the_digits_they_were_written_with(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    values = {"a": pl.Series([0.1], dtype=pl.Float32), "b": pl.Series([[0.2]], dtype=pl.List(pl.Float32))}
    pl.DataFrame(values).write_parquet(buffer)
    assert table(tmp_path, "t.parquet", buffer.getvalue())[0] == [{"a": 0.1, "b": [0.2]}]


def parquet(columns: dict[str, pa.Array]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd", row_group_size=1 << 30)
    return buffer.getvalue()


def test_a_parquet_bomb_is_refused_by_its_footer(tmp_path: Path) -> None:
    bombs = {
        "rows": parquet({"q": pa.nulls(6_000_000, pa.int8())}),
        "columns": parquet({f"c{n}": pa.array([1]) for n in range(10_001)}),
        "bytes of text": parquet(
            {"q": pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), pa.array(["x" * 500_000]))}
        ),
    }
    for what, data in bombs.items():
        started = time.monotonic()
        with pytest.raises(InputError, match=rf"[\d,]+ {what}; at most"):
            table(tmp_path, "t.parquet", data)
        assert len(data) < 4_000_000 and time.monotonic() - started < 10


def test_endless_columns_and_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="200,000 columns; at most 10,000"):
        table(tmp_path, "t.csv", ",".join(f"c{n}" for n in range(200_000)) + "\n1\n")
    with pytest.raises(InputError, match="200,000 keys; at most 10,000"):
        table(tmp_path, "t.jsonl", json.dumps({f"c{n}": 1 for n in range(200_000)}))
    many = "\n".join(json.dumps({f"c{row}_{n}": 1 for n in range(3_000)}) for row in range(4))
    with pytest.raises(InputError, match="too large at line 4"):
        table(tmp_path, "t.jsonl", many)


def test_text_without_a_mark_that_is_full_of_zeros_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="zero bytes, as UTF-16 is"):
        table(tmp_path, "t.csv", "q,a\nx,y\n".encode("utf-16-le"))
