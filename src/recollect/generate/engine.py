"""The seam between the steps and whatever makes tokens: one protocol, in token ids that the engine itself hands out.

A step encodes its prompts with the engine, asks for greedy answers, draws or log-probabilities, and decodes what comes
back. How the engine gets there (caches, batches, a server) is its own affair: no step that asks sees a tensor. Drift,
ladder and training read weights and hidden states themselves, of a transformers model whatever the engine.

Adding an engine
1. One file with a class that has the members of `Engine`, and a function that finds a model for it.
2. One line in `recollect.engines.ENGINES`.
3. One test that runs `recollect.generate.conformance.check_engine` on a model small enough to enumerate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from recollect.core.machine import Machine

Ids = Sequence[int]

Decided = Callable[[int, list[int]], bool]
"""(place of the `Ask` in its call, tokens drawn so far) -> whether that draw may end here."""

NEGLIGIBLE = 1e-6
"""A remainder of the probability this small is not drawn from: it can move a score by no more than this."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt to draw from. Its draws are addressed by (seed, name, number, number of the draw)."""

    prompt: Ids
    name: str
    """Whose draws they are: a fact's id."""
    number: int
    """Which prompt of the name it is."""
    draws: int
    excluded: Sequence[Ids] | None = None
    """Draw from the distribution *given that the text starts with none of these*, exactly. Only where the engine
    `draws_excluding`."""
    first: int = 0
    """The number of its first draw: who wants more draws of a prompt asks for those that come after."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw: from softmax(z / temperature), cut to the k most likely tokens when top_k > 0 (ties kept)."""

    temperature: float
    max_new_tokens: int
    top_k: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """The draws of one `Ask`, in the order of their numbers, each without its end token."""

    draws: tuple[list[int], ...]
    """None at all when the excluded continuations leave at most `NEGLIGIBLE` of the probability."""
    excluded: float | None = None
    """The probability that a text starts with an excluded continuation; None where none were asked to be excluded."""


class Vocabulary(Protocol):
    """Text to token ids and back, as a model reads and writes it."""

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """The ids of each text as a prompt; never empty (InputError)."""

    def encode_answers(
        self, prompts: Sequence[str], answers: Sequence[str], lead: str = " "
    ) -> list[tuple[list[int], list[int]]]:
        """(ids of the prompt, ids of the answer as it follows the prompt) of each pair; `lead` stands between the two.

        The ids of the prompt are those of `encode`. What a vocabulary cannot write it leaves out: what comes out is
        judged as text.
        """

    def decode(self, ids: Ids) -> str:
        """The text of generated ids as it is judged: without special tokens."""


class Engine(Vocabulary, Protocol):
    """A loaded model that answers. Results depend on the arguments alone, not on the batch or its order."""

    @property
    def name(self) -> str:
        """Its name in `recollect.engines.ENGINES` and in manifests."""

    @property
    def machine(self) -> Machine:
        """Where it runs and in what number format; `machine.line()` tells people."""

    @property
    def context(self) -> int | None:
        """The most tokens, prompt and answer together, that the model was made to read; None without a limit."""

    @property
    def draws_are_addressed(self) -> bool:
        """Whether a draw is a function of its address, whatever is drawn beside it. Where not, the step says so."""

    @property
    def draws_excluding(self) -> bool:
        """Whether `Ask.excluded` is understood, which the hybrid probe needs."""

    def scores_at(self, temperature: float) -> bool:
        """Whether `score` can be asked at this temperature, as the closed form and the hybrid probe need."""

    def batch_size(self, draws: int) -> int:
        """How many prompts with so many draws each it likes to be asked at once."""

    def greedy(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
        """The most likely continuation of each prompt, without its end token."""

    def sample(self, asks: Sequence[Ask], how: Sampling, decided: Decided | None = None) -> list[Drawn]:
        """Independent draws from the model's distribution. `decided` may be asked, and may be ignored."""

    def score(
        self, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], temperature: float = 1.0
    ) -> list[list[list[float]]]:
        """ln softmax(z / temperature) of every token of every continuation of each prompt.

        InputError where `scores_at` says no.
        """

    def self_test(self, temperature: float, top_k: int = 0) -> float | None:
        """A p-value for its draws being those of its model; None without such a test. Raises SelfTestError."""


def engine_notes(engine: Engine, draws: bool = True) -> list[str]:
    """What a step that asked the engine must say of it: its own `notes`, where it has some, and of its draws."""
    own = list(getattr(engine, "notes", ()))
    if engine.draws_are_addressed or not draws:
        return own
    return [
        *own,
        f"The engine {engine.name!r} does not address its draws: another batch size or a resumed run gives other draws "
        "of the same distribution.",
    ]
