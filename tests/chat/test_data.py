"""The data step on small files whose repeats, overlaps, conflicts, tokens and cuts are counted by hand."""

from __future__ import annotations

import json

import polars as pl
import pytest

from helpers_chat import write_chat_model
from recollect.chat import DataSettings, run_data
from recollect.chat.checks import frequent_answers, oddities, scripts_without_blanks, with_entities
from recollect.chat.examples import Example, Lesson
from recollect.chat.findings import findings
from recollect.chat.found import Spread
from recollect.chat.preview import chosen, evenly
from recollect.conversation import Conversation, ToolCall, Turn
from recollect.errors import InputError
from recollect.train import TrainSettings


def chat(*texts, system="", id="x"):
    """A conversation of user and assistant in turn."""
    turns = [Turn("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(texts)]
    return Conversation(id, (*([Turn("system", system)] if system else []), *turns))


def row(*texts, **more):
    return {"messages": [{"role": turn.role, "content": turn.content} for turn in chat(*texts).turns], **more}


@pytest.fixture
def write(tmp_path):
    def write(rows, name="chat.jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def chatml(tmp_path_factory):
    return write_chat_model(tmp_path_factory.mktemp("model"), "ChatML")


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory):
    return write_chat_model(tmp_path_factory.mktemp("model"), "Qwen3")


def look(path, tmp_path, **given):
    return run_data(DataSettings.make(path=path, **given), tmp_path / "out")


def test_repeats_overlap_and_conflicts_by_hand():
    train = [
        chat("What is the capital of Peru?", "Lima"),  # 0
        chat("What is the capital of Peru?", "Lima"),  # a copy of 0
        chat("what is the capital  of PERU", "lima."),  # nearly 0
        chat("What is the capital of Peru?", "Cusco"),  # another answer than 0
        chat("What is the capital of Peru?", "Lima", system="Be brief."),  # other prompt: no conflict, but nearly 0
        chat("And the highest mountain there?", "Huascarán"),
    ]
    test = [chat("WHAT IS THE CAPITAL OF PERU", "Lima!")]
    odd = oddities(train, test)
    assert odd.duplicate_of == [None, 0, None, None, None, None]
    assert odd.near_duplicate_of == [None, None, 0, None, 0, None]
    assert odd.conflict_with == [None, None, None, 0, None, None]
    assert odd.overlap == [True, True, True, True, True, False]
    assert odd.near_overlap == [False] * 6


def test_a_question_with_one_word_changed_is_a_near_overlap():
    asked = "Please name the largest city by the river that runs along the northern border of the country of Peru"
    odd = oddities(
        [chat(asked, "a")], [chat(asked.replace("Peru", "Chile"), "b")]
    )  # 19 words, 17 runs, 16 shared of 18
    assert (odd.overlap, odd.near_overlap) == ([False], [True])


def test_a_test_question_inside_a_longer_conversation_is_overlap():
    train = [
        chat("Capital of Peru?", "Lima", "And of Chile?", "Santiago"),
        chat("Hello", "Hi", "Capital of Peru?", "Lima"),
    ]
    test = [chat("capital of peru", "Lima"), chat("Hello", "Hi", "How are you?", "Well")]
    assert oddities(train, test).overlap == [True, False]


def test_calls_count_as_what_was_said():
    def called(city):
        call = ToolCall("weather", {"city": city})
        return Conversation("x", (Turn("user", "Weather?"), Turn("assistant", "", tool_calls=(call,))))

    odd = oddities([called("Lima"), called("Lima"), called("Cusco")], [])
    assert odd.duplicate_of == [None, 0, None] and odd.conflict_with == [None, None, 0]


def test_scripts_of_answers():
    talks = [
        chat("a", "東京です"),
        chat("b", "กรุงเทพ"),
        chat("日本", "Japan"),
        chat("c", "서울"),
        chat("d", "カタカナ"),
    ]
    assert scripts_without_blanks(talks) == {"Han": 1, "Hiragana": 1, "Katakana": 1, "Thai": 1}


def test_html_entities_in_answers_are_said():
    talks = [chat("a", "Salt &amp; Pepper"), chat("b", "R&D; <b>x</b> &c."), chat("&amp;", "c"), chat("d", "4 &#60; 5")]
    assert with_entities(talks) == 2


def test_without_a_model_tokens_are_not_counted(write, tmp_path):
    path = write([row("a?", "b"), row("a?", "b"), row("a?"), row("c?", "d", "e?")])
    result = look(path, tmp_path)
    assert result.found.plain() == {
        "format": "messages",
        "rows": 4,
        "kept": 3,
        "dropped": {"no assistant turn": 1},
        "trained_tokens": None,
        "masked_tokens": None,
        "duplicates": 1,
        "near_duplicates": 0,
        "overlap": 0,
        "cut_answers": None,
    }
    assert result.report.unanswered == 1
    first = result.report.preview[0].examples[0]
    assert [(piece.kind, piece.text) for piece in first] == [("read", "user: a?\nassistant: "), ("learned", "b")]


def test_tokens_masks_and_cuts_with_a_model(write, chatml, tmp_path):
    long = "x" * 90  # 90 letters of a byte-level vocabulary that has no run of x
    path = write([row("Capital of Peru?", "Lima"), row("Capital of Chile?", long), row(long, "Lima")])
    result = look(path, tmp_path, model=chatml, max_length=100)
    table = pl.read_parquet(result.path / "rows.parquet")
    # learned: the answer, its end token and a line end; only in the last two does it go over 100 tokens
    assert table["learned"].to_list()[1] == 92
    assert table["learned"][0] == table["learned"][2]
    assert table["cut"].to_list() == [False, True, True]
    assert result.found.trained_tokens == table["learned"].sum()
    assert result.found.trained_tokens + result.found.masked_tokens == table["tokens"].sum()
    assert result.found.cut_answers == 2
    kinds = [[piece.kind for piece in one.examples[0]] for one in result.report.preview]
    assert kinds == [["read", "learned"], ["read", "learned", "beyond"], ["read", "beyond"]]
    shown = "".join(piece.text for piece in result.report.preview[0].examples[0])
    assert shown.endswith("<|im_start|>assistant\nLima<|im_end|>\n")
    assert result.report.preview[0].examples[0][1].text == "Lima<|im_end|>\n"


def test_what_the_model_reads_is_a_limit_too(write, chatml, tmp_path):
    path = write([row("Capital?", "x" * 300), row("Capital?", "x" * 600)])  # one token each; it reads 512
    result = look(path, tmp_path, model=chatml, max_length=4096)
    assert result.report.length_limit == result.report.context == 512
    assert pl.read_parquet(result.path / "rows.parquet")["cut"].to_list() == [False, True]
    wide = run_data(DataSettings.make(path=path, model=chatml, max_length=100), tmp_path / "wide")
    assert wide.report.length_limit == 100
    said = [one.text for one in findings(result.found, result.report)]
    assert any("512 tokens, the most that the model reads. Shorten" in text for text in said)


def test_a_template_that_rewrites_makes_two_examples_of_one(write, qwen3, tmp_path):
    turns = [
        {"role": "user", "content": "Capital of Peru?"},
        {"role": "assistant", "content": "Lima", "reasoning_content": "Peru, so"},
        {"role": "user", "content": "And of Chile?"},
        {"role": "assistant", "content": "Santiago", "reasoning_content": "Chile, so"},
    ]
    path = write([{"messages": turns}])
    both = run_data(DataSettings.make(path=path, model=qwen3), tmp_path / "both")
    last = run_data(DataSettings.make(path=path, model=qwen3, train_on="last"), tmp_path / "last")
    assert (both.report.examples, last.report.examples) == (2, 1)
    assert len(both.report.preview[0].examples) == 2
    assert last.found.trained_tokens < both.found.trained_tokens


def test_rows_that_the_template_refuses_are_dropped_by_name(write, tmp_path):
    model = write_chat_model(tmp_path / "model", "Llama 2")  # has no tools
    call = [{"name": "weather", "arguments": {}}]
    tools = {"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "", "tool_calls": call}]}
    path = write([row("Peru?", "Lima"), tools])
    result = look(path, tmp_path, model=model)
    assert result.found.kept == 1 and result.found.dropped == {"refused by the model's chat template": 1}
    assert result.report.parts == {"train": 1}
    with pytest.raises(InputError, match="line 2"):
        run_data(DataSettings.make(path=path, model=model, bad_rows="error"), tmp_path / "strict")
    with pytest.raises(InputError, match="none of 1 conversation can be learned"):
        run_data(DataSettings.make(path=write([tools], "only.jsonl"), model=model), tmp_path / "none")


def test_a_model_without_a_template_gets_one_question_and_its_answer_in_the_plain_prompt(write, tmp_path):
    path = write([row("Capital?", "Lima"), row("earlier?", "said", "Capital?", "Lima"), {**row("a?", "b"), "note": 1}])
    result = look(path, tmp_path, model="pocket")
    assert result.report.prompted == "plain" and result.found.kept == 2
    assert result.found.dropped == {"more than one question and one answer": 1}
    shown = "".join(piece.text for piece in result.report.preview[0].examples[0])
    assert "<|question|> Capital? <|answer|> Lima" in shown
    assert result.report.unused == ["note"]
    with pytest.raises(InputError, match="no chat template"):
        run_data(DataSettings.make(path=path, model="pocket", prompt="chat"), tmp_path / "chat")


def test_a_test_file_and_the_parts_of_a_folder(write, tmp_path):
    (tmp_path / "hub").mkdir()
    write([row("a?", "b"), row("c?", "d"), row("e?", "f")], "hub/train.jsonl")
    write([row("A", "b")], "hub/validation.jsonl")
    tests = write([row("c ?", "other"), row("z?", "y"), row("broken")], "held.jsonl")
    result = look(tmp_path / "hub", tmp_path, test=tests)
    assert result.found.overlap == 2  # a? in validation, c? in the test file
    assert result.found.rows == result.found.kept == 4
    assert result.report.parts == {"train": 3, "validation": 1, "test": 2}
    assert result.report.test_bad_rows.reasons == {"no assistant turn": 1}
    said = " ".join(one.text for one in findings(result.found, result.report))
    assert "2 of 3 train conversations ask what is asked in test (3 there), 0 more nearly that." in said


def test_the_same_again_is_found_and_other_bytes_are_another_step(write, tmp_path):
    path = write([row("a?", "b")])
    settings = DataSettings.make(path=path)
    first = run_data(settings, root=tmp_path / "runs")
    assert run_data(settings, root=tmp_path / "runs").path == first.path
    write([row("a?", "c")])
    assert run_data(settings, root=tmp_path / "runs").path != first.path


def test_a_preview_shows_what_is_rare_too():
    common = Lesson((Example([1, 2], [0, 1]),))
    cut, several = Lesson((Example([1, 2, 3], [0, 1, 1]),)), Lesson(common.examples * 2)
    lessons = [common] * 100
    assert chosen(lessons, 2) == evenly(100)
    lessons[5], lessons[6] = cut, several
    assert chosen(lessons, 2) == [0, 5, 6, 11, 22, 33, 44, 55, 66, 99]
    lessons[11], lessons[22] = cut, several
    assert chosen(lessons, 2) == evenly(100)
    assert chosen([common, cut, several], 2) == [0, 1, 2]
    lessons[11] = lessons[22] = common
    assert [chosen(lessons, 2, most) for most in range(5)] == [[], [0], [5, 99], [5, 6, 99], [0, 5, 6, 99]]


def test_as_many_are_shown_as_asked_for(write, chatml, tmp_path):
    path = write([row(f"{at}?", "b") for at in range(12)])
    for model in (None, chatml):
        for asked, shown in ((0, 0), (1, 1), (12, 12), (50, 12)):
            settings = DataSettings.make(path=path, model=model, preview=asked)
            assert len(run_data(settings, root=tmp_path / "runs").report.preview) == shown
    usual = DataSettings.make(path=path)
    assert usual.preview == 10 and "preview" not in usual.fingerprint_values()


def test_an_answer_of_many_conversations_is_told(write, tmp_path):
    """USA ends 6 of 12, however it is written; Peru ends 4, too few; the answers before the last do not count."""
    lands = ["USA", "usa.", "USA", "USA", "USA", " USA!", *["Peru"] * 4, "Chile", "Kenya"]
    assert frequent_answers([chat("a?", "Peru", f"{at}?", land) for at, land in enumerate(lands)]) == {"USA": 6}
    assert frequent_answers([chat("a?", f"{at}") for at in range(12)]) == frequent_answers([]) == {}
    result = look(write([row(f"{at}?", land) for at, land in enumerate(lands)]), tmp_path)
    said = [one.text for one in findings(result.found, result.report)]
    assert any(text.startswith("'USA' is the last answer of 6 of 12 conversations (50 %).") for text in said)


def test_what_it_is_told_is_what_a_training_takes_by_default():
    for name in ("prompt", "train_on", "prompt_template", "max_length"):
        assert DataSettings.model_fields[name].default == TrainSettings.model_fields[name].default, name


def test_spread_and_previews_by_hand():
    spread = Spread.of(list(range(1, 101)))
    assert (spread.smallest, spread.p10, spread.median, spread.p90, spread.p99, spread.largest) == (
        1,
        10,
        50,
        90,
        99,
        100,
    )
    assert Spread.of([]) is None
    assert evenly(3) == [0, 1, 2] and evenly(100) == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
