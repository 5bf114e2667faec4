"""What stands between a prompt and an answer that comes at once: which of the usual leads a model uses.

Notable choices
- A base puts a blank there, mostly; but after "The answer is" many put a colon or a quote, and before many names an
  article. Which of them is worth its paths hangs on the model and the prompts, so it is measured on some prompts.
- Any set of leads is exact for what it counts: the closed form of fewer leads is lower, the hybrid probe unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from recollect.generate.encoding import BLANK, accepted_paths
from recollect.generate.engine import Engine
from recollect.generate.random import text_key
from recollect.generate.sampler import prefix_free, starting_probability

FORMS_VERSION = "2"
"""Of the forms that count as coming at once, in the inputs of a step that counts them; 1 knew only the blank."""
LEADS = (BLANK, ' "', " the ", " The ", ": ", "\n", "\n\n")
"""Those that real models were seen to use (`benchmarks/leading_forms.py`)."""
_PROMPTS = 48
_WORTH = 0.01  # of the probability after a blank: what a lead must add to be worth reading its paths


def useful_leads(
    engine: Engine,
    prompts: Sequence[str],
    accepted: Sequence[Sequence[str]],
    temperature: float,
    max_new_tokens: int,
) -> tuple[str, ...]:
    """The leads, the blank first, that add at least a hundredth to the probability of an answer at once.

    Measured on at most 48 of the prompts, by their texts: their order changes nothing. Those that the model's context
    cannot hold are passed over, and so are answers of more than `max_new_tokens` tokens.
    """
    chosen = sorted(range(len(prompts)), key=lambda index: text_key(0, prompts[index]))[:_PROMPTS]
    lengths = map(len, engine.encode([prompts[index] for index in chosen]))
    room = math.inf if engine.context is None else engine.context - max_new_tokens
    asked = [index for index, length in zip(chosen, lengths, strict=True) if length <= room]
    added = dict.fromkeys(LEADS, 0.0)
    size = engine.batch_size(1)
    for at in range(0, len(asked), size):
        some = asked[at : at + size]
        texts, forms = [prompts[index] for index in some], [accepted[index] for index in some]
        found = {lead: accepted_paths(engine, texts, forms, (BLANK, lead)) for lead in LEADS}
        by_lead = {lead: [prefix_free(_short(one.right, max_new_tokens)) for one in found[lead]] for lead in LEADS}
        every = [list({path for lead in LEADS for path in by_lead[lead][row]}) for row in range(len(some))]
        scores = engine.score([paths.prompt for paths in found[BLANK]], every, temperature)
        for row, values in enumerate(scores):
            known = dict(zip(every[row], values, strict=True))
            for lead in LEADS:
                paths = by_lead[lead][row]
                added[lead] += starting_probability(paths, [known[path] for path in paths])
    plain = added[BLANK]
    return (BLANK, *(lead for lead in LEADS[1:] if added[lead] - plain > _WORTH * plain))


def _short(paths: Sequence[tuple[int, ...]], longest: int) -> list[tuple[int, ...]]:
    return [path for path in paths if len(path) <= longest]
