"""The checks of a completions server before a run: is it greedy where asked, the model it should be, and a fair draw?

First tokens are counted against a distribution that is known without them: the most likely tokens that the server
tells, which at temperature 1 hold as they are, and at another temperature in proportion to one another; or, of a server
that tells none, tokens that the model in this process draws, with the probability that it gives them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.errors import SelfTestError
from recollect.generate.completions_replies import Said
from recollect.generate.completions_server import MOST_AT_ONCE, Abilities, Connection
from recollect.generate.engine import Ask, Engine, Ids, Sampling
from recollect.generate.selftest import SMALLEST_P

if TYPE_CHECKING:
    from recollect.core.json_object import JsonObject

_DRAWS, _FEW_DRAWS = 384, 64
"""First tokens after each text: where a request gives many, and where each takes one."""
_NEAR = 0.25
"""Of log-probabilities: another number format."""
_LEAST = 5.0  # draws that a cell of the chi-square test expects


@dataclass(frozen=True)
class Expected:
    """ln p of some first tokens after a text, by their texts, at a temperature."""

    logprobs: dict[str, float]
    whole: bool
    """Whether these are probabilities, so that the others have the rest; else only their proportions are known."""


def check_greedy(server: Connection, can: Abilities, prompts: Sequence[Ids], tokens: int) -> list[Said]:
    """The greedy answers to the test's prompts; SelfTestError where a second asking gives others, or longer ones."""
    asked: JsonObject = {"max_tokens": tokens, "temperature": 0.0}
    found = [one for [one] in server.ask(can, [*prompts, *prompts], [asked] * (2 * len(prompts)))]
    first, again = found[: len(prompts)], found[len(prompts) :]
    differing = sum(one.text != other.text for one, other in zip(first, again, strict=True))
    if differing > len(prompts) // 2:  # one may hang on who else is asked at the time
        raise SelfTestError(
            f"{server.settings.endpoint} gives other answers when it is asked again at temperature 0 ({differing} of "
            f"{len(prompts)} texts): it does not heed the temperature."
        )
    one_token: JsonObject = {"max_tokens": 1, "temperature": 0.0}
    short = [one for [one] in server.ask(can, prompts, [one_token] * len(prompts))]
    if (longest := max(one.tokens or 0 for one in short)) > 1:
        raise SelfTestError(
            f"{server.settings.endpoint} says {longest} tokens where max_tokens is 1: it does not heed the limit."
        )
    return first


def check_same(
    server: Connection,
    can: Abilities,
    local: Engine,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    said: Sequence[Said],
) -> str:
    """Hold a server's greedy answers, and its log-probabilities where it gives some, against the model in this process.

    What was found, in words. SelfTestError where they are not of the same weights.
    """
    stops = sorted(server.stops)
    gaps: list[float] = []
    for prompt, answer, one in zip(prompts, answers, said, strict=True):
        if one.ids is None and one.tokens not in (len(answer), len(answer) + 1):  # a text that hides some tokens
            continue
        path = [*answer, *(stops[:1] if one.ended and stops else [])]
        befores = [[*prompt, *path[:at]] for at in range(len(path))]
        best = [ids or stops[:1] for ids in local.greedy(befores, 1)]
        pairs = [[top, [token]] for top, token in zip(best, path, strict=True)]
        gaps += [high[0] - own[0] for high, own in local.score(befores, pairs)]
    differences = _differences(server, can, local, prompts) if can.echo else []
    if not gaps and not differences:
        raise SelfTestError(
            f"{server.settings.endpoint} says nothing after three texts that could be held against --model. Say in "
            "your words what is served, with --completions.weights."
        )
    largest = max(gaps, default=0.0)
    mean = math.fsum(differences) / len(differences) if differences else 0.0
    if not largest <= _NEAR or not mean <= _NEAR:
        raise SelfTestError(
            f"{server.settings.endpoint} serves another model than --model: its greedy answers to three texts are up "
            f"to {largest:.2f} less likely here than the most likely token"
            + (f", and log-probabilities differ by {mean:.2f} in the mean" if differences else "")
            + f" (at most {_NEAR} expected). Give --model the folder that is served; or say in your words what is "
            "served with --completions.weights, where it is a quantised form or --model only gives the tokenizer."
        )
    also = f", its log-probabilities of them within {mean:.3f} in the mean" if differences else ""
    return f"its greedy answers to three texts are those of --model (within {largest:.3f} of a log-probability){also}"


def _differences(server: Connection, can: Abilities, local: Engine, prompts: Sequence[Ids]) -> list[float]:
    asked: JsonObject = {"max_tokens": 1, "temperature": 1.0, "logprobs": 1, "echo": True}
    found = server.ask(can, prompts, [asked] * len(prompts))
    own = local.score([ids[:1] for ids in prompts], [[ids[1:]] for ids in prompts])
    differences: list[float] = []
    for ids, [one], [values] in zip(prompts, found, own, strict=True):
        entries = one.entries[1 : len(ids) - can.hidden]
        if len(entries) != len(values) - can.hidden:
            raise SelfTestError(
                f"{server.settings.endpoint} echoed {len(one.entries)} log-probabilities for a prompt of {len(ids)} "
                "tokens, and as many as there are when it was tried: what it echoes changes. Take --method sampled."
            )
        differences += [
            abs(value - (entry.logprob or 0.0)) for value, entry in zip(values[can.hidden :], entries, strict=True)
        ]
    return differences


def draws_p_value(
    server: Connection,
    can: Abilities,
    prompts: Sequence[Ids],
    temperature: float,
    top_k: int,
    local: Callable[[], Engine] | None,
) -> float | None:
    """The p-value of first tokens drawn at this temperature; None where no distribution is known.

    Raises SelfTestError for draws that are not of it.
    """
    ways: list[tuple[float, int, list[Expected]]] = []
    if can.top > 1:
        told = _told(server, can, prompts)
        ways.append((1.0, 0, [Expected(one, True) for one in told]))
        if (temperature, top_k) != (1.0, 0):
            ways.append((temperature, top_k, [_cooled(one, temperature, top_k) for one in told]))
    elif local is not None and not top_k:
        ways.append((temperature, 0, _known_here(server, local(), prompts, temperature)))
    if not ways:
        return None
    p_values = []
    for heat, cut, expected in ways:
        p_values.append(_p_value(_drawn(server, can, prompts, heat, cut), expected))
        if p_values[-1] * len(ways) < SMALLEST_P:
            raise SelfTestError(
                f"first tokens drawn from {server.settings.endpoint} do not follow softmax(z/T) at T={heat:g}, "
                f"top_k={cut} (chi-square p = {p_values[-1]:.2g}): the server cuts or bends its distribution (a top-k, "
                "top-p, min-p or penalty of its own, or a temperature that it ignores). Nothing measured with it can "
                "be trusted."
            )
    return min(1.0, min(p_values) * len(p_values))


def _told(server: Connection, can: Abilities, prompts: Sequence[Ids]) -> list[dict[str, float]]:
    """ln p of the most likely first tokens at temperature 1, as the server tells them; without those of no letters."""
    asked: JsonObject = {"max_tokens": 1, "temperature": 1.0, "logprobs": can.top}
    found = server.ask(can, prompts, [asked] * len(prompts))
    special = set(server.tokenizer.all_special_tokens)
    tops = []
    for [one] in found:
        sums: dict[str, float] = {}
        for text, value in (one.entries[0].top if one.entries else {}).items():
            if text not in special and (key := _key(text)):
                sums[key] = sums.get(key, 0.0) + math.exp(value)
        tops.append({key: math.log(value) for key, value in sums.items() if value > 0})
    return tops


def _cooled(logprobs: dict[str, float], temperature: float, top_k: int) -> Expected:
    kept = sorted(logprobs.items(), key=lambda one: -one[1])[: top_k or len(logprobs)]
    return Expected({key: value / temperature for key, value in kept}, False)


def _known_here(server: Connection, local: Engine, prompts: Sequence[Ids], temperature: float) -> list[Expected]:
    """Tokens that the model here draws, and the probability that it gives them; chosen without a look at the server."""
    asks = [Ask(ids, "server test", number, _DRAWS) for number, ids in enumerate(prompts)]
    found = local.sample(asks, Sampling(temperature, 1))
    tokens = [sorted({ids[0] for ids in one.draws if ids}) for one in found]
    scores = local.score(prompts, [[[token] for token in some] for some in tokens], temperature)
    expected = []
    for some, values in zip(tokens, scores, strict=True):
        sums: dict[str, float] = {}
        for token, [value] in zip(some, values, strict=True):
            if key := _key(server.tokenizer.decode([token])):
                sums[key] = sums.get(key, 0.0) + math.exp(value)
        expected.append(Expected({key: math.log(value) for key, value in sums.items()}, True))
    return expected


def _drawn(
    server: Connection, can: Abilities, prompts: Sequence[Ids], temperature: float, top_k: int
) -> list[Counter[str]]:
    asked: JsonObject = {"max_tokens": 1, "temperature": temperature, **({"top_k": top_k} if top_k else {})}
    one, requests = (MOST_AT_ONCE, _DRAWS // MOST_AT_ONCE) if can.many else (1, _FEW_DRAWS)
    bodies = [
        {**asked, **({"n": one} if can.many else {}), **({"seed": number} if can.seeds else {})}
        for number in range(requests)
    ]
    found = server.ask(can, [ids for ids in prompts for _ in bodies], bodies * len(prompts))
    rows = [found[at : at + requests] for at in range(0, len(found), requests)]
    return [Counter(_key(said.text) for some in row for said in some) for row in rows]


def _p_value(drawn: Sequence[Counter[str]], expected: Sequence[Expected]) -> float:
    """Chi-square of the first tokens drawn after each text, over all texts."""
    from scipy.special import chdtrc

    statistic, freedom = 0.0, 0
    for counts, want in zip(drawn, expected, strict=True):
        inside = sum(counts[key] for key in want.logprobs)
        total = float(sum(counts.values()) if want.whole else inside)
        shares = {key: math.exp(value) for key, value in want.logprobs.items()}
        scale = 1.0 if want.whole else math.fsum(shares.values())
        wanted = {key: total * share / scale for key, share in shares.items()} if scale else {}
        cells = [(float(counts[key]), value) for key, value in wanted.items() if value >= _LEAST]
        rest = (total - sum(count for count, _ in cells), total - math.fsum(value for _, value in cells))
        if rest[1] >= _LEAST or not cells:
            cells.append(rest)
        else:  # a rest of little probability, where many draws would be wrong, joins the last cell
            cells[-1] = (cells[-1][0] + rest[0], cells[-1][1] + max(0.0, rest[1]))
        if len(cells) > 1:
            statistic += math.fsum((count - value) ** 2 / value for count, value in cells)
            freedom += len(cells) - 1
    return float(chdtrc(freedom, statistic)) if freedom else 1.0


def _key(text: str) -> str:
    """A token's text however a server writes it: tokenizers' marks of a blank, and blanks at its ends, fall away."""
    return text.replace("\u2581", " ").replace("\u0120", " ").strip()
