"""The greedy answers of several models to one question, and how probable each model finds each of them.

Notable choices
- All sides are asked in one prompt, that of the tuned model, as it was trained.
- A probability is that of a text that begins so: the product of the probabilities of the answer's tokens, at
  temperature 1, whatever follows. It is the engine's `score`, the same that the probe reads.
- Another model's answer is scored by its own token ids where both write the same text with them, else by its text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recollect.ask.sides import Sides, find_sides
from recollect.chat.asking import Asking, Prompt, settled
from recollect.core.workspace.result import Result
from recollect.generate import Engine, TransformersEngine
from recollect.generate.encoding import check_context
from recollect.models import ModelSettings, load, resolve
from recollect.prompt import prompt_text

if TYPE_CHECKING:
    from recollect.models import LoadedModel


class Answer(Result):
    """What one side answers."""

    side: str
    """base, tuned, restored or model."""
    text: str
    """As it was written, white space at both ends aside."""
    cut: bool
    """Whether it was still going on at the limit of new tokens."""
    probability: dict[str, float]
    """By side: the probability, 0 to 1, that this side's text begins with this answer."""

    @property
    def own(self) -> float:
        """The probability that its own side gives it."""
        return self.probability[self.side]


@dataclass(frozen=True)
class SideBySide:
    """Loaded models to ask; made by `side_by_side`."""

    sides: Sides
    asking: Asking
    engines: Mapping[str, Engine]

    def ask(self, question: str, max_new_tokens: int = 64) -> list[Answer]:
        """The greedy answer of each side, in their order. InputError for a question longer than the context."""
        prompts, said = {}, {}
        for side, engine in self.engines.items():
            [prompts[side]] = self.asking.engine(engine).encode([self._text(question)])
            check_context(engine.context, [prompts[side]], ["the question"], max_new_tokens)
            [said[side]] = engine.greedy([prompts[side]], max_new_tokens)
        return [self._answer(side, question, prompts, said[side], max_new_tokens) for side in self.engines]

    def _answer(self, side: str, question: str, prompts: Mapping[str, list[int]], ids: list[int], limit: int) -> Answer:
        text = self.engines[side].decode(ids)
        found = {}
        for other, engine in self.engines.items():
            same = prompts[other] == prompts[side] and engine.decode(ids) == text
            path = ids if same else self._written(engine, question, text)
            found[other] = _probability(engine, prompts[other], path)
        return Answer(side=side, text=text.strip(), cut=len(ids) >= limit, probability=found)

    def _written(self, engine: Engine, question: str, text: str) -> list[int]:
        """The ids of a text as this engine would write it after the question."""
        [(_, ids)] = self.asking.engine(engine).encode_answers([self._text(question)], [text.strip()])
        return ids

    def _text(self, question: str) -> str:
        """What the engine is given: in a chat the user's turn, else the plain prompt."""
        return question if self.asking.chat else prompt_text(question, self.asking.template)


def side_by_side(
    where: str, base: str = "", prompt: Prompt = "auto", settings: ModelSettings | None = None
) -> SideBySide:
    """Load what a place tells of (see `find_sides`), to be asked side by side; all models are in memory at once.

    settings: how to hold the models (device, dtype, trust); its `model` is not looked at. Raises ModelError for a
    broken model, InputError for a place without one.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import side_by_side
        >>> models = side_by_side(str(tuned))
        >>> [answer.side for answer in models.ask("What is the capital of Vermont?", max_new_tokens=4)]
        ['base', 'tuned']
    """
    sides = find_sides(where, base)
    how = settings or ModelSettings()
    named = {side: how.model_copy(update={"model": model}) for side, model in sides.models.items()}
    in_what = settled(prompt, resolve(named[sides.asked_as]))
    asking = Asking(in_what == "chat", sides.template)
    loaded: dict[str, LoadedModel] = {side: load(one) for side, one in named.items()}
    return SideBySide(sides, asking, {side: TransformersEngine(one) for side, one in loaded.items()})


def _probability(engine: Engine, prompt: list[int], ids: list[int]) -> float:
    """Of the text that these ids begin; 1 for no ids, which every text begins with."""
    return math.exp(sum(engine.score([prompt], [[ids]])[0][0])) if ids else 1.0
