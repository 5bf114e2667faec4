"""How much work a step is, counted from its settings before anything runs: pure functions, nothing is loaded.

Notable choices
- Work is a handful of counts; what each takes on a machine is measured apart (`calibrate`), and seconds are their sum.
- A probe by `adaptive` or `auto` cannot say beforehand how often it draws. Its share is assumed as it was measured:
  26,838 of 63,000 draws on SmolLM2 (300 facts), 87 of 210 on the pocket, docs/probe.md; the plan says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Self

from recollect.hidden import HiddenSettings
from recollect.probe import ProbeSettings
from recollect.probe.settings import Choice
from recollect.restore import LadderSettings
from recollect.restore.ladder import orders_of, rungs_of
from recollect.train import TrainSettings
from recollect.train.auto import WIDTH, plan

ADAPTIVE_SHARE = 0.42
"""Of all the draws, those that an adaptive probe makes."""
SET_SHARE, RANK_SHARE = 0.2, 0.3
"""Of the seconds in which a region's weights are compared, those in which a rung sets them and an order ranks them. Of
SmolLM2's decoder (106 million weights, 3.75 s of processor): 0.34 to 0.92 s a rung, by its order, and 0.68 to 1.55 s a
ranking; an interpolation is not ranked."""
ADAPTIVE_READS = 1.6
"""How often it reads a prompt, once a round: with this share four facts in ten see a second round, two a third."""


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of what is read and written; measured on a sample of the facts where they and a tokenizer are there.

    Those assumed are of EntityQuestions in SmolLM2's tokenizer, rounded.
    """

    prompt: float = 12.0
    """A mapping prompt of the probe."""
    question: float = 20.0
    """A question in the prompt that training and asking put it in."""
    answer: float = 5.0
    """An answer with its end."""
    learned: float | None = None
    """What is learned of one fact, where that is not its question and answer: a whole conversation, however many
    answers it has."""
    examples: float = 1.0
    """Training examples of one fact: more than one where a chat template rewrites a conversation's earlier turns."""
    shown: float | None = None
    """An example before a question, where it is not such a question: the first one of a conversation."""
    measured: bool = False

    @property
    def whole(self) -> float:
        """A training example."""
        return self.question + self.answer if self.learned is None else self.learned / self.examples

    @property
    def longest(self) -> float:
        """What is read or trained on at one time, at the most of these."""
        return max(self.whole, self.question + self.answer)

    @property
    def shot(self) -> float:
        """A question with its answer before another question."""
        return self.question + self.answer if self.shown is None else self.shown


@dataclass(frozen=True)
class Work:
    """Counts of what is to be done."""

    completions: float = 0.0
    """Draws of the probe."""
    forms: float = 0.0
    """Prompts after which the closed form is computed."""
    read: float = 0.0
    """Tokens read."""
    questions: float = 0.0
    """Asked greedily."""
    answered: float = 0.0
    """Tokens of the answers."""
    updates: float = 0.0
    trained: float = 0.0
    """Tokens in all updates."""
    trainings: float = 0.0
    """Begun and ended: built, and their weights written."""
    compared: float = 0.0
    """Tokens after which the distributions of two models are compared."""
    weights: float = 0.0
    """Read side by side from two models, or set anew."""
    loads: float = 0.0
    """Of a model."""
    probes: float = 0.0
    """Begun: each tests its sampler."""

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __mul__(self, times: float) -> Work:
        return Work(*(getattr(self, one.name) * times for one in fields(self)))

    @classmethod
    def total(cls, parts: list[Self]) -> Work:
        """Of all parts."""
        found = Work()
        for part in parts:
            found += part
        return found


@dataclass(frozen=True)
class Draws:
    """How a probe is assumed to draw, and why."""

    way: str
    residual: int
    """Of hybrid."""
    share: float = ADAPTIVE_SHARE
    """Of adaptive."""
    then: str = "hybrid"
    """What auto takes after its first facts."""
    said: str = ""


def assumed_draws(settings: ProbeSettings, facts: int, earlier: Choice | None = None) -> Draws:
    """By the settings; what auto and adaptive do is an assumption, which `said` states.

    earlier: what auto chose for this base in another probe.
    """
    share = f"adaptive is assumed to make {100 * ADAPTIVE_SHARE:.0f} % of the draws (as measured, docs/probe.md)"
    if settings.method == "adaptive" or (settings.method == "auto" and not compares(settings, facts)):
        return Draws("adaptive", 0, said=share)
    if settings.method == "auto" and earlier is not None and earlier.taken is not None:
        said = f"auto is assumed to take {earlier.taken.words} after its first facts, as in an earlier probe; {share}"
        return Draws("auto", earlier.taken.residual_samples or 0, then=earlier.way, said=said)
    if settings.method == "auto":
        draws = settings.residual_samples
        said = f"auto is assumed to take hybrid with {draws} residual draws after its first facts; {share}"
        return Draws("auto", draws, said=said)
    return Draws(settings.method, settings.residual_samples)


def compares(settings: ProbeSettings, facts: int) -> bool:
    """Whether `auto` compares ways on first facts at all."""
    return settings.has_closed_form and not settings.top_k and facts > settings.pilot


def probe_work(settings: ProbeSettings, facts: int, lengths: Lengths, draws: Draws | None = None) -> Work:
    """Of grading so many facts.

    Examples:
        >>> from recollect import ProbeSettings
        >>> round(probe_work(ProbeSettings.make(method="sampled"), 97_112, Lengths()).completions)
        20393520
    """
    draws = draws or assumed_draws(settings, facts)
    if draws.way == "auto":
        first = min(settings.pilot, facts)
        prompts = first * settings.templates
        closed = Work(forms=prompts, read=prompts * lengths.prompt)
        parts = [_graded(settings, "adaptive", first, lengths, draws), closed]
        parts.append(_graded(settings, draws.then, facts - first, lengths, draws))
    else:
        parts = [_graded(settings, draws.way, facts, lengths, draws)]
    both = 2 if settings.prompt == "both" else 1
    return (Work.total(parts) + Work(probes=1)) * both


def hidden_work(settings: HiddenSettings, subjects: float, lengths: Lengths) -> Work:
    """Of ranking the answers of so many subjects, each as many as may be.

    Examples:
        >>> from recollect import HiddenSettings
        >>> hidden_work(HiddenSettings.make(templates=2, candidates=10), 5, Lengths()).read
        620.0
    """
    return Work(read=subjects * settings.templates * (lengths.prompt + settings.candidates * lengths.answer))


def _graded(settings: ProbeSettings, way: str, facts: int, lengths: Lengths, draws: Draws) -> Work:
    prompts = facts * settings.templates
    tokens = prompts * lengths.prompt
    full = prompts * settings.samples
    if way == "sampled":
        return Work(completions=full, read=tokens)
    if way == "adaptive":
        return Work(completions=full * draws.share, read=tokens * ADAPTIVE_READS)
    drawn = prompts * draws.residual if way == "hybrid" else 0
    return Work(completions=drawn, forms=prompts, read=tokens)  # once, for the forms and the draws


def train_work(settings: TrainSettings, examples: int, lengths: Lengths) -> Work:
    """Of one training on so many examples.

    Examples:
        >>> from recollect import TrainSettings
        >>> found = train_work(TrainSettings(), 60, Lengths())
        >>> found.updates, found.trained
        (8.0, 1500.0)
    """
    made = round(examples * lengths.examples)
    chosen = plan(settings, made, WIDTH)  # updates do not depend on the width
    read = made * chosen.epochs if settings.max_steps is None else settings.max_steps * settings.batch_size
    return Work(updates=float(chosen.updates), trained=read * lengths.whole, trainings=1)


def asking_work(
    questions: int, lengths: Lengths, tokens: float | None = None, shots: int = 0, batch: int | None = None
) -> Work:
    """Of asking one loaded model. tokens: of an answer, where it is not as long as the true ones.

    batch: questions of a batch whose examples are read once for all of them, as a processor does; None: with each.

    Examples:
        >>> asking_work(100, Lengths(question=20, answer=5), shots=4, batch=64).read
        2200.0
    """
    written = lengths.answer if tokens is None else tokens
    often = questions if batch is None else math.ceil(questions / batch)
    read = questions * lengths.question + often * shots * lengths.shot
    return Work(questions=questions, read=read, answered=questions * written)


def drift_work(asked: int, known: int, text: int, weights: float, lengths: Lengths) -> Work:
    """Of comparing one tuned model with its base, whose own reading is kept from one to the next.

    asked: facts whose answers both read. known: facts that are asked once more. text: tokens of general text. weights:
    of the model.
    """
    read = asked * (lengths.question + lengths.answer) + text
    compared = Work(read=read, compared=asked * lengths.answer + text, weights=weights, loads=1)
    return compared + asking_work(known, lengths)


def ladder_work(settings: LadderSettings, asked: int, text: int, weights: float, lengths: Lengths) -> Work:
    """Of climbing one ladder: each order is ranked once, and every rung sets the region's weights, asks, and reads the
    general text; the base is asked as it was loaded.

    weights: of the region, which a comparison would read three times.
    """
    rungs = len(rungs_of(settings))
    of_weights = weights * (SET_SHARE * (rungs - 1) + RANK_SHARE * (len(orders_of(settings)) - 1))
    return (asking_work(asked, lengths) + Work(read=text)) * rungs + Work(weights=of_weights, loads=2)
