"""`recollect data`: its answer, what it prints, and its page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recollect.cli.main import main


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["recollect", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


ROWS = [
    {"messages": [{"role": "user", "content": "<b>a</b> \u202e?"}, {"role": "assistant", "content": "b <script>"}]},
    {"instruction": "Translate.", "input": "Ja", "output": "Yes"},
    {"messages": [{"role": "user", "content": "no answer"}]},
]
KEYS = (
    *("format", "rows", "kept", "dropped", "trained_tokens", "masked_tokens"),
    *("duplicates", "near_duplicates", "overlap", "cut_answers"),
)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path / "chat.jsonl"


def test_the_answer_has_exactly_these_keys(run, path, tmp_path):
    code, out, _ = run("data", path, "--model", "pocket", "--out", tmp_path / "out", "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0 and tuple(found) == KEYS
    assert found["format"] == "messages, alpaca" and (found["rows"], found["kept"]) == (3, 2)
    assert found["dropped"] == {"no assistant turn": 1} and found["trained_tokens"] > 0


def test_what_it_prints_tells_what_is_learned_without_colour(run, path, tmp_path):
    code, out, _ = run("data", path, "--out", tmp_path / "out")
    assert code == 0 and "⟦Yes⟧" in out and "Translate." in out and "⟦Translate" not in out
    assert "1 of 3 rows dropped: no assistant turn (1)." in " ".join(out.split())
    assert "\u202e" not in out


def test_the_page_is_whole_and_runs_nothing(run, path, tmp_path):
    code, _, err = run("data", path, "--out", tmp_path / "out")
    page = (tmp_path / "out/data.html").read_text(encoding="utf-8")
    assert code == 0 and "data.html" in err
    assert '<mark class="learned">b &lt;script&gt;</mark>' in page and "<script" not in page
    assert "⟨U+202E⟩" in page and "line 3" in page
    assert not re.search(r"\{\{|\{%|None", page)
    again, _, _ = run("data", path, "--out", tmp_path / "out")  # the step is found with its page
    assert again == 0 and (tmp_path / "out/data.html").read_text(encoding="utf-8") == page


def test_a_hundred_columns_do_not_fill_the_screen(run, tmp_path):
    row = {"question": "a?", "answer": "b", **{f"column{number}": 1 for number in range(100)}}
    (tmp_path / "wide.jsonl").write_text(json.dumps(row))
    _, out, _ = run("data", tmp_path / "wide.jsonl", "--out", tmp_path / "out")
    assert "and 72 more" in out and "column90" not in out
    assert "and 42 more" in (tmp_path / "out/data.html").read_text(encoding="utf-8")


def test_bad_rows_error_and_no_path(run, path, tmp_path):
    code, _, err = run("data", path, "--bad-rows", "error", "--out", tmp_path / "out")
    assert code == 2 and "line 3" in err
    code, _, err = run("data")
    assert code == 2 and "path must be given" in err


def test_the_example_of_the_page(run, tmp_path):
    examples = Path(__file__).parents[2] / "examples"
    more = ("--test", examples / "chat_test.jsonl", "--out", tmp_path / "out", "--json")
    code, out, _ = run("data", examples / "chat.jsonl", *more)
    found = json.loads(out.splitlines()[-1])
    assert code == 0 and (found["rows"], found["kept"]) == (19, 17)
    assert (found["duplicates"], found["near_duplicates"], found["overlap"]) == (1, 1, 2)
    assert found["dropped"] == {"image content": 1, "no assistant turn": 1}
    assert found["format"] == "messages, sharegpt, alpaca, prompt-completion, openai"


@pytest.mark.real
def test_the_tokens_of_the_page_with_a_real_model(run, real_model, tmp_path):
    examples = Path(__file__).parents[2] / "examples"
    more = ("--model", real_model("smollm2"), "--max-length", 96, "--out", tmp_path / "out", "--json")
    _, out, _ = run("data", examples / "chat.jsonl", *more)
    found = json.loads(out.splitlines()[-1])
    assert (found["trained_tokens"], found["masked_tokens"], found["cut_answers"]) == (232, 760, 1)
