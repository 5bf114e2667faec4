"""A model's own words, and how many of them another model still expects: what a training costs a base that answers no
question.

Such a base can still lose what it can do: to go on with a text, to copy from it. So the untouched base goes on with the
asked texts by itself, without a prompt and greedily; of each of these tokens it is stored which probability a model,
given all before it, gives it. Of what the base is sure of (`SURE`), that is forgotten to which a model trained from it
gives less than a half: there it may say something else.

Notable choices
- By the base's words, not by true texts, since no answer is needed, and since what the base never said it cannot lose.
  That a divergence from the base on the task's own inputs goes with forgetting is reported by arXiv 2509.04259.
- Without a prompt: after the fine-tuning prompt other words than the base's are what the training is for.
- Sure is nine tenths, not a half: any change of the weights turns over some tokens that lie at a half, also a change
  that costs nothing.
- By token ids, so both models must read and write alike, as a base and its tunings do.
- By the engine's greedy answers and its scores of given tokens: whatever engine has both will do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recollect.core.random import take
from recollect.core.workspace import step_input
from recollect.core.workspace.files import digest_of
from recollect.errors import InputError
from recollect.facts import Fact
from recollect.generate import Engine

WORDS, EXPECTED = "words.parquet", "expected.parquet"
LONGEST_TEXT, LONGEST = 256, 48
"""Tokens that are read of a text, and that are said after it."""
SURE, EXPECTED_FROM = 0.9, 0.5
"""Probability from which the base is sure of a token, and from which a model still expects it."""
_BATCH = 16
_WORDS = pl.Schema(
    {"fact_id": pl.String(), "part": pl.String(), "text": pl.List(pl.Int64()), "words": pl.List(pl.Int64())}
)
_EXPECTED = pl.Schema({"item": pl.String(), "unit": pl.String(), "probability": pl.Float64(), "part": pl.String()})


def own_words(engine: Engine, asked: Sequence[Fact], most: int, seed: int) -> pl.DataFrame:
    """How the model goes on with at most `most` different texts, drawn of those asked.

    Columns fact_id, part, text and words (token ids); a row for each text after which it says anything.
    """
    different = list({fact.question: fact for fact in asked}.values())
    drawn = take(different, most, seed, "evaluate-words", lambda fact: fact.id)
    room = LONGEST_TEXT if engine.context is None else max(1, min(LONGEST_TEXT, engine.context - LONGEST))
    texts = [ids[-room:] for ids in engine.encode([fact.question for fact in drawn])] if drawn else []
    order = sorted(range(len(drawn)), key=lambda at: (len(texts[at]), drawn[at].id))
    rows = []
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        said = engine.greedy([texts[at] for at in batch], LONGEST)
        rows += [(drawn[at].id, drawn[at].part, texts[at], ids) for at, ids in zip(batch, said, strict=True) if ids]
    return pl.DataFrame(rows, schema=_WORDS, orient="row")


def expected_of(engine: Engine, words: pl.DataFrame) -> pl.DataFrame:
    """The probability that the model gives each of these words: item (fact and place), unit (the fact), probability,
    part."""
    rows = []
    for at in range(0, words.height, _BATCH):
        batch = list(words[at : at + _BATCH].iter_rows())
        scored = engine.score([text for _, _, text, _ in batch], [[said] for *_, said in batch])
        for (fact_id, part, *_), [logprobs] in zip(batch, scored, strict=True):
            rows += [(f"{fact_id} {place}", fact_id, math.exp(one), part) for place, one in enumerate(logprobs)]
    return pl.DataFrame(rows, schema=_EXPECTED, orient="row").sort("item")


def words_of(step: Path) -> pl.DataFrame:
    """What the model of an evaluate step said of its own; raises InputError for a step without."""
    step_input(step, "evaluate")
    if not (step / WORDS).is_file():
        raise InputError(f"{step} holds no words of its model's own. Evaluate that model with --own-words 60 first.")
    return pl.read_parquet(step / WORDS, glob=False)


def words_input(step: Path | None) -> dict[str, str]:
    """The fingerprint of the words to compare with; raises as `words_of`, before any model is loaded for them."""
    if step is None:
        return {}
    words_of(step)
    return {"words": digest_of(step / WORDS)}
