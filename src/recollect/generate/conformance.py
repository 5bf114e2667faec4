"""Does an engine keep the protocol? For whoever writes one: run it in a test, on a model small enough to enumerate.

    def test_my_engine():
        check_engine(MyEngine(tiny), Truth(prompts=("c", "a d b c"), next_logprobs=by_brute_force, stops={1}))

Every completion of a few tokens is written down with its probability, from `Truth` alone; what the engine says is held
against that list. Counts are judged by exact binomial tests, Bonferroni-corrected over the completions, so that an
engine that keeps the protocol fails a check once in a million runs (`SMALLEST_P`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from recollect.errors import InputError
from recollect.generate.engine import Ask, Engine, Ids, Sampling

SMALLEST_P = 1e-6
_DRAWS = 2000
_LONGEST = 2  # tokens of an enumerated completion
_NEAR = 1e-3  # of a log-probability: float32 and another order of sums


@dataclass(frozen=True)
class Truth:
    """The model as the suite knows it without the engine."""

    prompts: tuple[str, ...]
    """Two or more texts, of different lengths."""
    next_logprobs: Callable[[Ids], Sequence[float]]
    """ln p of every token after these ids, at temperature 1; at most a dozen tokens, or the lists grow long."""
    stops: Collection[int]
    """The ids that end a text."""

    def __post_init__(self) -> None:
        if len(set(map(len, self.prompts))) < 2:
            raise InputError(f"prompts must be two or more texts of different lengths, but got {self.prompts}.")

    def distribution(self, ids: Ids, temperature: float, top_k: int = 0) -> list[float]:
        """The probability of every next token at a temperature, cut to the k most likely when top_k > 0."""
        scaled = [value / temperature for value in self.next_logprobs(ids)]
        least = sorted(scaled)[-min(top_k, len(scaled))] if top_k else -math.inf
        weights = [math.exp(value - max(scaled)) if value >= least else 0.0 for value in scaled]
        return [weight / math.fsum(weights) for weight in weights]

    def completions(self, prompt: Ids, how: Sampling) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every completion, without its end token, and its probability."""
        stack: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
        while stack:
            said, probability = stack.pop()
            if len(said) == how.max_new_tokens:
                yield said, probability
                continue
            following = self.distribution([*prompt, *said], how.temperature, how.top_k)
            ended = math.fsum(following[stop] for stop in self.stops)
            if ended:
                yield said, probability * ended
            stack += [
                ((*said, token), probability * value)
                for token, value in enumerate(following)
                if value and token not in self.stops
            ]


class NotConforming(AssertionError):
    """The engine does not keep the protocol; the text says in what."""


def check_engine(engine: Engine, truth: Truth) -> None:
    """Run every check. Raises NotConforming at the first that fails."""
    for check in (
        check_members,
        check_vocabulary,
        check_greedy,
        check_scores,
        check_draws,
        check_addresses,
        check_ends,
    ):
        check(engine, truth)
    if engine.draws_excluding:
        check_excluding(engine, truth)


def check_members(engine: Engine, truth: Truth) -> None:
    """What an engine says of itself can be: its batches, its context, its own test."""
    _need(engine.batch_size(1) >= 1 and engine.batch_size(1000) >= 1, "batch_size must be at least 1")
    longest = max(map(len, engine.encode(truth.prompts)))
    _need(engine.context is None or engine.context > longest, f"no prompt of {longest} tokens fits into the context")
    p_value = engine.self_test(1.0)
    _need(p_value is None or 0 <= p_value <= 1, f"self_test gave {p_value}, which is no p-value")


def check_vocabulary(engine: Engine, truth: Truth) -> None:
    """Prompts have tokens; an answer's ids follow the ids of its prompt, and are read back without special tokens."""
    prompts = engine.encode(truth.prompts)
    _need(all(prompts), "encode gave a prompt without a token")
    alone = [list(engine.encode([text])[0]) for text in truth.prompts]
    _need(alone == [list(ids) for ids in prompts], "encode hangs on the batch")
    with suppress(InputError):
        _need(all(engine.encode([""])), "encode gave no token for an empty text; it may raise InputError")
    pairs = engine.encode_answers(truth.prompts, truth.prompts)
    _need([list(prompt) for prompt, _ in pairs] == [list(ids) for ids in prompts], "encode_answers encodes otherwise")
    for (_, ids), text in zip(pairs, truth.prompts, strict=True):
        said = engine.decode(ids).strip()
        _need(said == text, f"decode gives {said!r} for the ids of {text!r}")
        ended = engine.decode([*ids, min(truth.stops)]).strip()
        _need(ended == text, f"decode gives {ended!r} for {text!r} with its end token")


def check_greedy(engine: Engine, truth: Truth) -> None:
    """The most likely token each time, up to an end token or the limit, in any company."""
    prompts = engine.encode(truth.prompts)
    _need(engine.greedy([], 4) == [], "greedy of no prompts must be []")
    for limit in (1, 6):
        wanted = [_argmax(truth, prompt, limit) for prompt in prompts]
        found = [list(ids) for ids in engine.greedy(prompts, limit)]
        _need(found == wanted, f"greedy said {found}, but the most likely tokens are {wanted}")
        _need([list(ids) for ids in engine.greedy(prompts[::-1], limit)] == wanted[::-1], "greedy hangs on the order")
        _need([list(engine.greedy([ids], limit)[0]) for ids in prompts] == wanted, "greedy hangs on the batch")


def check_scores(engine: Engine, truth: Truth) -> None:
    """The log-probability of every token, at two temperatures where it scores at both, in any order."""
    prompts = engine.encode(truth.prompts)
    _need(engine.score([], []) == [], "score of no prompts must be []")
    some: list[list[tuple[int, ...]]] = []
    for prompt in prompts:
        every = (said for said, _ in truth.completions(prompt, Sampling(1.0, 3)))
        some.append(sorted(said for said in every if said)[:: 1 + len(some)][:40])
    some[-1] = []  # a prompt may have nothing to score
    for temperature in (1.0, 0.6):
        if not engine.scores_at(temperature):
            with suppress(InputError):
                engine.score(prompts, some, temperature)
                raise NotConforming(f"score gave something at {temperature=}, which scores_at denies")
            continue
        found = engine.score(prompts, some, temperature)
        back = engine.score(prompts[::-1], [texts[::-1] for texts in some[::-1]], temperature)
        counts = [[len(scores) for scores in many] for many in (found, back[::-1])]
        _need(counts == [[len(texts) for texts in some]] * 2, "score gave another number of scores than of texts")
        for prompt, texts, scores, again in zip(prompts, some, found, back[::-1], strict=True):
            for said, values, others in zip(texts, scores, again[::-1], strict=True):
                wanted = [
                    math.log(truth.distribution([*prompt, *said[:at]], temperature)[token])
                    for at, token in enumerate(said)
                ]
                _need(len(values) == len(said), f"score of {said} has {len(values)} values")
                _need(
                    _close(values, wanted), f"score of {said} is {values}, but by brute force {wanted} ({temperature=})"
                )
                _need(_close(values, others), "score hangs on the order")


def check_draws(engine: Engine, truth: Truth) -> None:
    """Frequencies follow the enumerated probabilities: several temperatures, top-k, also beyond the vocabulary."""
    prompts = engine.encode(truth.prompts)
    for how in (
        Sampling(1.0, _LONGEST, 0, 1),
        Sampling(0.6, _LONGEST, 0, 2),
        Sampling(1.5, _LONGEST, 2, 3),
        Sampling(0.9, 1, 10**6),
    ):
        asks = [Ask(ids, f"draws {number}", number, _DRAWS) for number, ids in enumerate(prompts)]
        found = engine.sample(asks, how)
        _need(len(found) == len(asks), f"sample answered {len(found)} of {len(asks)} prompts")
        for ids, one in zip(prompts, found, strict=True):
            _need(len(one.draws) == _DRAWS and one.excluded is None, "sample gave another number of draws")
            _follow(one.draws, dict(truth.completions(ids, how)), f"draws at {how}")


def check_addresses(engine: Engine, truth: Truth) -> None:
    """A draw is the same alone, in any company and in any order, and another under another address or seed."""
    if not engine.draws_are_addressed:
        return
    prompts = engine.encode(truth.prompts)
    asks = [Ask(ids, f"address {number}", number, 30) for number, ids in enumerate(prompts)]
    how = Sampling(1.0, 6)
    together = engine.sample(asks, how)
    _need(engine.sample(asks[::-1], how)[::-1] == together, "draws hang on the order of the prompts")
    _need([engine.sample([ask], how)[0] for ask in asks] == together, "draws hang on the batch")
    fewer = engine.sample([Ask(ask.prompt, ask.name, ask.number, 7) for ask in asks], how)
    _need([one.draws[:7] for one in together] == [one.draws for one in fewer], "draws hang on how many there are")
    after = engine.sample([Ask(ask.prompt, ask.name, ask.number, 12, first=at) for at, ask in enumerate(asks, 3)], how)
    _need(
        [one.draws[at : at + 12] for at, one in enumerate(together, 3)] == [one.draws for one in after],
        "draws hang on which number is the first",
    )
    for other in (
        engine.sample([Ask(ask.prompt, "another", ask.number, 30) for ask in asks], how),
        engine.sample([Ask(ask.prompt, ask.name, ask.number + 7, 30) for ask in asks], how),
        engine.sample(asks, Sampling(1.0, 6, 0, 1)),
    ):
        _need(other != together, "another name, number or seed gives the same draws")


def check_ends(engine: Engine, truth: Truth) -> None:
    """No draw holds an end token or is too long; none asked, none given; only what is `decided` ends early."""
    prompts = engine.encode(truth.prompts)
    _need(list(engine.sample([], Sampling(1.0, 3))) == [], "sample of no prompts must be []")
    none = engine.sample([Ask(ids, "none", 0, 0) for ids in prompts], Sampling(1.0, 3))
    _need(all(not one.draws for one in none), "sample gave draws where none were asked")
    asks = [Ask(ids, "ends", number, 50) for number, ids in enumerate(prompts)]
    full = engine.sample(asks, Sampling(1.0, 8))
    for said in (ids for one in full for ids in one.draws):
        _need(len(said) <= 8, f"a draw has {len(said)} tokens, at most 8 were asked")
        _need(not set(said) & set(truth.stops), "a draw holds an end token")
    asked: list[tuple[int, list[int]]] = []

    def never(at: int, ids: list[int]) -> bool:
        asked.append((at, ids))
        return False

    undecided = engine.sample(asks, Sampling(1.0, 8), never)
    some = engine.sample(asks, Sampling(1.0, 8), lambda at, ids: at == 0)
    if engine.draws_are_addressed:
        strange = [(at, ids) for at, ids in asked if not any(list(said[: len(ids)]) == ids for said in full[at].draws)]
        _need(not strange, f"decided was asked of {strange[:1]}, which begins no draw of that prompt")
        _need([*undecided, *some[1:]] == [*full, *full[1:]], "a draw that was not decided ended otherwise")
        pairs = zip(some[0].draws, full[0].draws, strict=True)
        _need(all(long[: len(ids)] == ids for ids, long in pairs), "a decided draw is no beginning of the full one")


def check_excluding(engine: Engine, truth: Truth) -> None:
    """Draws that start with none of some continuations follow the conditional distribution; its share is exact."""
    how = Sampling(0.8, _LONGEST, 0, 5)
    for number, prompt in enumerate(engine.encode(truth.prompts)):
        every = dict(truth.completions(prompt, how))
        ranked = sorted((said for said in every if len(said) == _LONGEST), key=lambda said: -every[said])
        excluded = [ranked[0][:1], ranked[0], ranked[-1]]  # one is a beginning of another
        share = math.fsum(p for said, p in every.items() if any(said[: len(one)] == one for one in excluded))
        one, plain = engine.sample(
            [Ask(prompt, "excluding", number, _DRAWS, excluded), Ask(prompt, "excluding", number, _DRAWS)], how
        )
        _need(plain.excluded is None, "excluded is given where nothing was asked to be excluded")
        _follow(plain.draws, every, "draws in company of others with some excluded")
        _need(
            one.excluded is not None and abs(one.excluded - share) < _NEAR, f"excluded is {one.excluded}, not {share}"
        )
        rest = {
            said: p / (1 - share) for said, p in every.items() if not any(said[: len(ids)] == ids for ids in excluded)
        }
        _follow(one.draws, rest, "draws beside the excluded")
        [nothing] = engine.sample([Ask(prompt, "excluding", number, 5, [])], how)
        _need(nothing.excluded == 0 and len(nothing.draws) == 5, "nothing excluded must leave everything")


def _argmax(truth: Truth, prompt: Ids, limit: int) -> list[int]:
    said: list[int] = []
    while len(said) < limit:
        following = truth.next_logprobs([*prompt, *said])
        best = max(range(len(following)), key=following.__getitem__)
        if best in truth.stops:
            break
        said.append(best)
    return said


def _follow(draws: Sequence[Ids], probabilities: dict[tuple[int, ...], float], what: str) -> None:
    from scipy.stats import binomtest

    counts = Counter(tuple(ids) for ids in draws)
    strange = sorted(set(counts) - set(probabilities))
    _need(not strange, f"{what}: drew {strange[:1]}, which has no probability")
    p_values = {
        said: binomtest(counts[said], len(draws), min(1.0, probability)).pvalue
        for said, probability in probabilities.items()
    }
    said = min(p_values, key=p_values.__getitem__)
    p_value = min(1.0, p_values[said] * len(p_values))
    _need(
        p_value >= SMALLEST_P,
        f"{what}: drew {said} {counts[said]} times of {len(draws)}, expected {probabilities[said] * len(draws):.1f} "
        f"(p = {p_value:.2g})",
    )


def _close(values: Sequence[float], wanted: Sequence[float]) -> bool:
    return all(abs(one - other) < _NEAR for one, other in zip(values, wanted, strict=True))


def _need(kept: bool, otherwise: str) -> None:
    if not kept:
        raise NotConforming(otherwise)
