"""How probable each answer is after a subject's prompts: the closed form of the probe, for right and wrong answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recollect.generate import Engine, prefix_free, starting_probability
from recollect.generate.encoding import accepted_paths, check_context
from recollect.hidden.rank import Floats

LEAST = 1e-30
"""A smaller probability counts as this one, so that one template cannot decide a mean of logarithms."""


def preferences(
    engine: Engine,
    prompts: Sequence[Sequence[str]],
    answers: Sequence[Sequence[str]],
    names: Sequence[str],
    temperature: float,
) -> tuple[Floats, Floats]:
    """Subjects x answers, twice: the mean over the prompts of the probability that a text starts with a form of the
    answer, after a blank; and the mean of its logarithm.

    `prompts` has as many for every subject. NaN where the tokenizer can write no form of the answer after some prompt.
    `names` tell whose prompt a model's context cannot hold (InputError).
    """
    each = len(prompts[0])
    flat = [text for some in prompts for text in some]
    encoded = accepted_paths(engine, [text for text in flat for _ in answers], list(answers) * len(flat))
    rows = [encoded[at : at + len(answers)] for at in range(0, len(encoded), len(answers))]
    longest = max((len(path) for row in rows for one in row for path in one.right), default=0)
    remedy = "Shorten the text or take a model with more context."
    owners = [name for name in names for _ in range(each)]
    check_context(engine.context, [row[0].prompt for row in rows], owners, longest, remedy)
    paths = [[prefix_free(one.right) for one in row] for row in rows]
    forms = [[path for some in row for path in some] for row in paths]
    scores = engine.score([row[0].prompt for row in rows], forms, temperature)
    found = np.full((len(flat), len(answers)), np.nan)
    for at, (row, values) in enumerate(zip(paths, scores, strict=True)):
        left = iter(values)
        for column, some in enumerate(row):
            if some:
                found[at, column] = starting_probability(some, [next(left) for _ in some])
    by_subject = found.reshape(len(prompts), each, len(answers))
    return by_subject.mean(axis=1), np.log(np.maximum(by_subject, LEAST)).mean(axis=1)
