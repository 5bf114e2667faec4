"""The replies of a completions server, read strictly: texts, token ids, log-probabilities and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from recollect.core.json_object import JsonObject
from recollect.errors import InputError


class Entry(NamedTuple):
    """The log-probability of one token, and of the most likely ones at its place by their texts."""

    logprob: float | None
    top: dict[str, float]


@dataclass(frozen=True)
class Said:
    """One completion."""

    text: str
    ids: list[int] | None
    """Its token ids, where the server tells them."""
    ended: bool
    """Whether it ended by itself, before the limit."""
    entries: list[Entry]
    tokens: int | None = None
    """How many tokens it has by the server's own count, where that is of this one alone."""


def choices_of(reply: JsonObject) -> list[JsonObject]:
    """The answers in a reply; none where it is not of the protocol."""
    choices = reply.get("choices")
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []


def said_of(choice: JsonObject) -> Said:
    """One answer of a reply. InputError where it has no text."""
    ids = choice.get("token_ids")
    whole = isinstance(ids, list) and all(isinstance(one, int) for one in ids)
    text = choice.get("text")
    if not isinstance(text, str):
        raise InputError("the server's reply is not one of the completions protocol: an answer has no text.")
    return Said(
        text, list(ids) if whole and ids is not None else None, choice.get("finish_reason") == "stop", _entries(choice)
    )


def entries_of(reply: JsonObject | None) -> list[Entry]:
    """The log-probabilities in the first answer of a reply; none where it has none."""
    choices = choices_of(reply) if reply else []
    return _entries(choices[0]) if choices else []


def _entries(choice: JsonObject) -> list[Entry]:
    """The log-probabilities of a choice, in the form of completions or in that of chats, which llama.cpp gives here."""
    found = choice.get("logprobs")
    if not isinstance(found, dict):
        return []
    if isinstance(found.get("content"), list):
        return [_entry_of_chat(one) for one in found["content"] if isinstance(one, dict)]
    values, tops = found.get("token_logprobs"), found.get("top_logprobs")
    if not isinstance(values, list):
        return []
    tops = tops if isinstance(tops, list) and len(tops) == len(values) else [None] * len(values)
    return [Entry(_number(value), _pairs(top)) for value, top in zip(values, tops, strict=True)]


def _entry_of_chat(entry: JsonObject) -> Entry:
    told = entry.get("top_logprobs")
    top = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return Entry(_number(entry.get("logprob")), _pairs({str(one.get("token")): one.get("logprob") for one in top}))


def _pairs(top: object) -> dict[str, float]:
    pairs = {str(text): _number(value) for text, value in top.items()} if isinstance(top, dict) else {}
    return {text: value for text, value in pairs.items() if value is not None}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def usage_of(reply: JsonObject, name: str) -> int | None:
    """A count of tokens in a reply; None where the server does not count."""
    usage = reply.get("usage")
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and found >= 0 else None
