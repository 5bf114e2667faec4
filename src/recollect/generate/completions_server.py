"""What a completions server can do, found by asking it before anything is measured; and its replies, read strictly.

Notable choices
- Nothing is believed of a server's name: each ability is tried with a small request. Servers leave parameters out in
  silence, refuse others, and give log-probabilities of generated tokens where those of the prompt were asked for.
- Every parameter that could bring in a default of the server's own (top-k, min-p, penalties) is tried alone, and those
  it takes are sent with each request at the value that switches them off.
- A prompt is sent as token ids where the server reads as many tokens as were sent; else as a text, only where our
  tokenizer reads that text as the same ids, and the server counts as many. Each reply's count is checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from recollect.core.json_object import JsonObject
from recollect.core.llm import CompletionsSettings, Refused, post_all, read_path, usage_cost
from recollect.errors import InputError, SelfTestError
from recollect.generate.completions_replies import Entry, Said, choices_of, entries_of, said_of, usage_of
from recollect.generate.encoding import begin_ids
from recollect.generate.engine import Ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_AT_ONCE = 128
"""Draws that one request asks for; OpenAI's own limit."""
_SWITCHED_OFF: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("top_k", (0, -1)),  # SGLang knows -1 alone, llama-cpp-python 0 alone
    ("min_p", (0.0,)),
    ("repetition_penalty", (1.0,)),
    ("repeat_penalty", (1.0,)),  # llama.cpp's name of it
    ("presence_penalty", (0.0,)),
    ("frequency_penalty", (0.0,)),
)
_NEAR = 0.25
"""Of a log-probability: a prompt read at once and token by token, in bfloat16."""


@dataclass(frozen=True)
class Abilities:
    """What a server was found to do."""

    model: str
    context: int | None = None
    """Tokens that it says it can hold."""
    ids: bool = False
    """Takes prompts as token ids."""
    begin: str = ""
    """What is put before a prompt that is sent as a text, so that the server reads it as our ids."""
    constant: JsonObject = field(default_factory=dict)
    """Sent with every request."""
    top_k: bool = False
    """Cuts to the most likely tokens where asked to."""
    draws: bool = False
    """Whether it can be drawn from at all."""
    many: bool = False
    """Gives several draws for one request."""
    seeds: bool = False
    """Draws anew only under another seed, so that each draw is sent one."""
    top: int = 0
    """How many of the most likely tokens it tells for a generated one; 0: no log-probabilities."""
    echo: bool = False
    """Tells the log-probabilities of a prompt's own tokens."""
    hidden: int = 0
    """Begin tokens for which it then has no entry, as llama-cpp-python."""
    lacks: tuple[str, ...] = ()
    """What it cannot, in words."""


class Connection:
    """A server, the tokenizer that its model reads by, and the tokens that it has counted."""

    def __init__(self, settings: CompletionsSettings, tokenizer: PreTrainedTokenizerBase, stops: frozenset[int]):
        self.settings = settings
        self.tokenizer = tokenizer
        self.stops = stops
        self.tokens = (0, 0)
        self._begin = begin_ids(tokenizer)

    def ask(self, can: Abilities, prompts: Sequence[Ids], asked: Sequence[JsonObject]) -> list[list[Said]]:
        """The completions of each prompt, `asked` with parameters of its own. InputError where one is refused."""
        found = self._post([self._body(can, ids, more) for ids, more in zip(prompts, asked, strict=True)])
        return [self._read(can, ids, more, one) for ids, more, one in zip(prompts, asked, found, strict=True)]

    def attempt(self, can: Abilities, prompts: Sequence[Ids], asked: Sequence[JsonObject]) -> list[JsonObject | None]:
        """The raw replies to requests that may be refused, None for those that are."""
        bodies = [self._body(can, ids, more) for ids, more in zip(prompts, asked, strict=True)]
        found = post_all(self.settings, "/completions", bodies, trying=True)
        replies = [None if isinstance(one, Refused) else one for one in found]
        self._count([one for one in replies if one is not None])
        return replies

    def text(self, ids: Ids, begin: str) -> str | None:
        """The text that is read as these ids; None where there is none."""
        head = len(self._begin) if list(ids[: len(self._begin)]) == self._begin else 0
        own = list(ids[head:])
        text = str(self.tokenizer.decode(own, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        same = list(self.tokenizer.encode(text, add_special_tokens=False)) == own
        return begin + text if same else None

    def begin_text(self) -> str:
        """The begin tokens of a prompt as a text."""
        return str(self.tokenizer.decode(self._begin, skip_special_tokens=False))

    def _body(self, can: Abilities, ids: Ids, more: JsonObject) -> JsonObject:
        prompt: object = list(ids) if can.ids else self.text(ids, can.begin)
        if prompt is None:
            raise InputError(
                f"{self.settings.endpoint} takes prompts as texts alone, but no text is read as the tokens of the "
                f"prompt {self.tokenizer.decode(list(ids))[:80]!r}. Leave it out, or take a server that takes token "
                "ids (vLLM, SGLang)."
            )
        return {"model": can.model, "prompt": prompt, "top_p": 1.0, **can.constant, **more}

    def _post(self, bodies: Sequence[JsonObject]) -> list[JsonObject]:
        found = post_all(self.settings, "/completions", bodies)
        whole = []
        for body, one in zip(bodies, found, strict=True):
            if isinstance(one, Refused):
                raise InputError(
                    f"{self.settings.endpoint} refused a prompt of {len(body['prompt']):,} "
                    f"{'tokens' if isinstance(body['prompt'], list) else 'characters'} with {body['max_tokens']:,} to "
                    f"come ({one}). It may be longer than the server's context: start the server with more, or lower "
                    "--max-new-tokens."
                )
            whole.append(one)
        self._count(whole)
        return whole

    def _count(self, replies: Sequence[JsonObject]) -> None:
        settings, (read, said) = self.settings, self.tokens
        read += sum(usage_of(one, "prompt_tokens") or 0 for one in replies)
        said += sum(usage_of(one, "completion_tokens") or 0 for one in replies)
        self.tokens = (read, said)
        if (cost := usage_cost(settings, read, said)) > settings.max_cost:
            raise InputError(
                f"{read:,} prompt tokens and {said:,} answer tokens cost {cost:.2f} by the server's own count, above "
                f"--completions.max-cost {settings.max_cost:.2f}. What was finished is kept; raise it to continue."
            )

    def _read(self, can: Abilities, ids: Ids, asked: JsonObject, reply: JsonObject) -> list[Said]:
        counted = usage_of(reply, "prompt_tokens")
        if counted != len(ids):
            raise SelfTestError(
                f"{self.settings.endpoint} read a prompt of {len(ids)} tokens as {counted}: "
                f"{self.tokenizer.decode(list(ids))[:80]!r}. Its tokenizer is not that of --model, or it puts tokens "
                "of its own before a prompt. Nothing measured so can be trusted."
            )
        said = [said_of(choice) for choice in choices_of(reply)]
        wanted = int(asked.get("n", 1))
        if len(said) != wanted:
            raise SelfTestError(f"{self.settings.endpoint} gave {len(said)} answers where {wanted} were asked for.")
        return said if wanted > 1 else [replace(said[0], tokens=usage_of(reply, "completion_tokens"))]


def look(connection: Connection, prompts: Sequence[Ids]) -> Abilities:
    """Find out what a server can do, with three short prompts of different lengths.

    Raises InputError for a server without the endpoint or the model, SelfTestError for one whose tokenizer is another.
    """
    can = _named(connection.settings)
    can = _reading(connection, can, prompts)
    can = _with_constants(connection, can, prompts[0])
    can = _drawing(connection, can, prompts)
    can = _scoring(connection, can, prompts)
    return replace(can, lacks=tuple(_lacking(can)))


def _named(settings: CompletionsSettings) -> Abilities:
    try:
        once = settings.model_copy(update={"retries": 0}) if settings.model else settings
        listed = read_path(once, "/models").get("data")
    except InputError as error:
        if settings.model:
            return Abilities(settings.model)  # some have no list
        raise InputError(f"{error} It was asked which models it has; --completions.model names one.") from None
    models = {str(one["id"]): one for one in listed or [] if isinstance(one, dict) and "id" in one}
    name = settings.model or (next(iter(models)) if len(models) == 1 else "")
    if not name:
        raise InputError(
            f"{settings.endpoint} serves {len(models)} models ({', '.join(list(models)[:5])}). Name one with "
            "--completions.model."
        )
    held = models.get(name, {}).get("max_model_len")
    return Abilities(name, held if isinstance(held, int) and held > 0 else None)


def _reading(connection: Connection, can: Abilities, prompts: Sequence[Ids]) -> Abilities:
    """How prompts are to be sent, so that the server reads the tokens that they have here."""
    ways = [(True, ""), (False, ""), (False, connection.begin_text())]
    counts: list[object] = []
    for ids, begin in ways:
        way = replace(can, ids=ids, begin=begin)
        if not ids and any(connection.text(one, begin) is None for one in prompts):
            continue
        replies = connection.attempt(way, prompts, [{"max_tokens": 1, "temperature": 0.0}] * len(prompts))
        counts = [one and usage_of(one, "prompt_tokens") for one in replies]
        if counts == [len(one) for one in prompts]:
            return way
    settings = connection.settings
    if all(count is None for count in counts):
        raise InputError(
            f"{settings.endpoint} refuses a plain request for the completion of a text, or counts no prompt tokens "
            f"(usage) for the model {can.model!r}. Check {settings.flags[1]}; a server of chat completions alone "
            "cannot be probed."
        )
    raise SelfTestError(
        f"{settings.endpoint} reads prompts of {', '.join(str(len(one)) for one in prompts)} tokens as "
        f"{', '.join(map(str, counts))}: its tokenizer is not that of --model, or puts tokens of its own before a "
        "prompt. Give --model the folder with the tokenizer of the model that is served."
    )


def _with_constants(connection: Connection, can: Abilities, prompt: Ids) -> Abilities:
    tried = [(name, value) for name, values in _SWITCHED_OFF for value in values]
    tried += [("return_token_ids", True), ("stop_token_ids", sorted(connection.stops))]
    tried += [("generation_config", _of_transformers(connection))]
    plain: JsonObject = {"max_tokens": 1, "temperature": 0.0}
    found = connection.attempt(can, [prompt] * len(tried), [{**plain, name: value} for name, value in tried])
    constant: JsonObject = {}
    for (name, value), reply in zip(tried, found, strict=True):
        if reply is not None and choices_of(reply):
            constant.setdefault(name, value)
    return replace(can, constant=constant)


def _of_transformers(connection: Connection) -> str:
    """The generation settings that transformers' own server draws by; without them it answers greedily."""
    ends: JsonObject = {"eos_token_id": sorted(connection.stops), "pad_token_id": connection.tokenizer.pad_token_id}
    return json.dumps({"do_sample": True, "top_k": 0, "top_p": 1.0, **ends})


def _drawing(connection: Connection, can: Abilities, prompts: Sequence[Ids]) -> Abilities:
    """Whether draws are independent: of one request, of several, under several seeds; and whether top-k cuts."""
    hot: JsonObject = {"max_tokens": 4, "temperature": 2.0}
    narrow = [{**hot, "top_k": 1}] * (8 if "top_k" in can.constant else 0)
    asked = [*[hot] * 8, *[{**hot, "seed": seed} for seed in range(1, 9)], {**hot, "n": 8}, *narrow]
    found = connection.attempt(can, [prompts[0]] * len(asked), asked)
    texts = [[said.text for said in map(said_of, choices_of(one))] if one else [] for one in found]
    apart, seeded = {text for some in texts[:8] for text in some}, {text for some in texts[8:16] for text in some}
    many, cut = texts[16], [text for some in texts[17:] for text in some]
    return replace(
        can,
        draws=max(len(apart), len(seeded)) > 1,
        seeds=len(apart) < 2 < 1 + len(seeded),
        many=len(apart) > 1 and len(many) == 8 and len(set(many)) > 1,
        top_k=len(cut) == 8 and len(set(cut)) == 1,
    )


def _scoring(connection: Connection, can: Abilities, prompts: Sequence[Ids]) -> Abilities:
    """How many log-probabilities of generated tokens there are, and whether those of a prompt's own are real."""
    plain: JsonObject = {"max_tokens": 1, "temperature": 1.0}
    asked = [{**plain, "logprobs": count} for count in (5, 1) for _ in prompts]
    found = connection.attempt(can, [*prompts, *prompts], asked)
    told = [body["logprobs"] for body, one in zip(asked, found, strict=True) if len(entries_of(one)) == 1]
    top = max(told, default=0)  # an end token may have none
    if not top:
        return can
    replies = connection.attempt(can, prompts, [{**plain, "logprobs": 1, "echo": True}] * len(prompts))
    read = [entries_of(one) for one in replies]
    if len({entry.logprob for entries in read for entry in entries[1:]}) < 2:  # some say 0 of each token
        return replace(can, top=top)
    for hidden in dict.fromkeys((0, len(begin_ids(connection.tokenizer)))):
        shown = [len(ids) - hidden for ids in prompts]
        whole = all(_is_of_prompt(entries, tokens) for entries, tokens in zip(read, shown, strict=True))
        if whole and _agree(connection, can, prompts, hidden):
            return replace(can, top=top, echo=True, hidden=hidden)
    return replace(can, top=top)


def _is_of_prompt(entries: Sequence[Entry], tokens: int) -> bool:
    """One entry for each token of the prompt and the generated one, the first without a value: nothing precedes it."""
    if len(entries) not in (tokens, tokens + 1) or entries[0].logprob is not None:  # an end token may have none
        return False
    return all(entry.logprob is not None and entry.logprob <= 1e-3 for entry in entries[1:])


def _agree(connection: Connection, can: Abilities, prompts: Sequence[Ids], hidden: int) -> bool:
    """Whether a token has the same log-probability where it is generated and where it is read in a prompt."""
    cut = [list(ids[: max(1, len(ids) // 2)]) for ids in prompts] * 3  # a first token may be an end
    asked: JsonObject = {"max_tokens": 1, "temperature": 1.0, "logprobs": 1}
    generated = connection.attempt(can, cut, [asked] * len(cut))
    pairs, longer = [], []
    for ids, reply in zip(cut, generated, strict=True):
        said = said_of(choices_of(reply)[0]) if reply and choices_of(reply) else None
        token = token_of(connection, ids, said) if said else None
        if said and said.entries and token is not None and (can.ids or connection.text([*ids, token], "") is not None):
            pairs.append(said.entries[0].logprob)
            longer.append([*ids, token])
    read = [entries_of(one) for one in connection.attempt(can, longer, [{**asked, "echo": True}] * len(longer))]
    for value, ids, entries in zip(pairs, longer, read, strict=True):
        at = len(ids) - 1 - hidden
        other = entries[at].logprob if len(entries) > at else None
        if value is None or other is None or abs(value - other) > _NEAR:
            return False
    return bool(pairs)


def token_of(connection: Connection, ids: Ids, said: Said) -> int | None:
    """The one token that was said, by its id; None where its text does not tell."""
    if said.ids is not None:
        return said.ids[0] if said.ids and said.ids[0] not in connection.stops else None
    if not said.text.strip() or "\ufffd" in said.text:
        return None
    before = connection.text(ids, "")
    whole = connection.tokenizer.encode((before or "") + said.text, add_special_tokens=False)
    head = len(connection.tokenizer.encode(before or "", add_special_tokens=False))
    return int(whole[-1]) if before is not None and len(whole) == head + 1 else None


def _lacking(can: Abilities) -> list[str]:
    given = can.constant
    inside = "generation_config" in given  # transformers' server takes them there
    own = [name for name, _ in _SWITCHED_OFF if name not in given and not inside]
    penalties = {"repetition_penalty", "repeat_penalty"}  # two names of one thing
    own = [name for name in own if name not in penalties or penalties.isdisjoint(given)]
    lacks = [] if can.ids else ["it takes no token ids, so prompts were sent as texts that it reads as as many tokens"]
    lacks += [f"it refuses {', '.join(own)}, so that defaults of its own may hold there"] if own else []
    if can.seeds:
        lacks.append("it repeats itself, so each draw was asked for alone and with a seed")
    elif not can.many:
        lacks.append("it gives one draw a request")
    if not can.echo:
        which = "of a prompt's own tokens" if can.top else "at all"
        lacks.append(f"it gives no log-probabilities {which}, so it can be sampled only")
    return lacks
