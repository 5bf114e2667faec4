"""One batch of jobs through the model: counts, closed form and texts, one table row per job.

The columns are the same for every method: `fact`, `template`, `p0` (closed form; null for sampled), `draws`, `hits`
(plain containment), `texts` (completions, as far as they were drawn).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from recollect.facts import FactSet
from recollect.generate import Trie, continuation_logprobs, draw_keys, prefill, prefix_free, sample, stop_tokens
from recollect.generate.encoding import decode
from recollect.match import contains, settled
from recollect.probe.jobs import Job
from recollect.probe.settings import ProbeSettings

if TYPE_CHECKING:
    from recollect.models import LoadedModel

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "fact": pl.Int64,
    "template": pl.Int64,
    "p0": pl.Float64,
    "draws": pl.Int64,
    "hits": pl.Int64,
    "texts": pl.List(pl.String),
}
NEGLIGIBLE = 1e-6  # a residual this small is not sampled: it can move R by no more than this


def measure(loaded: LoadedModel, facts: FactSet, jobs: Sequence[Job], settings: ProbeSettings) -> pl.DataFrame:
    """Run one batch; the result depends on the jobs and the settings alone."""
    state = prefill(loaded.model, [job.prompt for job in jobs], loaded.tokenizer.pad_token_id or 0)
    tries: list[Trie] | None = None
    p0: list[float | None] = [None] * len(jobs)
    draws = [settings.samples] * len(jobs)
    if settings.method != "sampled":
        tries = _tries(state, jobs, settings.temperature, settings.max_new_tokens)
        p0 = [trie.probability for trie in tries]
        residual = settings.residual_samples if settings.method == "hybrid" else 0
        draws = [residual if 1 - trie.probability > NEGLIGIBLE else 0 for trie in tries]
    texts: list[list[str]] = [[] for _ in jobs]
    rows = [row for row, count in enumerate(draws) for _ in range(count)]
    if rows:
        numbers = [number for count in draws for number in range(count)]
        keys = draw_keys(
            settings.seed,
            [facts.facts[jobs[row].fact].id for row in rows],
            [jobs[row].template for row in rows],
            numbers,
        )
        accepted = [facts.facts[job.fact].accepted for job in jobs]
        tokenizer = loaded.tokenizer

        def decided(row: int, ids: list[int]) -> bool:
            return settled(decode(tokenizer, ids), accepted[row])

        drawn = sample(
            state,
            rows,
            keys,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            stop_ids=stop_tokens(loaded.model, tokenizer),
            top_k=settings.top_k,
            exclude=tries,
            settled=decided,
        )
        for row, ids in zip(rows, drawn, strict=True):
            texts[row].append(decode(tokenizer, ids))
    hits = [
        sum(contains(text, facts.facts[job.fact].accepted) for text in said)
        for job, said in zip(jobs, texts, strict=True)
    ]
    return pl.DataFrame(
        {
            "fact": [job.fact for job in jobs],
            "template": [job.template for job in jobs],
            "p0": p0,
            "draws": draws,
            "hits": hits,
            "texts": texts,
        },
        schema=SCHEMA,
    )


def _tries(state: object, jobs: Sequence[Job], temperature: float, max_new_tokens: int) -> list[Trie]:
    """The right paths of each prompt that a completion can hold whole, with their probabilities."""
    from recollect.generate import State

    assert isinstance(state, State)
    sequences = [prefix_free([path for path in job.answers if len(path) <= max_new_tokens]) for job in jobs]
    rows = [row for row, forms in enumerate(sequences) for _ in forms]
    flat = [form for forms in sequences for form in forms]
    logprobs = continuation_logprobs(state, rows, flat, temperature)
    tries, at = [], 0
    for forms in sequences:
        tries.append(Trie(forms, logprobs[at : at + len(forms)]))
        at += len(forms)
    return tries
