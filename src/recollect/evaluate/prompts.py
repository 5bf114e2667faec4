"""The prompts of an evaluation, how long an answer may be, and whether both fit in the model's context."""

from __future__ import annotations

from collections.abc import Sequence

from recollect.chat.asking import Asking, asked_for, settled
from recollect.chat.frame import with_turns
from recollect.engines import find_engine
from recollect.evaluate.conversations import Talks, held_talks
from recollect.evaluate.pages import for_pages, page_task
from recollect.evaluate.settings import EvaluateSettings
from recollect.evaluate.shots import Example, draw_examples, with_examples
from recollect.facts import Fact, FactSet
from recollect.generate import Engine
from recollect.generate.encoding import Paths, accepted_paths, check_context
from recollect.models import LoadedModel

SLACK = 8
"""Tokens that `max_new_tokens: auto` leaves beyond the longest accepted answer: a lead, quotes, a full stop."""
_LEAST_TOKENS = 16
_REMEDY = "Lower --max-new-tokens, leave the fact out or take a model with more context."


def prompts_of(
    asking: Asking, asked: Sequence[Fact], examples: Sequence[Sequence[Example]], engine: Engine, talks: Talks | None
) -> list[Paths]:
    """The prompt of each question, its examples above it, and what would be a right answer to it."""
    if talks is not None:
        return talks.paths(asked, engine, examples)
    pairs = [(shown, fact.question) for fact, shown in zip(asked, examples, strict=True)]
    if asking.chat:
        prompts = [with_turns(shown, question) for shown, question in pairs]
    else:
        prompts = [with_examples(shown, question, asking.template) for shown, question in pairs]
    return accepted_paths(engine, prompts, [fact.accepted for fact in asked])


def longest_answer(settings: EvaluateSettings, paths: Sequence[Paths], context: int | None) -> int:
    """The most tokens that an answer may have; by `auto` those of the longest accepted one, and a few more."""
    if settings.max_new_tokens != "auto":
        return settings.max_new_tokens
    forms = [len(form) for path in paths for form in path.right]
    longest = max(_LEAST_TOKENS, max(forms, default=0) + SLACK)
    left = longest if context is None else context - max(len(path.prompt) for path in paths)
    return max(1, min(longest, left))  # what does not fit is noted


def check_fits(context: int | None, asked: Sequence[Fact], paths: Sequence[Paths], longest: int) -> None:
    """InputError where a question and its answer are longer than the model's context."""
    names = [f"the prompt of fact {fact.id}" for fact in asked]
    check_context(context, [path.prompt for path in paths], names, longest, _REMEDY)


def check_asking(settings: EvaluateSettings, facts: FactSet, asked: Sequence[Fact], loaded: LoadedModel) -> None:
    """The same of an evaluation that is still to come, as `run_evaluate` would ask these of the facts."""
    model = find_engine(settings, loaded)
    talks = held_talks(asked)
    settings = for_pages(settings) if talks is None and page_task(settings, facts) else settings
    settings = settings.run_by(model).model_copy(update={"prompt": settled(asked_for(settings), model.ref)})
    asking = Asking.of(settings)
    engine = asking.engine(model.load())
    paths = prompts_of(asking, asked, draw_examples(facts, asked, settings.shots, settings.seed), engine, talks)
    check_fits(engine.context, asked, paths, longest_answer(settings, paths, engine.context))
