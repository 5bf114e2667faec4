"""A published tokenizer and its own template: masks, prompts, and what transformers itself makes of the same turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from helpers_chat import ONE, SYSTEM, TOOLS, TWO
from recollect.chat.frame import frame_of
from recollect.chat.render import render
from recollect.errors import InputError

pytestmark = pytest.mark.real


def test_smollm2(real_model: Callable[[str], Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real_model("smollm2"))
    for talk in (ONE, TWO, SYSTEM):
        [example] = render(tokenizer, talk)
        messages = talk.as_messages()
        assert example.ids == tokenizer.apply_chat_template(messages, return_dict=False)
        learned = tokenizer.decode([token for token, on in zip(example.ids, example.mask, strict=True) if on])
        assert learned == "".join(f"{turn.content}<|im_end|>\n" for turn in talk.turns if turn.role == "assistant")
    asked = tokenizer.apply_chat_template(ONE.as_messages()[:1], add_generation_prompt=True, return_dict=False)
    assert frame_of(tokenizer).prompt(ONE.turns[0].content) == asked
    with pytest.raises(InputError, match="does not write tool calls"):
        render(tokenizer, TOOLS)
