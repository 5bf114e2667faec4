"""A conversation as a model reads it: token ids by the model's own chat template, and exactly what is learned of them.

Notable choices
- A turn is learned after the very ids that the model is given when it is to say it: the template's own text of all
  turns before, with its generation prompt. So no template has to be known: its text before a turn must be how its text
  with the turn begins, and a template of which that is not so is refused.
- Learned is all that the template writes for the turn, reasoning, tool calls and end-of-turn token included. A turn
  that it leaves open ends with the control token that the next turn would begin with (GLM), else with the end token.
- Turns share an example as long as each stands in it token for token as it was said. Where a template rewrites what
  came before (thinking is taken out of earlier turns), each turn it rewrites is an example of its own.
- TRL ships templates with marked answers for some thirty families, found by their exact text; ours works for any text,
  and the tests compare the two, family by family.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recollect.chat.template import ChatTemplate, template_of
from recollect.conversation import Conversation, Turn
from recollect.core.json_object import JsonObject
from recollect.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TrainOn = Literal["all", "last"]
"""Which assistant turns are learned, unless the conversation says so itself."""
_WAY_OUT = "Leave the conversation out, give the tokenizer another chat template, or train with --prompt plain."


@dataclass(frozen=True, slots=True)
class Rendered:
    """One training example of a conversation."""

    ids: list[int]
    mask: list[int]
    """1 on each token that is learned, else 0."""
    turns: tuple[int, ...]
    """Indices of the turns that are learned here."""
    left_out: tuple[str, ...] = ()
    """What the template does not write: "reasoning", "the system turn", "a tool's result", …"""


@dataclass(frozen=True)
class _Said:
    """All up to a turn, and where in it the turn begins."""

    turn: int
    ids: list[int]
    start: int
    left_out: tuple[str, ...]


def render(
    tokenizer: PreTrainedTokenizerBase, conversation: Conversation, train_on: TrainOn = "all"
) -> tuple[Rendered, ...]:
    """The training examples of a conversation, in the order of their turns; mostly one, () when nothing is learned.

    What the conversation itself says (`train_on`) goes before the setting. Raises InputError, by the conversation's
    name, when there is no template, when it refuses the turns, does not write what is to be learned, or writes it so
    that it cannot be told from what came before.

    Examples:
        `tokenizer` is that of a model with a chat template.

        >>> from recollect.conversation import Conversation, Turn
        >>> from recollect.chat.render import render
        >>> talk = Conversation("1", (Turn("user", "Capital of Peru?"), Turn("assistant", "Lima")))
        >>> [example] = render(tokenizer, talk)
        >>> tokenizer.decode([token for token, learned in zip(example.ids, example.mask) if learned])
        'Lima<|im_end|>\\n'
    """
    template = template_of(tokenizer)
    chosen = trained_turns(conversation, train_on)
    if not chosen:
        return ()
    try:
        messages = template.messages(conversation)
        said = [_said(template, conversation, messages, index) for index in chosen]
    except InputError as error:
        where = conversation.source or f"conversation {conversation.id}"
        raise InputError(f"{where}: {error} {_WAY_OUT}") from None
    return _joined(template, said)


def trained_turns(conversation: Conversation, train_on: TrainOn) -> tuple[int, ...]:
    """Indices of the turns that are learned."""
    if conversation.train_on is not None:
        return tuple(sorted(set(conversation.train_on) & set(conversation.answers)))
    return conversation.answers[-1:] if train_on == "last" else conversation.answers


def _said(template: ChatTemplate, conversation: Conversation, messages: Sequence[JsonObject], index: int) -> _Said:
    """A turn after all before it, or an InputError without a name."""
    tools, turn = conversation.tools, conversation.turns[index]
    after = template.text(messages[: index + 1], tools)
    content = template.hide(turn.content, by_model=True).strip()
    if index:
        before = template.text(messages[:index], tools, generation=True)
    else:  # nothing to be asked with: all that stands before the words
        before = after[: after.find(content)] if content else ""
    whole, given = template.ids(after), template.ids(before)
    start, words = _shared(whole, given), after.removeprefix(before)
    if after.startswith(before):
        if start < len(given):  # the prompt's last token and the turn's first would be one
            apart = [*given, *template.ids(after[len(before) :])]
            if template.tokenizer.decode(apart) == template.tokenizer.decode(whole):
                whole, start = apart, len(given)
    else:
        words = _reopened(template, messages[:index], tools, before, after)
    _check_written(turn, content, words)
    closing = _closing(template, messages, tools, index, whole[start:])
    return _Said(index, [*whole, *closing], start, _left_out(template, conversation, index, after, words))


def _reopened(
    template: ChatTemplate, earlier: Sequence[JsonObject], tools: Sequence[JsonObject], before: str, after: str
) -> str:
    """The text of a turn that does not begin with the generation prompt (which opens a reasoning, say), with its head.

    All that stands before that prompt must still be written as it was; InputError where it is not.
    """
    asked = template.text(earlier, tools) if earlier else ""
    if not (before.startswith(asked) and after.startswith(asked)):
        raise InputError(
            "the model's chat template writes the turns before an answer otherwise once the answer is there, so that "
            "the two cannot be told apart."
        )
    return after.removeprefix(asked)


def _check_written(turn: Turn, content: str, words: str) -> None:
    """The template must write the answer and its calls as part of the turn."""
    spoken = content.rpartition("</think>")[2].strip()
    if spoken not in words and json.dumps(spoken, ensure_ascii=False)[1:-1] not in words:
        raise InputError("the model's chat template does not write this answer as it is, so that it cannot be masked.")
    for call in turn.tool_calls:
        if call.name not in words:
            raise InputError(f"the model's chat template does not write tool calls (here: {call.name}).")


def _closing(
    template: ChatTemplate,
    messages: Sequence[JsonObject],
    tools: Sequence[JsonObject],
    index: int,
    said: Sequence[int],
) -> list[int]:
    """What ends a turn that its template leaves open; [] where the turn has its own end."""
    if _ends(template, said):
        return []
    pair: list[JsonObject] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    for before, following in (
        (messages[: index + 1], messages[index + 1 : index + 2]),
        (pair, pair[:1]),  # as it ends any other turn
    ):
        with suppress(InputError):
            turn = template.ids(template.text(before, tools))
            longer = template.ids(template.text([*before, *following], tools))
            if len(longer) > len(turn) == _shared(turn, longer) and longer[len(turn)] in template.control_ids:
                return [longer[len(turn)]]
    end = template.tokenizer.eos_token_id
    if end is None:
        raise InputError("the model's chat template writes no end of an answer, and its tokenizer has no end token.")
    return [int(end)]


def _ends(template: ChatTemplate, ids: Sequence[int]) -> bool:
    """Whether a text ends in a control token, white space aside."""
    kept = list(ids)
    while kept and kept[-1] not in template.control_ids and not template.tokenizer.decode([kept[-1]]).strip():
        kept.pop()
    return bool(kept) and kept[-1] in template.control_ids


def _left_out(
    template: ChatTemplate, conversation: Conversation, index: int, after: str, words: str
) -> tuple[str, ...]:
    """What of a turn, and of those before it, the template does not write."""
    found = []
    turn = conversation.turns[index]
    inside = turn.content.rpartition("</think>")[0].rpartition("<think>")[2]  # of the content, as some data have it
    if any(template.hide(thought, by_model=True).strip() not in words for thought in (turn.reasoning, inside)):
        found.append("reasoning")
    names = {"system": "the system turn", "tool": "a tool's result", "user": "a user turn"}
    for turn in conversation.turns[:index]:
        content = template.hide(turn.content).strip()
        written = content in after or json.dumps(content, ensure_ascii=False)[1:-1] in after
        if turn.role in names and not written and names[turn.role] not in found:
            found.append(names[turn.role])
    return tuple(found)


def _joined(template: ChatTemplate, said: Sequence[_Said]) -> tuple[Rendered, ...]:
    """The turns in as few examples as hold each as it was said."""
    groups: list[tuple[_Said, list[tuple[_Said, int]]]] = []
    for one in reversed(said):
        for whole, members in groups:
            stop = _place(template, one, whole.ids)
            if stop is not None:
                members.append((one, stop))
                break
        else:
            groups.append((one, [(one, len(one.ids))]))
    examples = []
    for whole, members in groups:
        mask = [0] * len(whole.ids)
        for one, stop in members:
            mask[one.start : stop] = [1] * (stop - one.start)
        turns = tuple(sorted(one.turn for one, _ in members))
        left_out = tuple(dict.fromkeys(name for one, _ in reversed(members) for name in one.left_out))
        examples.append(Rendered(whole.ids, mask, turns, left_out))
    return tuple(sorted(examples, key=lambda example: example.turns))


def _place(template: ChatTemplate, one: _Said, whole: Sequence[int]) -> int | None:
    """Where a turn ends in a longer text that holds it; None where it is written otherwise there.

    Closing tokens that a template writes after the last turn alone (Phi-3's end of text) may be missing.
    """
    stop = _shared(one.ids, whole)
    if stop == len(one.ids):
        return stop
    closing = all(
        token in template.control_ids or not template.tokenizer.decode([token]).strip() for token in one.ids[stop:]
    )
    return stop if closing and stop > one.start and _ends(template, one.ids[one.start : stop]) else None


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two texts begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
