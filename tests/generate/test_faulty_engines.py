"""An engine with one fault fails the suite's check of just that; each row is a claim of the protocol broken once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enumerable import load_small
from recollect.errors import InputError
from recollect.generate import Ask, Drawn, Sampling, TransformersEngine
from recollect.generate import conformance as suite
from recollect.generate.conformance import NotConforming, Truth, check_engine
from recollect.generate.engine import Decided, Ids
from table_engine import TABLE, TableEngine, truth_of_table

E = TableEngine


def with_fault(**members: Any) -> TableEngine:
    """The toy engine with some members of its own."""
    return type("Faulty", (TableEngine,), members)(TABLE)


def drawing(change: Callable[[list[Ask], Sampling], tuple[list[Ask], Sampling]]) -> TableEngine:
    """It draws for other asks, or otherwise, than it was asked."""

    def sample(self: E, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        return E.sample(self, *change(list(asks), how), decided)

    return with_fault(sample=sample)


def renaming(name: Callable[[int, Ask, Sequence[Ask]], str], number: Callable[[Ask], int]) -> TableEngine:
    """Its draws have another address."""
    return drawing(
        lambda asks, how: (
            [replace(ask, name=name(at, ask, asks), number=number(ask)) for at, ask in enumerate(asks)],
            how,
        )
    )


def drawn(change: Callable[[Drawn], Drawn]) -> TableEngine:
    """What it drew is changed afterwards."""

    def sample(self: E, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        return [change(one) for one in E.sample(self, asks, how, decided)]

    return with_fault(sample=sample)


def deciding(ask: Callable[[Decided, int, list[int], Ids], bool]) -> TableEngine:
    """It ends draws early, after every token, by what `ask` makes of (decided, place, tokens so far, prompt)."""

    def sample(self: E, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        full = E.sample(self, asks, how)
        if decided is None:
            return full
        found = []
        for at, one in enumerate(full):
            ends = [
                next((end for end in range(1, len(said)) if ask(decided, at, said[:end], asks[at].prompt)), len(said))
                for said in one.draws
            ]
            found.append(Drawn(tuple(said[:end] for said, end in zip(one.draws, ends, strict=True))))
        return found

    return with_fault(sample=sample)


class GreedyByPlace(TableEngine):
    """It keeps the first answers that it gave to so many prompts."""

    def __init__(self, table: dict[str, dict[str, float]]) -> None:
        super().__init__(table)
        self.kept: dict[tuple[int, int], list[list[int]]] = {}

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        return self.kept.setdefault((len(prompts), max_new_tokens), super().greedy(prompts, max_new_tokens))


class ScoresByLastPrompt(TableEngine):
    """Right where the shortest prompt comes last."""

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        found = super().score(prompts, continuations, temperature)
        off = 0.0 if not prompts or list(prompts[-1]) == [2] else 0.1
        return [[[value + off for value in values] for values in some] for some in found]


def cut_ties(self: TableEngine, ids: Ids, temperature: float, top_k: int = 0) -> list[float]:
    shares = E.probabilities(self, ids, temperature)
    kept = sorted(range(len(shares)), key=lambda at: -shares[at])[: top_k or None]
    return [share / sum(shares[at] for at in kept) if at in kept else 0.0 for at, share in enumerate(shares)]


FAULTS: dict[str, tuple[Callable[[Any, Truth], None], TableEngine, str]] = {
    "no batch": (suite.check_members, with_fault(batch_size=lambda self, draws: 0), "batch_size must be"),
    "no context": (suite.check_members, with_fault(context=3), "no prompt of 4 tokens fits"),
    "no p-value": (suite.check_members, with_fault(self_test=lambda self, temperature: 2.0), "self_test gave 2.0"),
    "no tokens": (
        suite.check_vocabulary,
        with_fault(encode=lambda self, texts: [ids if len(ids) > 1 else [] for ids in E.encode(self, texts)]),
        "a prompt without a token",
    ),
    "padded": (
        suite.check_vocabulary,
        with_fault(
            encode=lambda self, texts: [
                [1] * (max(map(len, E.encode(self, texts))) - len(ids)) + ids for ids in E.encode(self, texts)
            ]
        ),
        "encode hangs on the batch",
    ),
    "nothing for an empty text": (
        suite.check_vocabulary,
        with_fault(
            encode=lambda self, texts: [
                ids if text else [] for ids, text in zip(E.encode(self, texts), texts, strict=True)
            ]
        ),
        "no token for an empty text",
    ),
    "two encodings": (
        suite.check_vocabulary,
        with_fault(encode_answers=lambda self, a, b, lead=" ": [([1, *p], i) for p, i in E.encode_answers(self, a, b)]),
        "encode_answers encodes otherwise",
    ),
    "other text": (suite.check_vocabulary, with_fault(decode=lambda self, ids: " a"), "decode gives 'a' for the ids"),
    "special tokens told": (
        suite.check_vocabulary,
        with_fault(decode=lambda self, ids: E.decode(self, ids) + ("<end>" if 0 in ids else "")),
        "with its end token",
    ),
    "greedy of nothing": (
        suite.check_greedy,
        with_fault(greedy=lambda self, prompts, limit: E.greedy(self, prompts, limit) or [[]]),
        "no prompts must be",
    ),
    "second best": (
        suite.check_greedy,
        with_fault(greedy=lambda self, prompts, limit: [[*ids[:-1], 1] for ids in E.greedy(self, prompts, limit)]),
        "greedy said",
    ),
    "greedy by place": (suite.check_greedy, GreedyByPlace(TABLE), "greedy hangs on the order"),
    "greedy alone": (
        suite.check_greedy,
        with_fault(greedy=lambda self, prompts, limit: E.greedy(self, prompts, limit if len(prompts) != 1 else 0)),
        "greedy hangs on the batch",
    ),
    "a text not scored": (
        suite.check_scores,
        with_fault(score=lambda self, *asked: [some[1:] for some in E.score(self, *asked)]),
        "another number of scores",
    ),
    "a prompt not answered": (
        suite.check_draws,
        with_fault(sample=lambda self, asks, *how: E.sample(self, asks[1:], *how)),
        "sample answered 2 of 3 prompts",
    ),
    "scores of nothing": (
        suite.check_scores,
        with_fault(score=lambda self, *asked: E.score(self, *asked) or [[]]),
        "no prompts must be",
    ),
    "a score too few": (
        suite.check_scores,
        with_fault(score=lambda self, *asked: [[one[1:] for one in some] for some in E.score(self, *asked)]),
        "has 0 values",
    ),
    "scores at one": (
        suite.check_scores,
        with_fault(score=lambda self, prompts, texts, temperature=1.0: E.score(self, prompts, texts)),
        "by brute force",
    ),
    "scores by the last prompt": (suite.check_scores, ScoresByLastPrompt(TABLE), "score hangs on the order"),
    "a draw too few": (suite.check_draws, drawn(lambda one: replace(one, draws=one.draws[1:])), "another number of"),
    "excluded unasked": (suite.check_draws, drawn(lambda one: replace(one, excluded=0.0)), "another number of"),
    "no temperature": (suite.check_draws, drawing(lambda asks, how: (asks, replace(how, temperature=1.0))), "draws at"),
    "no top-k": (suite.check_draws, drawing(lambda asks, how: (asks, replace(how, top_k=0))), "no probability"),
    "ties cut": (suite.check_draws, with_fault(probabilities=cut_ties), "draws at .*top_k=2"),
    "one draw for all": (
        suite.check_draws,
        drawn(lambda one: replace(one, draws=one.draws[:1] * len(one.draws))),
        "draws at",
    ),
    "by place": (
        suite.check_addresses,
        renaming(lambda at, ask, asks: str(at), lambda ask: 0),
        "draws hang on the order",
    ),
    "by company": (
        suite.check_addresses,
        renaming(lambda at, ask, asks: f"{ask.name} of {len(asks)}", lambda ask: ask.number),
        "draws hang on the batch",
    ),
    "by how many": (
        suite.check_addresses,
        renaming(lambda at, ask, asks: f"{ask.name} {ask.draws}", lambda ask: ask.number),
        "draws hang on how many",
    ),
    "no name": (
        suite.check_addresses,
        renaming(lambda at, ask, asks: "", lambda ask: ask.number),
        "another name, number or seed",
    ),
    "no number": (
        suite.check_addresses,
        renaming(lambda at, ask, asks: ask.name, lambda ask: 0),
        "another name, number or seed",
    ),
    "no seed": (
        suite.check_addresses,
        drawing(lambda asks, how: (asks, replace(how, seed=0))),
        "another name, number or seed",
    ),
    "draws of nothing": (
        suite.check_ends,
        with_fault(sample=lambda self, asks, *how: E.sample(self, asks, *how) or [Drawn(())]),
        "no prompts must be",
    ),
    "unasked": (
        suite.check_ends,
        drawing(lambda asks, how: ([replace(ask, draws=max(1, ask.draws)) for ask in asks], how)),
        "where none were asked",
    ),
    "endless": (
        suite.check_ends,
        drawing(lambda asks, how: (asks, replace(how, max_new_tokens=how.max_new_tokens + 1))),
        "a draw has 9 tokens",
    ),
    "end told": (
        suite.check_ends,
        drawn(lambda one: replace(one, draws=tuple([*ids, 0][:8] for ids in one.draws))),
        "holds an end token",
    ),
    "another's place": (
        suite.check_ends,
        deciding(lambda decided, at, said, prompt: decided((at + 1) % 3, said)),
        "begins no draw of that prompt|ended otherwise",
    ),
    "with its prompt": (
        suite.check_ends,
        deciding(lambda decided, at, said, prompt: decided(at, [*prompt, *said])),
        "begins no draw of that prompt",
    ),
    "undecided": (
        suite.check_ends,
        deciding(lambda decided, at, said, prompt: decided(at, said) or len(said) > 2),
        "not decided ended otherwise",
    ),
    "decided otherwise": (
        suite.check_ends,
        with_fault(
            sample=lambda self, asks, how, decided=None: E.sample(
                self,
                [replace(ask, name="x") if decided and decided(at, []) else ask for at, ask in enumerate(asks)],
                how,
            )
        ),
        "no beginning of the full one",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_engine_with_a_fault_does_not_conform(name: str) -> None:
    check, engine, message = FAULTS[name]
    with pytest.raises(NotConforming, match=message):
        check(engine, truth_of_table())
    with pytest.raises(NotConforming):
        check_engine(engine, truth_of_table())


@pytest.mark.parametrize("prompts", [(), ("c",), ("c", "b")])
def test_a_truth_that_would_check_nothing_is_refused(prompts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="two or more texts of different lengths"):
        replace(truth_of_table(), prompts=prompts)


class Excluding(TransformersEngine):
    """With a fault in what it says of the excluded, or in what it draws beside them."""

    fault = ""

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        found = super().sample(asks, how, decided)
        plain = super().sample([replace(ask, excluded=None) for ask in asks], how, decided)
        some = [one.excluded is not None for one in found]
        if self.fault == "drawn all the same":
            return [replace(one, draws=other.draws) for one, other in zip(found, plain, strict=True)]
        if self.fault == "a share too small":
            return [replace(one, excluded=one.excluded and one.excluded * 0.9) for one in found]
        if self.fault == "told unasked":
            return [replace(one, excluded=one.excluded or 0.0) for one in found]
        if self.fault == "for all of the batch" and any(some):
            return [replace(one, draws=found[some.index(True)].draws) for one in found]
        if self.fault == "nothing left beside nothing":
            return [one if one.excluded != 0 else Drawn((), 0.0) for one in found]
        return found


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("drawn all the same", "draws beside the excluded: drew .* no probability"),
        ("a share too small", "excluded is .*, not "),
        ("told unasked", "excluded is given where nothing was asked"),
        ("for all of the batch", "in company of others with some excluded"),
        ("nothing left beside nothing", "nothing excluded must leave everything"),
    ],
)
def test_an_engine_that_excludes_with_a_fault_does_not_conform(tmp_path: Path, fault: str, message: str) -> None:
    small = load_small(tmp_path / "model")
    engine = Excluding(small.loaded)
    suite.check_excluding(engine, small.truth)
    engine.fault = fault
    with pytest.raises(NotConforming, match=message):
        suite.check_excluding(engine, small.truth)
