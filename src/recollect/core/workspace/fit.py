"""What a fit found: every model that competed, what was chosen and why, in numbers.

Here, below the report, so that `experiments.fit` writes it and the report reads it by attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from recollect.core.estimates import Estimate
from recollect.core.workspace.experiment import ExperimentFound
from recollect.core.workspace.result import Result

Name = Literal["base", "few-shot", "plain", "random", "ours"]
NAMES: tuple[Name, ...] = ("base", "few-shot", "plain", "random", "ours")
"""Those that compete, the cheapest first."""
CALLED: Mapping[str, str] = {
    "base": "the untouched base",
    "few-shot": "examples in the prompt",
    "plain": "plain fine-tuning on all data",
    "random": "a random draw of equal size",
    "ours": "the fit's own model",
}
"""Each in words, the same on the terminal, the page and in the advice."""
SHORT: Mapping[str, str] = {
    "base": "base",
    "few-shot": "prompt",
    "plain": "plain",
    "random": "random draw",
    "ours": "own model",
}
"""The same where there is little room."""
COMMONEST, COMMONEST_SHORT = "no model: commonest answers", "commonest"
"""The rule that they are compared with, which never competes."""
Setting = str | int | float | bool | None


class SetsFound(Result):
    """How many questions each part of the data has."""

    train: int
    validation: int
    test: int
    kept_validation: int = 0
    """Of other relations or shops, which are not trained on: what is to be kept."""
    kept_test: int = 0
    how: str = ""
    """How the parts were made, in words."""

    @property
    def line(self) -> str:
        """All of it in one line."""
        kept = f", {self.kept_validation + self.kept_test:,} of other kinds" if self.kept_test else ""
        counts = f"train {self.train:,} / validation {self.validation:,} / test {self.test:,}{kept}"
        return f"{counts} ({self.how})" if self.how else counts


class Flipped(Result):
    """A question whose answer the chosen model changed."""

    question: str
    accepted: str
    before: str
    after: str
    gained: bool


class Power(Result):
    """Whether the test could tell two contenders apart, and how many questions would."""

    asked: int
    needed: int | None
    """With which the observed difference would be seen in four of five tests, at the confidence of the verdict; None
    where they differ on no question, so that nothing can be said."""
    unit: str = "question"
    """What is counted: questions; where they belong together, the pages, conversations or subjects."""
    confidence: float = 0.95
    """Of the interval that would have to leave out zero."""
    luck: bool = False
    """Whether the luck of the trainings alone hides the difference, however many questions there are."""


class Contender(Result):
    """One of the five."""

    name: Name
    examples: int = 0
    """Trained on, or shown in the prompt; of a mean of trainings those of its largest."""
    validation: Estimate | None = None
    forgot_validation: Estimate | None = None
    test: Estimate | None = None
    """None in a fit that was stopped before its test."""
    kept: Estimate | None = None
    """On the test questions of other relations or shops."""
    forgot: Estimate | None = None
    """Of what the base knew of all test questions, what it does not answer."""
    behind: Estimate | None = None
    """What the chosen one has more on the test, paired, as if it were the only comparison."""
    held: Estimate | None = None
    """The same with an interval corrected for the number of comparisons (Holm's steps), and over the luck of the
    trainings where at least two seeds of the winner's settings show it: what is said rests on this."""
    over_questions: Estimate | None = None
    """The same, at the same confidence, over the questions alone; None where `held` is that."""
    forgot_more: Estimate | None = None
    """What the chosen one has forgotten more, paired; over the luck of the trainings where `held` is."""
    power: Power | None = None
    """Of the difference from the chosen one."""
    wins: int = 0
    """Test questions that the chosen one alone has right."""
    losses: int = 0
    """Those that this one alone has right."""
    note: str = ""
    """Why it was not asked."""

    @property
    def gap(self) -> Estimate | None:
        """What the chosen one has more, as it may be told."""
        return self.held or self.behind


class KindFound(Result):
    """The test questions of one relation, or that begin alike."""

    name: str
    n: int
    truths: int
    """Different right answers."""
    commonest: str
    """The most frequent answer among the training facts."""
    rule: Estimate
    """What always giving that one has right."""
    base: Estimate | None = None
    chosen: Estimate | None = None
    over: Estimate | None = None
    """What the chosen one has more than the rule, paired, corrected for the number of kinds; where two seeds show it,
    over the luck of a training, too."""
    given: str = ""
    """The answer that the chosen one gives most often."""
    times: int = 0
    """How often."""
    right: int = 0
    """For how many questions it is right."""
    one_answer: bool = False
    """Whether that is one answer for most of them though it is right for far fewer."""


class JoinedFound(Result):
    """The untouched base with the rule in its place where validation has the rule ahead: no training is needed."""

    kinds: tuple[str, ...]
    """Where the rule answers."""
    test: Estimate
    over: Estimate | None = None
    """What the chosen one has more, paired, corrected together with the other comparisons."""
    power: Power | None = None


class RuleFound(Result):
    """What a rule has that knows nothing: to each question the commonest answer of its kind in the training facts."""

    by_relation: bool
    """Whether a kind is a relation; else it is questions that begin with the same words."""
    test: Estimate
    over: Estimate | None = None
    """What the chosen one has more, paired, corrected together with the other comparisons."""
    power: Power | None = None
    kinds: tuple[KindFound, ...] = ()
    joined: JoinedFound | None = None
    """None where validation has the rule ahead nowhere: that is the base."""

    @property
    def more(self) -> bool:
        """Whether the chosen one has more than the rule, alone and joined with the base, beyond chance."""
        joined = self.joined is None or self.joined.over is None or self.joined.over.sign > 0
        return joined and (self.over is None or self.over.sign > 0)

    @property
    def called(self) -> str:
        """In words."""
        return (
            f"the commonest training answer of {'each relation' if self.by_relation else 'questions that begin alike'}"
        )


class TrialFound(Result):
    """One trial of the search."""

    number: int
    settings: dict[str, Setting]
    state: str
    early: float | None = None
    """In points, less what was forgotten, at the first judgement."""
    score: float | None = None
    """In percent, at the end."""
    forgot: float | None = None
    """In percent of what the base knew."""
    updates: int = 0
    reason: str = ""


class Candidate(Result):
    """A model that could be chosen as ours, on the validation questions; percent."""

    name: str
    """In words: "trial 3", "seed 2, 70 % of the change"."""
    kind: Literal["plain", "trial", "seed", "mean", "repair"]
    score: float
    forgot: float
    value: float
    """What it was chosen by: score less the charge for what was forgotten."""
    averaged: bool = False
    """Whether it is made of several trainings and worth no less than they are on average, so no lucky one."""
    front: bool = False
    """No other is better in both."""
    chosen: bool = False
    knee: bool = False
    """Of the front, the point farthest above the line between its ends."""


class RiskFound(Result):
    """How well it was foretold which facts the plain fine-tuning would lose."""

    known: int
    """Test facts that the base knew."""
    lost: int
    """Those that the plain fine-tuning does not answer."""
    area: Estimate | None = None
    """The ROC area: the chance that a lost fact had been ranked above a kept one; None where fewer than two were lost,
    or kept."""
    most_at_risk: Estimate | None = None
    """The share lost of the third that was ranked first."""
    others: Estimate | None = None
    """The share lost of the others."""


class FitFound(ExperimentFound):
    """What a fit found."""

    chosen: Name
    chosen_by: str
    """Why, in a sentence."""
    by_test: bool = False
    """Whether the test took the choice back that validation had made: its interval is then of a winner."""
    undecided: bool = False
    """Whether validation could not tell the taken one from another that had more on it."""
    stopped: bool = False
    """By Ctrl-C, before the test: the best so far was kept, and the same command goes on."""
    goal: str
    pages: bool = False
    scored: str
    """What a score is, in words."""
    known: str
    """What the base is said to have known, in words."""
    by_words: bool = False
    """Whether that is told by its own words, since it answers next to nothing: counts are of tokens then."""
    known_test: int = 0
    known_validation: int = 1
    """Validation questions of which it knew the answer; where there is none nothing could be seen to be forgotten."""
    charge: float
    sets: SetsFound
    contenders: tuple[Contender, ...]
    rule: RuleFound | None = None
    """The rule that a model must beat to have learned anything; None for pages and chats."""
    judged_at: float = 0.0
    """Share of its training at which every trial was judged."""
    trials: tuple[TrialFound, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    settings_of_ours: dict[str, Setting] = {}
    repair: str = ""
    """What was done to our weights after the training, in words."""
    seeds: tuple[float, ...] = ()
    """Validation scores of the winner's settings by training seed, in percent."""
    members: tuple[int, ...] = ()
    """Examples of each training that ours is made of."""
    together: int = 0
    """Different examples of all of them."""
    mix: dict[str, int] = {}
    """Examples that ours was trained on by memory level, each counted once."""
    unknown: tuple[str, ...] = ()
    """Some questions of training facts at level 0."""
    levels: dict[str, int] = {}
    """Training facts by memory level, where they were probed."""
    risk: RiskFound | None = None
    """The forecast of what would be forgotten; None without a probe."""
    flipped: tuple[Flipped, ...] = ()
    lost: int = 0
    """Test questions that the base had right, by its best prompt, and the chosen model has not."""
    gained: int = 0
    budget: str
    most_cost: float | None = None
    """Share of an exhaustive search's updates to which a budget in trials was held; None with another budget."""
    left_out: tuple[str, ...] = ()
    """What the budget had no room for."""
    used: dict[str, float] = {}
    """Seconds of each stage."""
    updates: int = 0
    """Of all trainings."""
    full_updates: int = 0
    """Of an exhaustive search: a grid of amount, choice and rate, each to its end."""
    full_trainings: int = 0
    foretold_seconds: float | None = None
    advice: tuple[str, ...] = ()
    exported: str = ""

    def contender(self, name: str) -> Contender | None:
        """One of the five; None where it did not take part."""
        return next((one for one in self.contenders if one.name == name), None)

    @property
    def worth_it(self) -> bool | None:
        """Whether the chosen one has more than the untouched base, than the rule, and than both joined, beyond chance;
        None before a test."""
        base = self.contender("base")
        if self.best.test is None:
            return None
        if base is None or base is self.best or base.gap is None or base.gap.sign <= 0:
            return False
        return self.rule is None or self.rule.more

    @property
    def best(self) -> Contender:
        """The chosen one."""
        found = self.contender(self.chosen)
        assert found is not None
        return found
