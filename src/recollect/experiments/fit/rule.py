"""A rule that knows nothing: to each question the commonest answer of its kind among the training facts.

Who is asked for currencies and says "peso" each time is right more often than the untouched base, and has learned no
currency. So what a training brought is counted from this rule on, over all questions and for each kind of them.

Notable choices
- A kind is a relation. Questions of a table without relations are told apart by how they begin: the longest opening, at
  most six words, that at least a tenth of the training questions share, and five of them.
- Base and rule are joined, too: the rule answers where it was right more often than the base on validation, the base
  elsewhere. A model may beat the rule by what its base knew, and the base by what is common, and have learned nothing.
- The rule answers with the training facts alone, those that every contender may learn from, and the same judge says
  whether it is right. Of answers that are equally frequent it takes the first by the alphabet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recollect.compare.favourite import favourite
from recollect.core.estimates import Estimate
from recollect.core.workspace.fit import JoinedFound, KindFound, RuleFound
from recollect.evaluate import Judges
from recollect.evaluate.judges import asked_of, with_right
from recollect.evaluate.llm_judge import LLM
from recollect.experiments.fit.answers import Answers, Gap, decided, gap_between, power_of, share_of
from recollect.facts import Fact, FactSet, near_key
from recollect.match import DEFAULT_JUDGE, Answer, Judge, judge_of
from recollect.match.squad import normalised

LEAST, SHARE, LONGEST = 5, 0.1, 6
"""Training questions, and their share, that must begin alike to be a kind; words of an opening."""
MOST = 0.5
"""Of a kind's questions, how many one answer must be given to for a warning."""
OTHERS = "other questions"
_SHOWN = 60
"""Characters of an answer that are shown."""
_QA = "qa"
"""The relation of facts that name none."""


@dataclass(frozen=True)
class Rule:
    """The commonest answer of each kind."""

    kind_of: Callable[[Fact], str]
    answers: dict[str, str]
    """By kind."""
    otherwise: str
    """Of a kind that was not trained on: the commonest of all."""
    by_relation: bool

    def answer(self, fact: Fact) -> str:
        """What it says."""
        return self.answers.get(self.kind_of(fact), self.otherwise)

    def right(self, facts: Sequence[Fact], judge: Judge) -> NDArray[np.bool_]:
        """Its verdicts."""
        said = [Answer(self.answer(fact), fact.accepted, asked_of(fact)) for fact in facts]
        return np.asarray([one.right for one in judge.judge_all(said)], dtype=bool)


def rule_of(train: FactSet) -> Rule:
    """The rule that these facts give."""
    facts = list(train)
    by_relation = set(train.relations) != {_QA}
    kind_of = _relation if by_relation else _openings(facts)
    by_kind: dict[str, list[str]] = {}
    for fact in facts:
        by_kind.setdefault(kind_of(fact), []).append(fact.object)
    return Rule(
        kind_of,
        {kind: _commonest(answers) for kind, answers in by_kind.items()},
        _commonest([fact.object for fact in facts]),
        by_relation,
    )


def _relation(fact: Fact) -> str:
    return fact.relation


def _commonest(answers: Sequence[str]) -> str:
    """As it is most often written; of equally frequent ones the first by the alphabet, whatever their order here."""
    form = _most(map(normalised, answers))
    return _most(one for one in answers if normalised(one) == form)


def _most(texts: Iterable[str]) -> str:
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))


def _openings(facts: Sequence[Fact]) -> Callable[[Fact], str]:
    """How a question begins, as far as many others begin like it."""
    words = [near_key(fact.question).split() for fact in facts]
    counts = Counter(" ".join(one[:length]) for one in words for length in range(1, min(LONGEST, len(one)) + 1))
    least = max(LEAST, SHARE * len(facts))

    def kind(fact: Fact) -> str:
        mine = near_key(fact.question).split()
        openings = (" ".join(mine[:length]) for length in range(min(LONGEST, len(mine)), 0, -1))
        found = next((one for one in openings if counts[one] >= least), "")
        return f"{found} …" if found else OTHERS

    return kind


@dataclass(frozen=True)
class Tried:
    """The rule on the test questions."""

    rule: Rule
    facts: tuple[Fact, ...]
    """The test questions, in the order of everybody's verdicts."""
    right: NDArray[np.bool_]
    joined: NDArray[np.bool_]
    """Of the base with the rule in its place in `better`."""
    better: tuple[str, ...] = ()
    """Kinds in which the rule is ahead of the base on validation."""

    def gap(self, chosen: Answers) -> Gap:
        """What the chosen one has more."""
        return gap_between(self.right, chosen.right(), chosen.units())

    def joined_gap(self, chosen: Answers) -> Gap:
        """What it has more than base and rule joined."""
        return gap_between(self.joined, chosen.right(), chosen.units())


def try_rule(choosing: FactSet, final: FactSet, validated: Answers, base: Answers, judges: Judges) -> Tried | None:
    """Ask the rule what the base was asked; None where nothing was. validated, base: the base's answers to each."""
    train, facts = choosing.part("train"), _asked(final, base)
    if not facts or not len(train):
        return None
    judge = judge_of(DEFAULT_JUDGE) if judges.main.name == LLM else judges.main
    rule = rule_of(train)
    right, before = rule.right(facts, judge), _asked(choosing, validated)
    better = better_kinds(rule, before, validated.right(), judge) if before else ()
    joined = join(rule, facts, base.right(), right, better)
    return Tried(rule, facts, right, joined, better)


def _asked(facts: FactSet, base: Answers) -> tuple[Fact, ...]:
    """In the order of the verdicts."""
    return tuple(facts[name] for name in base.items.filter(part="test")["item"].to_list())


def better_kinds(rule: Rule, facts: Sequence[Fact], base: NDArray[np.bool_], judge: Judge) -> tuple[str, ...]:
    """Kinds of whose questions the rule has more right than the base."""
    more: Counter[str] = Counter()
    for fact, mine, others in zip(facts, rule.right(facts, judge), base, strict=True):
        more[rule.kind_of(fact)] += int(mine) - int(others)
    return tuple(sorted(kind for kind, count in more.items() if count > 0))


def join(
    rule: Rule,
    facts: Sequence[Fact],
    base: NDArray[np.bool_],
    right: NDArray[np.bool_],
    better: Sequence[str],
) -> NDArray[np.bool_]:
    """The base's verdicts, with the rule's in the kinds of `better`."""
    taken = np.asarray([rule.kind_of(fact) in better for fact in facts], dtype=bool)
    return np.where(taken, right, base)


def rule_found(
    tried: Tried,
    base: Answers,
    chosen: Answers,
    over: tuple[Gap, Estimate],
    over_joined: tuple[Gap, Estimate] | None,
    lucky: Callable[[Gap], Gap],
) -> RuleFound:
    """What the rule has, beside the base and the chosen one, over all and for each kind of question.

    over, over_joined: what the chosen one has more, and as an estimate corrected together with the other comparisons.
    lucky: puts the luck of the chosen one's trainings into the difference in one kind. It is that of all questions; in
    a single kind trainings may lie farther apart (benchmarks/fit_relations.py).
    """
    kinds = np.asarray([tried.rule.kind_of(fact) for fact in tried.facts])
    places = {str(kind): np.flatnonzero(kinds == kind) for kind in sorted(set(kinds), key=str)}
    gap = tried.gap(chosen)
    units = chosen.units()
    each = {kind: gap_between(gap.first[at], gap.second[at], units[at]) for kind, at in places.items()}
    apart = decided({kind: lucky(one) for kind, one in each.items()})
    return RuleFound(
        by_relation=tried.rule.by_relation,
        test=share_of(tried.right, units),
        over=over[1],
        power=power_of(over[0], over[1].confidence),
        kinds=tuple(_kind(kind, at, tried, base, chosen, apart[kind]) for kind, at in places.items()),
        joined=_joined(tried, units, over_joined) if tried.better else None,
    )


def _joined(tried: Tried, units: NDArray[np.str_], over: tuple[Gap, Estimate] | None) -> JoinedFound:
    return JoinedFound(
        kinds=tried.better,
        test=share_of(tried.joined, units),
        over=None if over is None else over[1],
        power=None if over is None else power_of(over[0], over[1].confidence),
    )


def _kind(name: str, at: NDArray[np.intp], tried: Tried, base: Answers, chosen: Answers, over: Estimate) -> KindFound:
    facts, units = [tried.facts[place] for place in at], chosen.units()[at]
    first, second = (_Rows(_outputs(one)[at.tolist()]) for one in (base, chosen))
    one = favourite(first, second)
    given, times, right = _given_most(second.outputs)
    return KindFound(
        name=name,
        n=len(at),
        truths=len({normalised(fact.object) for fact in facts}),
        commonest=tried.rule.answer(facts[0]),
        rule=share_of(tried.right[at], units),
        base=share_of(base.right()[at], units),
        chosen=share_of(chosen.right()[at], units),
        over=over,
        given=given,
        times=times,
        right=right,
        one_answer=one is not None and one.answers[0].given >= MOST * len(at),
    )


@dataclass(frozen=True)
class _Rows:
    """Some rows of an evaluation's answers."""

    outputs: pl.DataFrame


def _outputs(answers: Answers) -> pl.DataFrame:
    """Of the test, in the order of the verdicts."""
    table = with_right(pl.read_parquet(answers.path / "outputs.parquet", glob=False))
    return table.filter(part="test").sort("fact_id")


def _given_most(outputs: pl.DataFrame) -> tuple[str, int, int]:
    """The most frequent first line, how often it is given, and how often it is right then."""
    lines = [next(iter(text.strip().splitlines()), "").strip() for text in outputs["output"].to_list()]
    forms = [normalised(line) for line in lines]
    [(most, times)] = Counter(forms).most_common(1)
    mine = [at for at, form in enumerate(forms) if form == most]
    return lines[mine[0]][:_SHOWN], times, sum(bool(outputs["right"][at]) for at in mine)
