"""Awkward files, as people bring them, and what `recollect data` says of each; every number is counted by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recollect.chat import DataSettings, run_data


def turns(*texts: str) -> list[dict[str, object]]:
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def gpt(*texts: str) -> list[dict[str, object]]:
    return [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(texts)]


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def union_of_shapes(folder: Path) -> Path:
    """Rows with null, "" or [] for the keys of other shapes."""
    none = {"messages": None, "conversations": [], "prompt": "", "completion": None, "instruction": None, "output": ""}
    rows = [
        {**none, "messages": turns("a?", "b")},
        {**none, "conversations": gpt("c?", "d", "e?", "f")},
        {**none, "prompt": "g?", "completion": "h"},
        {**none, "instruction": "i?", "output": "j"},
        {**none},
    ]
    (folder / "u.jsonl").write_text(lines(*rows))
    return folder / "u.jsonl"


def broken_lines(folder: Path) -> Path:
    """A cut line, half a character, a key twice, a list, an endless number."""
    good = lines({"messages": turns("a?", "b")})
    half = '{"messages": [{"role": "user", "content": "a \\ud83d"}, {"role": "assistant", "content": "b"}]}'
    twice = '{"messages": [], "messages": []}'
    rows = (good, good[:-9], half, twice, "[1, 2]", f'{{"messages": {"9" * 2000}}}', "", good)
    (folder / "b.jsonl").write_text(lines(*rows))
    return folder / "b.jsonl"


def openai_file(folder: Path) -> Path:
    """Weights, calls as JSON text, the older function_call, a weight of 3, all weights 0."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    asked: dict[str, object] = {"role": "user", "content": "a?"}
    rows = [
        {"messages": [asked, {"role": "assistant", "content": "b", "weight": 0}, asked, *turns("", "c")[1:]]},
        {"messages": [asked, {"role": "assistant", "tool_calls": [call]}], "parallel_tool_calls": False},
        {"messages": [asked, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}]},
        {"messages": [asked, {"role": "assistant", "content": "b", "weight": 3}]},
        {"messages": [asked, {"role": "assistant", "content": "b", "weight": 0}]},
        {"messages": [asked, {"role": "assistant", "content": None}]},
        {"messages": [asked, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}]},
    ]
    (folder / "o.jsonl").write_text(lines(*rows))
    return folder / "o.jsonl"


def sharegpt_roles(folder: Path) -> Path:
    """The answer first, two of one side, no answer, a role nobody knows, a number for a text; one is good."""
    rows = [
        {"conversations": [{"from": "system", "value": "s"}, *gpt("a?", "b")]},
        {"conversations": gpt("a?", "b")[1:] + gpt("a?", "b")},
        {"conversations": gpt("a?", "b")[:1] + gpt("a?", "b")},
        {"conversations": gpt("a?")},
        {"conversations": [*gpt("a?"), {"from": "narrator", "value": "b"}]},
        {"conversations": [*gpt("a?"), {"from": "gpt", "value": 7}]},
    ]
    (folder / "s.json").write_text(json.dumps(rows))
    return folder / "s.json"


def excel_csv(folder: Path) -> Path:
    """Semicolons, a blank row, an empty last column, a byte order mark, quotes with a line end inside."""
    text = '\ufeffinstruction;input;output;\r\nSay;"a;\nb";c;\r\n;;;\r\nSay;;d;\r\nSay;;;\r\n'
    (folder / "e.csv").write_text(text, encoding="utf-8", newline="")
    return folder / "e.csv"


def utf16_tsv(folder: Path) -> Path:
    """What a spreadsheet calls Unicode text; the blank before a completion is OpenAI's older custom."""
    (folder / "t.tsv").write_text("prompt\tcompletion\nZürich?\t yes\nzürich\tyes\nBern?\t\n", encoding="utf-16")
    return folder / "t.tsv"


def parquet_of_calls(folder: Path) -> Path:
    """Every message has every key, every call the parameters of all."""

    def call(name: str, city: str | None, symbol: str | None) -> list[dict[str, object]]:
        return [{"type": "function", "function": {"name": name, "arguments": {"city": city, "symbol": symbol}}}]

    asked, empty = turns("a?")[0], {"role": "assistant", "content": None}
    rows = [
        {"messages": [{**asked, "tool_calls": None}, {**empty, "tool_calls": call("weather", "Lima", None)}]},
        {"messages": [{**asked, "tool_calls": None}, {**empty, "tool_calls": call("price", None, "LIM")}]},
        {"messages": [{**asked, "tool_calls": None}, {**empty, "tool_calls": []}]},
    ]
    pl.DataFrame(rows).write_parquet(folder / "c.parquet")
    return folder / "c.parquet"


def json_that_is_jsonl(folder: Path) -> Path:
    """Lines under the name .json, with Windows line ends and a line separator inside a text."""
    rows = [{"messages": turns("a\u2028b?", "c")}, {"messages": turns("d?", "e")}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "j.json").write_text(text, encoding="utf-8", newline="")
    return folder / "j.json"


def other_purposes(folder: Path) -> Path:
    """Images, sound, preferences, running text, a prompt alone, a file of facts, a choice's number."""
    image = {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image"}]}
    sound = {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]}
    rows = [
        {"messages": [image, *turns("", "A cat")[1:]]},
        {"messages": [sound, *turns("", "A song")[1:]]},
        {"messages": turns("What?", "A dog"), "images": ["dog.png"]},
        {"prompt": "a?", "chosen": "b", "rejected": "c"},
        {"text": "Once upon a time"},
        {"prompt": "a?"},
        {"subject": "Peru", "relation": "P36", "object": "Lima"},
        {"question": "Which?", "choices": ["red", "green"], "answer": 1},
        {"question": "Which?", "answer": "green"},
    ]
    (folder / "p.jsonl").write_text(lines(*rows))
    return folder / "p.jsonl"


def spelt_otherwise(folder: Path) -> Path:
    """One question in NFC and NFD, with a double blank, in capitals, with another answer; and one letter by letter."""
    rows = [
        turns("Where is Zoë’s café?", "Lima"),
        turns("Where is Zoe\u0308's cafe\u0301?", "Lima"),
        turns("Where  is Zoë’s café", "lima."),
        turns("WHERE IS ZOË’S CAFÉ?", "Lima"),
        turns("Where is Zoë’s café?", "Cusco"),
        turns("Where is Zoë’s café?", "Lima"),
    ]
    (folder / "n.jsonl").write_text(lines(*[{"messages": row} for row in rows]))
    return folder / "n.jsonl"


def pandas_csv(folder: Path) -> Path:
    """Lists as pandas prints them into a cell, and years as floats."""
    cells = [
        "[{'content': 'a?', 'role': 'user'}\n {'content': 'b', 'role': 'assistant'}]",
        "[{'role': 'user', 'content': \"it's?\"}, {'role': 'assistant', 'content': 'c'}]",
        "[{'content': 'a?', 'ro",
        None,
        None,
    ]
    frame = {"messages": cells, "question": [*[None] * 3, "Moon?", "Wall?"], "answer": [*[None] * 3, 1969.0, 1989.0]}
    pl.DataFrame(frame).write_csv(folder / "d.csv")
    return folder / "d.csv"


def hub_folder(folder: Path) -> Path:
    """Files by part, beside what is no data; the test question stands in train, once in other capitals."""
    data = folder / "hub/data"
    data.mkdir(parents=True)
    pl.DataFrame({"messages": [turns("a?", "b"), turns("C?", "d"), turns("e?", "f")]}).write_parquet(
        data / "train-00000-of-00001.parquet"
    )
    pl.DataFrame({"messages": [turns("A", "b")]}).write_parquet(data / "test-00000-of-00001.parquet")
    pl.DataFrame({"messages": [turns("c", "d")]}).write_parquet(data / "validation-00000-of-00001.parquet")
    (folder / "hub/README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "hub/dataset_infos.json").write_text("{}")
    return folder / "hub"


WRITTEN_OTHERWISE = {"roles that do not alternate": 2, "no assistant turn": 1, "an unknown role": 1}
EXPECTED: list[tuple[Callable[[Path], Path], str, int, dict[str, int], dict[str, int]]] = [
    (union_of_shapes, "messages, sharegpt, prompt-completion, alpaca", 5, {"empty conversations": 1}, {}),
    (
        broken_lines,
        "messages",
        7,
        {
            "not valid JSON": 1,
            "half of a surrogate pair": 1,
            "a repeated key": 1,
            "not an object": 1,
            "a number that is too long": 1,
        },
        {"duplicates": 1},
    ),
    (
        openai_file,
        "openai",
        7,
        {
            "a weight that is not 0 or 1": 1,
            "nothing to learn": 1,
            "empty answer": 1,
            "JSON text that is no JSON": 1,
        },
        {},
    ),
    (sharegpt_roles, "sharegpt", 6, {**WRITTEN_OTHERWISE, "value is a number": 1}, {}),
    (excel_csv, "alpaca", 3, {"empty answer": 1}, {}),
    (utf16_tsv, "prompt-completion", 3, {"empty answer": 1}, {"near_duplicates": 1}),
    (parquet_of_calls, "messages", 3, {"empty answer": 1}, {}),
    (json_that_is_jsonl, "messages", 2, {}, {}),
    (
        other_purposes,
        "question-answer",
        9,
        {
            "image content": 2,
            "audio content": 1,
            "a preference pair": 1,
            "text without turns": 1,
            "no completion": 1,
            "no chat format": 1,
            "choices beside the answer": 1,
        },
        {},
    ),
    (spelt_otherwise, "messages", 6, {}, {"duplicates": 1, "near_duplicates": 3}),
    (pandas_csv, "messages, question-answer", 5, {"turns unlike": 1}, {}),
    (hub_folder, "messages", 5, {}, {"overlap": 2}),
]


@pytest.mark.parametrize(
    ("make", "format", "rows", "dropped", "more"), EXPECTED, ids=lambda one: getattr(one, "__name__", "")
)
def test_an_awkward_file(
    make: Callable[[Path], Path], format: str, rows: int, dropped: dict[str, int], more: dict[str, int], tmp_path: Path
) -> None:
    found = run_data(DataSettings.make(path=make(tmp_path)), tmp_path / "out").found.plain()
    assert found == {
        "format": format,
        "rows": rows,
        "kept": rows - sum(dropped.values()),
        "dropped": dict(sorted(dropped.items())),
        "trained_tokens": None,
        "masked_tokens": None,
        "cut_answers": None,
        "duplicates": 0,
        "near_duplicates": 0,
        "overlap": 0,
        **more,
    }
