"""A model's own chat template: from messages to text and to token ids, the same on every day and for every text.

Notable choices
- What people and tools said never becomes a control token: a user turn that holds `<|im_end|>` does not end itself. In
  an assistant turn the tokens that begin or end a text are shielded alone, since a model writes the others itself
  (tool calls, reasoning).
- Templates that write today's date (Llama 3.1, SmolLM3) write a fixed one, or the same training would differ tomorrow.
- A template that joins the arguments of tool calls as text (DeepSeek V3) gets them as JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from recollect.conversation import Conversation
from recollect.core.json_object import JsonObject
from recollect.core.native import careful
from recollect.errors import InputError
from recollect.generate.encoding import text_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TODAY = datetime(2024, 7, 26)
"""What a template takes for today: the date that Llama 3.1's falls back to."""
_PROBE = "a question"
_REFUSALS = (
    *(TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError),
    *(ArithmeticError, RecursionError),
)
_FORMAT = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
_HIDDEN = 0xF0000  # of Unicode's private use: stands for a control token's text until the ids are made
_PLACES = re.compile("([\U000f0000-\U000f0fff])")


def has_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer has a chat template that is used without asking for one by name."""
    template = tokenizer.chat_template
    return bool(template.get("default") if isinstance(template, Mapping) else template)


def template_of(tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
    """The chat template of a tokenizer, which remembers what it found of the last few; InputError where it has none."""
    if not has_template(tokenizer):
        raise InputError("the model's tokenizer has no chat template. Take a model that has one, or --prompt plain.")
    return _remembered(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=4)
def _remembered(tokenizer: PreTrainedTokenizerBase, written: str) -> ChatTemplate:
    return ChatTemplate(tokenizer)


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of a tokenizer."""

    tokenizer: PreTrainedTokenizerBase

    def text(
        self,
        messages: Sequence[JsonObject],
        tools: Sequence[JsonObject] = (),
        *,
        generation: bool = False,
        thinking: bool | None = None,
    ) -> str:
        """The messages as the template writes them, with its generation prompt where that is asked for.

        thinking: the switch of templates that have one (`enable_thinking`); None leaves it as it is. Raises InputError
        with what the template says when it refuses the messages.
        """
        values: dict[str, object] = {"add_generation_prompt": generation, "tools": list(tools) or None}
        if thinking is not None:
            values["enable_thinking"] = thinking
        given = list(map(_in_parts, messages)) if self._wants_parts else list(messages)
        try:
            try:
                return self._applied(given, values)
            except TypeError:  # it adds the arguments of a tool call to text
                return self._applied(_arguments_as_text(given), values)
        except _REFUSALS as error:
            said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            raise InputError(f"the model's chat template refuses these turns: {said}.") from None

    def messages(self, conversation: Conversation) -> list[JsonObject]:
        """The turns as the template takes them, with control tokens in what was said hidden."""
        return [self._shielded(message) for message in conversation.as_messages()]

    def hide(self, said: str, *, by_model: bool = False) -> str:
        """A text in which no control token is found; `ids` writes them as the letters that they are."""
        pattern = self._ends if by_model else self._control
        return pattern.sub(lambda found: chr(_HIDDEN + self._control_texts.index(found[0])), said)

    def shown(self, text: str) -> str:
        """The same text with its hidden control tokens written out."""
        return _PLACES.sub(lambda found: self._control_texts[ord(found[0]) - _HIDDEN], text)

    def ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        """`ids` of each text; in one call of the tokenizer where nothing is hidden."""
        if not texts or any(map(_PLACES.search, texts)) or "" in texts:
            return [self.ids(text) for text in texts]
        with careful("the model's tokenizer"):
            return list(self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"])

    def ids(self, text: str) -> list[int]:
        """The token ids of a rendered text, as `apply_chat_template` makes them; what is hidden is plain text."""
        found: list[int] = []
        for index, piece in enumerate(_PLACES.split(text)):
            if index % 2:
                found += text_ids(self.tokenizer, [self._control_texts[ord(piece) - _HIDDEN]])[0]
            elif piece:
                with careful("the model's tokenizer"):
                    found += self.tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    @cached_property
    def writes_date(self) -> bool:
        """Whether the template asks what day it is."""
        return "strftime_now" in str(self.tokenizer.chat_template)

    def _applied(self, messages: Sequence[JsonObject], values: Mapping[str, object]) -> str:
        own = str(self.tokenizer.get_chat_template(tools=values.get("tools")))
        dated = _fixed_date(own) + own
        return str(self.tokenizer.apply_chat_template(list(messages), chat_template=dated, tokenize=False, **values))

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether it reads content as a list of parts alone, as templates of models with a vision part may."""
        asked: JsonObject = {"role": "user", "content": _PROBE}
        for message in (asked, _in_parts(asked)):
            with suppress(*_REFUSALS):
                written = self._applied([message], {})
                if _PROBE in written and "'text'" not in written:  # not the list itself
                    return message is not asked
        return False

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """The ids of the control tokens: beginnings, ends, markers of turns."""
        known = {number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        return frozenset(known | set(self.tokenizer.all_special_ids))

    @cached_property
    def _control_texts(self) -> list[str]:
        texts = {str(self.tokenizer.convert_ids_to_tokens(number)) for number in self.control_ids}
        return sorted(filter(None, texts), key=lambda text: (-len(text), text))

    @cached_property
    def _control(self) -> re.Pattern[str]:
        return _any_of(self._control_texts)

    @cached_property
    def _ends(self) -> re.Pattern[str]:
        named = self.tokenizer
        texts = {named.bos_token, named.eos_token, named.pad_token, named.unk_token}
        return _any_of([text for text in self._control_texts if text in texts])

    def _shielded(self, message: JsonObject) -> JsonObject:
        by_model = message["role"] == "assistant"

        def hidden(value: Any) -> Any:
            if isinstance(value, str):
                return self.hide(value, by_model=by_model)
            if isinstance(value, list):
                return [hidden(item) for item in value]
            return {key: hidden(item) for key, item in value.items()} if isinstance(value, dict) else value

        return {key: value if key == "role" else hidden(value) for key, value in message.items()}


def _any_of(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)) if texts else r"(?!)")


def _arguments_as_text(messages: Sequence[JsonObject]) -> list[JsonObject]:
    def calls(message: JsonObject) -> Iterator[JsonObject]:
        for call in message["tool_calls"]:
            arguments = json.dumps(call["function"]["arguments"], ensure_ascii=False)
            yield {**call, "function": {**call["function"], "arguments": arguments}}

    return [
        {**message, "tool_calls": list(calls(message))} if "tool_calls" in message else message for message in messages
    ]


def _in_parts(message: JsonObject) -> JsonObject:
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


def _fixed_date(template: str) -> str:
    """What to put before a template, so that it writes `TODAY`: values that are functions do not reach it."""
    if "strftime_now" not in template:
        return ""
    written = {found: TODAY.strftime(found) for _, found in _FORMAT.findall(template)}
    cases = "".join(f"{{% if format == {form!r} %}}{date}{{% endif %}}" for form, date in written.items())
    return f"{{% macro strftime_now(format) %}}{cases}{{% endmacro %}}"
