"""A conversation in the shape that transformers' `apply_chat_template` takes."""

from __future__ import annotations

from recollect.conversation import Conversation, ToolCall, Turn


def test_a_call_and_its_result_name_each_other_and_empty_fields_are_left_out():
    talk = Conversation(
        "1",
        (
            Turn("user", "Weather in Lima?"),
            Turn("assistant", "", "I should look.", (ToolCall("weather", {"city": "Lima", "days": 1}, "c1"),)),
            Turn("tool", "18 °C", name="weather", call_id="c1"),
            Turn("assistant", "18 °C."),
        ),
    )
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Lima", "days": 1}}}
    assert talk.as_messages() == [
        {"role": "user", "content": "Weather in Lima?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I should look.",
            "thinking": "I should look.",
            "tool_calls": [call],
        },
        {"role": "tool", "content": "18 °C", "name": "weather", "tool_call_id": "c1"},
        {"role": "assistant", "content": "18 °C."},
    ]
    assert talk.answers == (1, 3)
