"""Every format, each in the exact shape its writers use, and files that mix them; expected counts are by hand."""

from __future__ import annotations

import json

import polars as pl
import pytest

from recollect.chat.read import part_of, read_conversations
from recollect.conversation import ToolCall, Turn
from recollect.errors import InputError

ASK, SAY = {"role": "user", "content": "Capital of Peru?"}, {"role": "assistant", "content": "Lima"}


@pytest.fixture
def jsonl(tmp_path):
    """A writer of JSONL files: rows, or lines as they stand."""

    def write(*rows, name="chat.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / name

    return write


def only(path):
    [conversation], found = read_conversations(path)
    return conversation, found


def texts(conversation):
    return [(turn.role, turn.content) for turn in conversation.turns]


def dropped(path):
    return read_conversations(path, "skip")[1].bad_rows.reasons


def test_messages_with_system_several_turns_and_reasoning(jsonl):
    row = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            ASK,
            {"role": "assistant", "content": "Lima", "reasoning_content": "Peru … Lima."},
            {"role": "user", "content": "And of Chile?"},
            {"role": "assistant", "content": "<think>easy</think>Santiago"},
        ]
    }
    talk, found = only(jsonl(row))
    assert talk.turns == (
        Turn("system", "Be brief."),
        Turn("user", "Capital of Peru?"),
        Turn("assistant", "Lima", "Peru … Lima."),
        Turn("user", "And of Chile?"),
        Turn("assistant", "<think>easy</think>Santiago"),
    )
    assert talk.train_on is None and talk.answers == (2, 4) and found.format == "messages"


def test_parts_of_text_are_joined_and_thinking_parts_are_reasoning(jsonl):
    parts = [{"type": "text", "text": "Capital"}, {"type": "text", "text": "of Peru?"}]
    answer = [{"type": "thinking", "thinking": "Hm."}, {"type": "output_text", "text": "Lima"}]
    row = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]}
    assert only(jsonl(row))[0].turns == (Turn("user", "Capital\nof Peru?"), Turn("assistant", "Lima", "Hm."))


def test_openai_weights_tools_and_calls_with_json_text(jsonl):
    function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Lima", "at": null}'},
    }
    row = {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Where?", "weight": 0},
            {"role": "user", "content": "Lima"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "18 °C"},
            {"role": "assistant", "content": "18 °C.", "weight": 1},
        ],
        "tools": [{"type": "function", "function": function}],
        "parallel_tool_calls": False,
    }
    talk, found = only(jsonl(row))
    assert found.format == "openai" and talk.train_on == (3, 5)
    assert talk.turns[3] == Turn("assistant", "", "", (ToolCall("weather", {"city": "Lima", "at": None}, "c1"),))
    assert talk.turns[4] == Turn("tool", "18 °C", call_id="c1")
    assert talk.tools == ({"type": "function", "function": function},)


def test_openais_older_function_call(jsonl):
    row = {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"city": "Lima"}'}},
            {"role": "function", "name": "weather", "content": "18"},
            {"role": "assistant", "content": "18 °C."},
        ],
        "functions": [{"name": "weather"}],
    }
    talk, found = only(jsonl(row))
    assert talk.turns[1].tool_calls == (ToolCall("weather", {"city": "Lima"}),)
    assert talk.turns[2] == Turn("tool", "18", name="weather") and found.format == "openai"
    assert talk.tools == ({"type": "function", "function": {"name": "weather"}},)


def test_sharegpt_with_calls_and_a_system_column(jsonl):
    row = {
        "system": "Help.",
        "tools": '[{"name": "weather", "parameters": {"type": "object"}}]',
        "conversations": [
            {"from": "human", "value": "Weather in Lima and Cusco?"},
            {"from": "gpt", "value": "Let me see."},
            {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Lima", "days": 1.5}}'},
            {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Cusco"}}'},
            {"from": "observation", "value": '{"t": 18}'},
            {"from": "gpt", "value": "18 °C."},
        ],
    }
    talk, found = only(jsonl(row))
    assert found.format == "sharegpt"
    assert talk.turns == (
        Turn("system", "Help."),
        Turn("user", "Weather in Lima and Cusco?"),
        Turn(
            "assistant",
            "Let me see.",
            "",
            (ToolCall("weather", {"city": "Lima", "days": 1.5}), ToolCall("weather", {"city": "Cusco"})),
        ),
        Turn("tool", '{"t": 18}'),
        Turn("assistant", "18 °C."),
    )
    assert type(talk.turns[2].tool_calls[0].arguments["days"]) is float
    assert talk.tools == ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)


def test_alpaca_with_input_system_and_history(jsonl):
    row = {
        "instruction": "Translate.",
        "input": "Guten Tag",
        "output": "Good day",
        "system": "You translate.",
        "history": [["Translate: Ja", "Yes"]],
    }
    assert texts(only(jsonl(row))[0]) == [
        ("system", "You translate."),
        ("user", "Translate: Ja"),
        ("assistant", "Yes"),
        ("user", "Translate.\nGuten Tag"),
        ("assistant", "Good day"),
    ]


def test_prompt_completion_as_texts_and_as_messages(jsonl):
    path = jsonl(
        {"prompt": "The sky is", "completion": " blue."},
        {
            "prompt": [ASK, SAY, {"role": "user", "content": "And of Chile?"}],
            "completion": [{**SAY, "content": "Santiago"}],
        },
    )
    (plain, listed), found = read_conversations(path)
    assert texts(plain) == [("user", "The sky is"), ("assistant", "blue.")] and plain.train_on is None
    assert listed.train_on == (3,)  # as TRL: the answer inside the prompt is not learned
    assert found.formats == {"prompt-completion": 2}


def test_a_table_of_questions(tmp_path):
    (tmp_path / "q.csv").write_text("question;answer\nCapital of Peru?;Lima\nYear of the moon landing?;1969\n")
    talks, found = read_conversations(tmp_path / "q.csv")
    assert [texts(talk)[1][1] for talk in talks] == ["Lima", "1969"]
    assert found.format == "question-answer" and found.columns == {"question": 2, "answer": 2}


def test_cells_that_are_no_answer_are_not_learned_as_text(tmp_path):
    rows = [
        {"question": "Green?", "answer": ["green", "emerald"]},
        {"question": "Green?", "answer": "['green', 'emerald']"},
        {"question": "Which?", "answer": 1, "choices": ["red", "green"]},
        {"question": "When?", "answer": float("nan")},
        {"question": "Is it?", "answer": True},
        {"question": "How many?", "answer": 12},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    talks, found = read_conversations(tmp_path / "q.jsonl", "skip")
    assert [talk.turns[1].content for talk in talks] == ["12"]
    assert found.bad_rows.reasons == {
        "answer is a list": 2,
        "choices beside the answer": 1,
        "empty answer": 1,
        "answer is yes or no": 1,
    }


def test_years_that_pandas_stored_as_floats(tmp_path):
    (tmp_path / "y.csv").write_text("instruction,output\nMoon landing?,1969.0\nWall?,1989.0\nNext?,\n")
    talks, found = read_conversations(tmp_path / "y.csv", "skip")
    assert [talk.turns[1].content for talk in talks] == ["1969", "1989"]
    assert found.bad_rows.reasons == {"empty answer": 1}


def test_rows_of_a_union_of_all_formats(tmp_path):
    keys = ("messages", "conversations", "prompt", "completion", "instruction", "input", "output")
    rows = [
        {"messages": [ASK, SAY]},
        {"conversations": [{"from": "human", "value": "a?"}, {"from": "gpt", "value": "b"}]},
        {"prompt": "c?", "completion": "d"},
        {"instruction": "e?", "output": "f"},
    ]
    lines = [json.dumps({**dict.fromkeys(keys), **row}) for row in rows]
    (tmp_path / "u.jsonl").write_text("\n".join(lines))
    talks, found = read_conversations(tmp_path / "u.jsonl")
    assert [talk.turns[-1].content for talk in talks] == ["Lima", "b", "d", "f"]
    assert found.formats == {"messages": 1, "sharegpt": 1, "prompt-completion": 1, "alpaca": 1}
    pl.DataFrame([{**dict.fromkeys(keys), **row} for row in rows], infer_schema_length=None).write_parquet(
        tmp_path / "u.parquet"
    )
    again, _ = read_conversations(tmp_path / "u.parquet")
    assert [talk.turns for talk in again] == [talk.turns for talk in talks]
    assert [talk.id for talk in again] == [talk.id for talk in talks]


def test_parquet_gives_each_call_the_parameters_of_all_and_they_fall_away(tmp_path):
    def row(name, arguments):
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        turns = [{**ASK, "tool_calls": None}, {"role": "assistant", "content": None, "tool_calls": [call]}]
        return {"messages": turns}

    both = [row("weather", {"city": "Lima", "symbol": None}), row("price", {"city": None, "symbol": "LIM"})]
    pl.DataFrame(both).write_parquet(tmp_path / "calls.parquet")
    talks, _ = read_conversations(tmp_path / "calls.parquet")
    assert [talk.turns[1].tool_calls[0].arguments for talk in talks] == [{"city": "Lima"}, {"symbol": "LIM"}]


@pytest.mark.parametrize(
    "cell",
    [
        '[{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}]',
        "[{'role': 'user', 'content': 'a?'}, {'role': 'assistant', 'content': 'b'}]",
        "[{'content': 'a?', 'role': 'user'}\n {'content': 'b', 'role': 'assistant'}]",
    ],
    ids=["json", "python", "numpy"],
)
def test_a_list_of_messages_in_a_cell_of_a_csv(tmp_path, cell):
    pl.DataFrame({"messages": [cell]}).write_csv(tmp_path / "c.csv")
    assert texts(only(tmp_path / "c.csv")[0]) == [("user", "a?"), ("assistant", "b")]


BAD = {
    "no assistant turn": [ASK],
    "roles that do not alternate": [ASK, SAY, SAY],
    "empty answer": [ASK, {"role": "assistant", "content": "  "}],
    "empty question": [{"role": "user", "content": None}, SAY],
    "content is a number": [ASK, {"role": "assistant", "content": 42}],
    "content is yes or no": [ASK, {"role": "assistant", "content": True}],
    "content is an object": [ASK, {"role": "assistant", "content": {"a": 1}}],
    "image content": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, SAY],
    "audio content": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, SAY],
    "a part that is no text": [{"role": "user", "content": [{"type": "tool_use", "name": "x"}]}, SAY],
    "an unknown role": [{"role": "narrator", "content": "Once"}, ASK, SAY],
    "turns unlike": [{"content": "a?"}, SAY],
    "a weight that is not 0 or 1": [ASK, {**SAY, "weight": 2}],
    "nothing to learn": [ASK, {**SAY, "weight": 0}],
    "tool call arguments that are no object": [ASK, {**SAY, "tool_calls": [{"name": "f", "arguments": "[1]"}]}],
    "JSON text that is no JSON": [ASK, {**SAY, "tool_calls": [{"name": "f", "arguments": "{city: Lima}"}]}],
    "a tool call without a name": [ASK, {**SAY, "tool_calls": [{"function": {"arguments": {}}}]}],
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_is_dropped_by_name_or_is_an_error_with_its_place(jsonl, reason):
    path = jsonl({"messages": [ASK, SAY]}, {"messages": BAD[reason]})
    talks, found = read_conversations(path, "skip")
    assert len(talks) == found.kept == 1 and found.rows == 2 and found.bad_rows.reasons == {reason: 1}
    with pytest.raises(InputError, match="line 2"):
        read_conversations(path, "error")


def test_rows_of_other_kinds_are_named(jsonl):
    path = jsonl(
        {"messages": [ASK, SAY]},
        {"chosen": "a", "rejected": "b"},
        {"text": "running text"},
        {"prompt": "a?"},
        {"instruction": "a?", "output": ""},
        {"foo": 1},
        {"messages": []},
        {"prompt": "a?", "completion": 7},
        {"messages": [ASK, SAY], "images": ["x.png"]},
        {"prompt": "a?", "completion": [SAY]},
        '{"messages": [{"role": "user", "content": "\\ud83d"}]}',
        "{broken",
        '["a"]',
        {"question": "a?", "answer": ["b", "c"]},
    )
    assert dropped(path) == {
        "a preference pair": 1,
        "text without turns": 1,
        "no completion": 1,
        "empty answer": 1,
        "no chat format": 1,
        "empty messages": 1,
        "completion is a number": 1,
        "image content": 1,
        "prompt and completion unlike": 1,
        "half of a surrogate pair": 1,
        "not valid JSON": 1,
        "not an object": 1,
        "answer is a list": 1,
    }


def test_a_surrogate_inside_json_text_is_found(jsonl):
    call = {"name": "f", "arguments": '{"city": "\\ud83d"}'}
    path = jsonl({"messages": [ASK, SAY]}, {"messages": [ASK, {**SAY, "tool_calls": [call]}]})
    assert dropped(path) == {"half of a surrogate pair": 1}


def test_a_file_of_bad_rows_alone_says_what_they_are(jsonl):
    with pytest.raises(InputError, match=r"no conversation is left of 2 rows: 2 with no assistant turn"):
        read_conversations(jsonl({"messages": [ASK]}, {"messages": [ASK]}), "skip")
    with pytest.raises(InputError, match="1 with not valid JSON"):
        read_conversations(jsonl("{broken"), "skip")


def test_a_folder_by_its_files_names(jsonl, tmp_path):
    (tmp_path / "hub/data").mkdir(parents=True)
    row = json.dumps({"messages": [ASK, SAY]})
    for name, count in (("train-00000-of-00001", 3), ("test-00000-of-00001", 2), ("validation", 1)):
        (tmp_path / f"hub/data/{name}.jsonl").write_text(f"{row}\n" * count)
    (tmp_path / "hub/dataset_info.json").write_text("{}")
    (tmp_path / "hub/README.md").write_text("# data")
    talks, found = read_conversations(tmp_path / "hub")
    assert found.parts == {"test": 2, "train": 3, "validation": 1}
    assert len({talk.id for talk in talks}) == 6  # the same six times, told apart


def test_the_part_by_column_and_by_name(jsonl):
    path = jsonl({"messages": [ASK, SAY], "split": "test"}, {"messages": [ASK, SAY], "split": None})
    assert [talk.part for talk in read_conversations(path)[0]] == ["test", "train"]
    names = ("contest.jsonl", "my_test_set.csv", "val.json", "latest-dev.parquet", "train.jsonl")
    assert [part_of(path.with_name(name)) for name in names] == ["train", "test", "validation", "validation", "train"]


def test_own_ids_are_kept_and_made_distinct(jsonl):
    rows = [{"id": one, "messages": [ASK, SAY]} for one in ("a", "a", "a-2", 7)]
    assert [talk.id for talk in read_conversations(jsonl(*rows))[0]] == ["a", "a-3", "a-2", "7"]


def test_no_folder_and_no_step(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_conversations(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match="holds no file"):
        read_conversations(tmp_path)
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"")
    with pytest.raises(InputError, match="to_parquet"):
        read_conversations(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="step directory"):
        read_conversations(tmp_path)
