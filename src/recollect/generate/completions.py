"""A model behind an OpenAI-compatible completions endpoint as an engine: greedy answers and draws over HTTP.

Notable choices
- What the server can is found by asking it (`completions_server`), when it is first asked something; what it cannot is
  said in the step's notes, and refused by name where it is needed.
- Draws follow softmax(z / T): every parameter by which servers cut or bend it is sent at the value that switches it
  off. `completions_check` holds first tokens against the model's own log-probabilities, where there are some.
- Log-probabilities of a prompt's own tokens hold at temperature 1, whatever is sent. So there is a closed form at that
  temperature, of a server that gives them, and at no other.
- Answers come back as texts from most servers, and are given ids by our tokenizer; vLLM tells its own.
- Nothing is drawn beside excluded continuations, and no draw has an address: a server's randomness is its own.
- A served model has no weights to hash. What stands in for them is `recollect.engines`' affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING

from recollect.core.llm import CompletionsSettings, usage_cost
from recollect.core.phases import phase
from recollect.errors import InputError, SelfTestError
from recollect.generate.completions_check import check_greedy, check_same, draws_p_value
from recollect.generate.completions_replies import Said
from recollect.generate.completions_server import MOST_AT_ONCE, Abilities, Connection, look
from recollect.generate.encoding import TokenizerVocabulary, ids_after
from recollect.generate.engine import Ask, Decided, Drawn, Engine, Ids, Sampling
from recollect.generate.random import draw_keys
from recollect.generate.selftest import short_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from recollect.core.json_object import JsonObject
    from recollect.core.machine import Machine

_TEST_TOKENS = 8
_DRAWS_A_BATCH = 1024


@dataclass(frozen=True)
class Remote:
    """A model behind a server, and what is known of it here."""

    settings: CompletionsSettings
    tokenizer: PreTrainedTokenizerBase
    stops: frozenset[int]
    """The ids that end a text."""
    context: int | None
    machine: Machine
    local: Callable[[], Engine] | None = None
    """The same model in this process, which the server's answers are held against; None where its weights are
    named in words."""


class CompletionsEngine(TokenizerVocabulary):
    """A model that a server completes texts with, as an `Engine`."""

    name = "completions"
    draws_are_addressed = False
    draws_excluding = False

    def __init__(self, remote: Remote) -> None:
        super().__init__(remote.tokenizer)
        self.machine: Machine = remote.machine
        self._remote = remote
        self._server = Connection(remote.settings, remote.tokenizer, remote.stops)
        self._same = ""
        self._untested = False
        self._answers = self._rewritten = 0

    @cached_property
    def _can(self) -> Abilities:
        with phase("asking the server what it can"):
            prompts = self._test_prompts()
            can = look(self._server, prompts)
            said = check_greedy(self._server, can, prompts, _TEST_TOKENS)
            if self._remote.local is not None:
                with phase("comparing with the model here"):
                    answers = [self._ids(ids, one) for ids, one in zip(prompts, said, strict=True)]
                    self._same = check_same(self._server, can, self._remote.local(), prompts, answers, said)
            return can

    @property
    def notes(self) -> list[str]:
        """What every step that it answered says of it."""
        if "_can" not in self.__dict__:
            return []
        can, settings = self._can, self._remote.settings
        whose = f"its weights are named {settings.weights!r} by the user" if settings.weights else self._same
        lines = [f"The model {can.model!r} behind a completions endpoint answered; {whose}."]
        lines += [f"Of that server: {'; '.join(can.lacks)}."] if can.lacks else []
        if self._untested:
            lines.append("Its draws could not be held against log-probabilities, of which there are none.")
        if self._rewritten:
            lines.append(
                f"{self._rewritten:,} of {self._answers:,} answers are judged as the tokenizer of --model writes them, "
                "which is not quite the text that the server gave."
            )
        if settings.price_in or settings.price_out:
            read, said = self._server.tokens
            lines.append(f"{read:,} prompt and {said:,} answer tokens cost {usage_cost(settings, read, said):.4f}.")
        return lines

    @property
    def context(self) -> int | None:
        """As the model's configuration states it; once the server was asked, no more than it says it holds."""
        held = self._can.context if "_can" in self.__dict__ else None
        return min((limit for limit in (held, self._remote.context) if limit is not None), default=None)

    def decode(self, ids: Ids) -> str:
        """Up to the first token that ends a text, also one that only the model's generation settings name."""
        return super().decode(list(takewhile(lambda token: token not in self._remote.stops, ids)))

    def batch_size(self, draws: int) -> int:
        """What is lost when a run is killed or the server dies: some turns of all requests that run at one time."""
        return max(self._remote.settings.concurrency, min(256, _DRAWS_A_BATCH // max(1, draws)))

    def scores_at(self, temperature: float) -> bool:
        """At temperature 1, where the server gives log-probabilities of a prompt's own tokens."""
        return temperature == 1 and self._can.echo

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        """The most likely token each time: temperature 0."""
        if not prompts:
            return []
        asked: JsonObject = {"max_tokens": max_new_tokens, "temperature": 0.0}
        found = self._server.ask(self._can, prompts, [asked] * len(prompts))
        return [self._ids(ids, one) for ids, [one] in zip(prompts, found, strict=True)]

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        """`decided` is not asked, and `how.seed` only where the server would repeat itself without one."""
        if any(ask.excluded is not None for ask in asks):
            raise ValueError("this engine does not draw beside excluded continuations (draws_excluding is False)")
        self._check_draws()
        requests = [(row, some) for row, ask in enumerate(asks) for some in self._turns(ask, how)]
        found = self._server.ask(self._can, [asks[row].prompt for row, _ in requests], [some for _, some in requests])
        draws: list[list[list[int]]] = [[] for _ in asks]
        known: dict[tuple[int, str], list[int]] = {}
        for (row, _), said in zip(requests, found, strict=True):
            for one in said:
                if one.ids is not None or (row, one.text) not in known:
                    known[row, one.text] = self._ids(asks[row].prompt, one)
                draws[row].append(known[row, one.text])
        return [Drawn(tuple(some)) for some in draws]

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        """Each continuation read as a part of its prompt. InputError where `scores_at` says no."""
        if not prompts:
            return []
        if not self.scores_at(temperature):
            raise InputError(
                f"the server at {self._remote.settings.endpoint} gives no log-probabilities of answers at temperature "
                f"{temperature:g}: {'they hold at temperature 1' if self._can.echo else 'it can be sampled only'}. "
                f"Take {'--temperature 1, or ' if self._can.echo else ''}what draws alone (probe: --method sampled or "
                "adaptive), or --engine transformers."
            )
        texts = [(row, list(ids)) for row, some in enumerate(continuations) for ids in some if ids]
        asked: JsonObject = {"max_tokens": 1, "temperature": 1.0, "logprobs": 1, "echo": True}
        whole = [[*prompts[row], *ids] for row, ids in texts]
        found = self._server.ask(self._can, whole, [asked] * len(texts))
        hidden = self._can.hidden
        known = iter(
            [entry.logprob for entry in one.entries[len(ids) - len(text) - hidden : len(ids) - hidden]]
            for ids, (_, text), [one] in zip(whole, texts, found, strict=True)
        )
        return [[self._values(next(known), ids) if ids else [] for ids in some] for some in continuations]

    def self_test(self, temperature: float, top_k: int = 0) -> float | None:
        """First tokens against the server's own log-probabilities, else against those of the model here."""
        can = self._can
        self._check_draws()
        self._check_top_k(top_k)
        with phase("self-test"):
            p_value = draws_p_value(self._server, can, self._test_prompts(), temperature, top_k, self._remote.local)
        if p_value is None:
            self._untested = True
        return p_value

    def _turns(self, ask: Ask, how: Sampling) -> list[JsonObject]:
        """The parameters of each request that a prompt's draws take."""
        self._check_top_k(how.top_k)
        plain: JsonObject = {"max_tokens": how.max_new_tokens, "temperature": how.temperature}
        if 0 < how.top_k < len(self.tokenizer):
            plain["top_k"] = how.top_k
        if self._can.many:
            counts = [min(MOST_AT_ONCE, ask.draws - at) for at in range(0, ask.draws, MOST_AT_ONCE)]
            return [{**plain, "n": count} for count in counts]
        if not self._can.seeds:
            return [plain] * ask.draws
        numbers = range(ask.first, ask.first + ask.draws)
        keys = draw_keys(how.seed, [ask.name] * ask.draws, [ask.number] * ask.draws, list(numbers))
        return [{**plain, "seed": int(key) >> 33} for key in keys]

    def _check_draws(self) -> None:
        if not self._can.draws:
            raise SelfTestError(
                f"{self._remote.settings.endpoint} gives the same answer eight times at temperature 2, also under "
                "eight seeds: it ignores the temperature, or keeps its answers. Nothing can be drawn from it. Greedy "
                "answers can be asked for (recollect evaluate)."
            )

    def _check_top_k(self, top_k: int) -> None:
        if top_k and not self._can.top_k:
            raise InputError(
                f"top_k is {top_k}, but the server at {self._remote.settings.endpoint} does not cut to the most likely "
                "tokens when it is asked to. Leave top_k at 0, or take --engine transformers."
            )

    def _ids(self, prompt: Ids, said: Said) -> list[int]:
        """The ids of an answer without its end token: the server's own, or those that its text has after the prompt."""
        if said.ids is not None:
            return list(takewhile(lambda token: token not in self._remote.stops, said.ids))
        text = said.text
        for stop in self._remote.stops:  # a server may write it out
            text = text.partition(str(self.tokenizer.decode([stop])) or "\0")[0]
        ids = ids_after(self.tokenizer, prompt, text) if text else []
        self._answers += 1
        self._rewritten += self.decode(ids).strip() != text.strip()
        return ids

    def _values(self, values: Sequence[float | None], ids: Ids) -> list[float]:
        if len(values) != len(ids) or any(value is None for value in values):
            raise InputError(
                f"the server at {self._remote.settings.endpoint} gave {len(values)} log-probabilities for "
                f"{len(ids)} tokens of an answer. Take --method sampled, or --engine transformers."
            )
        return [value for value in values if value is not None]

    def _test_prompts(self) -> list[list[int]]:
        return short_texts(self.tokenizer, (self._remote.context or 1024) - _TEST_TOKENS)
