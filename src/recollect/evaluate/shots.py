"""Few-shot: training facts with their answers before a question, for a model that was not taught the prompt.

Notable choices
- The examples are drawn from the training facts by seed and id (`core.random`), the same ones for every question and
  every model, in one order. A question that is itself among them gets the next one drawn in its place. Of a
  conversation the first question and answer are shown, which stand for themselves.
- In plain text an example is the prompt and its answer, one a line. The model then goes on with a next line, a question
  of its own making; what it wrote is cut there, before it is judged. Where an example's answer has lines of its own,
  it is cut at the beginning of the next question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from recollect.chat.turns import exchange
from recollect.core.random import draw
from recollect.errors import InputError
from recollect.facts import Fact
from recollect.prompt import SLOT, prompt_text

Example = tuple[str, str]
"""A question and its answer."""


def draw_examples(facts: Iterable[Fact], asked: Sequence[Fact], count: int, seed: int) -> list[tuple[Example, ...]]:
    """The `count` examples before each of the `asked` facts, from the training facts among `facts`.

    Raises InputError where there are too few.
    """
    if not count:
        return [()] * len(asked)
    train = [fact for fact in facts if fact.part == "train"]
    ordered = sorted(train, key=lambda fact: draw(seed, "shots", fact.id))
    found = []
    for fact in asked:
        others = (one for one in ordered if one.id != fact.id and one.question != fact.question)
        examples = tuple(exchange(one) for one in islice(others, count))
        if len(examples) < count:
            raise InputError(
                f"{count} examples before each question need as many training facts beside it, but there are "
                f"{len(examples)}. Ask with fewer shots, or give facts that have training facts."
            )
        found.append(examples)
    return found


def with_examples(examples: Sequence[Example], question: str, template: str) -> str:
    """The plain prompt of a question with its examples above it."""
    before = [f"{prompt_text(asked, template)} {answer}\n" for asked, answer in examples]
    return "".join([*before, prompt_text(question, template)])


def cut_answer(output: str, examples: Sequence[Example], template: str) -> str:
    """What belongs to the answer of what a model wrote after `with_examples`; all of it without examples."""
    if not examples:
        return output
    opening = template.partition(SLOT)[0].strip()
    if any("\n" in answer for _, answer in examples):
        return output.partition(f"\n{opening}")[0] if opening else output
    return output.partition("\n")[0]
