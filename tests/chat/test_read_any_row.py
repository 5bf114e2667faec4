"""Whatever stands in a row, it is read or dropped by name: no other error, and what is read can be written as JSON."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recollect.chat.formats import read_row
from recollect.chat.read import check_turns, content_id
from recollect.conversation import Conversation
from recollect.core.tables import RowError

ROLES = st.sampled_from(
    ["user", "assistant", "system", "tool", "human", "gpt", "function_call", "observation", "x", ""]
)
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["[", "{}", "[]", '{"name": "f", "arguments": {}}', "[{'role': 'user'}]", "null", '"a"', "0"]),
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
ANY = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking", "image"]), "text": ANY}) | ANY, max_size=2
)
CALL = st.fixed_dictionaries(
    {}, optional={"id": ANY, "function": ANY | st.fixed_dictionaries({"name": TEXTS, "arguments": ANY}), "name": TEXTS}
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": ROLES | ANY,
        "content": TEXTS | PARTS | ANY,
        "from": ROLES | ANY,
        "value": TEXTS | ANY,
        "tool_calls": st.lists(CALL, max_size=2) | ANY,
        "function_call": CALL | ANY,
        "weight": ANY,
        "train": ANY,
        "reasoning_content": ANY,
        "thinking": ANY,
        "name": ANY,
        "tool_call_id": ANY,
        "refusal": ANY,
    },
)
LIST = st.lists(MESSAGE, min_size=1, max_size=4) | st.lists(MESSAGE, min_size=1, max_size=4) | TEXTS | ANY
KEYS = (
    *("system", "tools", "functions", "parallel_tool_calls", "instruction", "input", "output", "response", "history"),
    *("question", "answer", "choices", "context", "text", "chosen", "rejected", "query", "system_prompt"),
)
ROW = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("messages", "conversations", "conversation", "prompt", "completion"), LIST),
        **dict.fromkeys(KEYS, ANY),
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROW)
def test_any_row_is_read_or_dropped_by_name(values: dict[str, object]) -> None:
    try:
        draft = read_row(values).draft
        check_turns(draft.turns)
    except RowError:
        return
    made = Conversation("x", tuple(draft.turns), draft.tools, draft.train_on)
    assert made.answers and set(made.train_on or ()) <= set(made.answers)
    json.dumps([made.as_messages(), list(made.tools)], allow_nan=False)
    assert len(content_id(made)) == 16
