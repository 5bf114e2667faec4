"""One question inside a model's chat template, so that its answer follows at once: for facts and mapping prompts.

Notable choices
- A question is the one user turn. What the template writes before the assistant's words is the prompt; mostly that is
  its generation prompt, with thinking switched off where there is a switch. Where the two differ (a generation prompt
  opens a reasoning that no written answer has), the prompt is what stands before a written answer.
- The text around a question is the template's, found once with a stand-in; no question and no answer can write control
  tokens into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from recollect.chat.render import render
from recollect.chat.template import ChatTemplate, template_of
from recollect.conversation import Conversation, Turn
from recollect.core.json_object import JsonObject
from recollect.errors import InputError
from recollect.generate import Engine
from recollect.generate.encoding import BLANK, ids_after

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_QUESTION, _ANSWER = "\ue000", "\ue001"
_SAID, _TURN = "\ue002", "\ue003"  # between a question and its answer, and after both


@dataclass(frozen=True)
class Frame:
    """The text of a template around one question and its answer."""

    template: ChatTemplate
    before: str
    between: str
    lead: str
    """What the template itself writes between the prompt and the answer: "", or a blank."""
    after: str
    closing: tuple[int, ...]
    """Ids that end an answer where the template writes none."""

    def prompts(self, questions: Sequence[str]) -> list[list[int]]:
        """The ids of each question's prompt."""
        return self.template.ids_of([self._prompt(question) for question in questions])

    def answers(
        self, questions: Sequence[str], answers: Sequence[str], lead: str = BLANK
    ) -> list[tuple[list[int], list[int]]]:
        """(ids of the prompt, ids of the answer as it follows the prompt) of each; `lead` stands between."""
        start = self.lead if lead == BLANK else lead if self.lead else lead.removeprefix(BLANK)
        asked = [self._prompt(question) for question in questions]
        said = [start + self.template.hide(answer) for answer in answers]
        known = dict(zip(once := list(dict.fromkeys(asked)), self.template.ids_of(once), strict=True))
        found = []
        together = self.template.ids_of([text + rest for text, rest in zip(asked, said, strict=True)])
        for text, rest, whole in zip(asked, said, together, strict=True):
            prompt = known[text]
            if whole[: len(prompt)] == prompt and len(whole) > len(prompt):
                found.append((prompt, whole[len(prompt) :]))
            else:
                found.append((prompt, ids_after(self.template.tokenizer, prompt, self.template.shown(rest))))
        return found

    def prompt(self, question: str) -> list[int]:
        """See `prompts`."""
        return self.prompts([question])[0]

    def answer(self, question: str, answer: str, lead: str = BLANK) -> tuple[list[int], list[int]]:
        """See `answers`."""
        return self.answers([question], [answer], lead)[0]

    def example(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        """The ids of a training example and its mask: 1 on the answer and all that ends it."""
        prompt, said = self.answer(question, answer)
        whole = self.template.ids(self._prompt(question) + self.lead + self.template.hide(answer) + self.after)
        known = [*prompt, *said]
        end = whole[len(known) :] if whole[: len(known)] == known else self.template.ids(self.after)
        learned = [*said, *end, *self.closing]
        return [*prompt, *learned], [0] * len(prompt) + [1] * len(learned)

    def _prompt(self, asked: str) -> str:
        *shown, question = asked.split(_TURN)
        if not shown:
            return self.before + self.template.hide(question.strip()) + self.between
        turns = [text for pair in shown for text in pair.split(_SAID)] + [question]
        roles = ("user", "assistant")
        messages: list[JsonObject] = [
            {"role": roles[at % 2], "content": self.template.hide(text.strip())} for at, text in enumerate(turns)
        ]
        whole = self.template.text([*messages, {"role": "assistant", "content": _ANSWER}], thinking=False)
        return whole.partition(_ANSWER)[0].removesuffix(self.lead)


def with_turns(examples: Sequence[tuple[str, str]], question: str) -> str:
    """A question as `Frame` and `in_chat` take it, with questions and answers of others in the turns before it."""
    return "".join(f"{asked}{_SAID}{answer}{_TURN}" for asked, answer in examples) + question


def frame_of(tokenizer: PreTrainedTokenizerBase) -> Frame:
    """The frame of a tokenizer's chat template. InputError where it has none, or none that a question can be put in."""
    template_of(tokenizer)
    return _framed(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=4)
def _framed(tokenizer: PreTrainedTokenizerBase, written: str) -> Frame:
    template = template_of(tokenizer)
    asked: JsonObject = {"role": "user", "content": _QUESTION}
    said: JsonObject = {"role": "assistant", "content": _ANSWER}
    prompt = template.text([asked], generation=True, thinking=False)
    pair = template.text([asked, said], thinking=False)
    head, question, rest = pair.partition(_QUESTION)
    between, answer, after = rest.partition(_ANSWER)
    if not question or not answer or _QUESTION in rest or _ANSWER in after:
        raise InputError(
            "the model's chat template does not write a question and its answer once each, so that facts cannot be "
            "asked in it. Take --prompt plain."
        )
    own = prompt.partition(_QUESTION)[2]
    lead = between.removeprefix(own) if between.startswith(own) else between
    if lead.strip(" "):  # more than a blank: then it belongs to the prompt
        own, lead = between, ""
    [example] = render(tokenizer, Conversation("", (Turn("user", "?"), Turn("assistant", "!"))))
    written_ids = template.ids(template.text([{**asked, "content": "?"}, {**said, "content": "!"}]))
    return Frame(template, head, own, lead, after, tuple(example.ids[len(written_ids) :]))


class _InChat:
    """An engine that puts what it is asked into a user turn of its model's chat template."""

    def __init__(self, engine: Engine, frame: Frame) -> None:
        self._engine, self._frame = engine, frame

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """See `Frame.prompts`."""
        return self._frame.prompts(prompts)

    def encode_answers(
        self, prompts: Sequence[str], answers: Sequence[str], lead: str = BLANK
    ) -> list[tuple[list[int], list[int]]]:
        """See `Frame.answers`."""
        return self._frame.answers(prompts, answers, lead)

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


def in_chat(engine: Engine) -> Engine:
    """The same engine, asked in its model's chat template; InputError where its model has none."""
    tokenizer = getattr(engine, "tokenizer", None)
    if tokenizer is None:
        raise InputError(f"the engine {engine.name!r} has no chat template. Take --prompt plain.")
    return cast(Engine, _InChat(engine, frame_of(tokenizer)))
