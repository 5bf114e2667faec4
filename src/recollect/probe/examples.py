"""What the probe sees, for people: some facts of every level, with one draw after each of a few of their prompts.

The draws have addresses of their own, so that they change nothing else, and end where the model ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from recollect.facts import FactSet, Relation
from recollect.generate import Ask, Engine, Sampling
from recollect.match import judge_of
from recollect.probe.jobs import cut
from recollect.probe.measure import hits
from recollect.probe.settings import ProbeSettings

EXAMPLES = "examples.parquet"
_FACTS_OF_A_LEVEL = 2
_PROMPTS = 6
_SCHEMA = pl.Schema(
    {
        "fact_id": pl.String(),
        "question": pl.String(),
        "object": pl.String(),
        "part": pl.String(),
        "level": pl.Int64(),
        "score": pl.Float64(),
        "template": pl.Int64(),
        "prompt": pl.String(),
        "text": pl.String(),
        "hit": pl.Boolean(),
    }
)


def draw_examples(
    engine: Engine, facts: FactSet, levels: pl.DataFrame, relations: Mapping[str, Relation], settings: ProbeSettings
) -> pl.DataFrame:
    """One row per draw: the fact with its level and score, the prompt, the text, and whether it is judged right."""
    shown = _of_every_level(levels)
    rows, texts = [], []
    for row in shown.iter_rows(named=True):
        fact = facts[row["fact_id"]]
        known = (fact.id, fact.question, fact.object, fact.part, row["level"], row["score"])
        for template, text in enumerate(relations[fact.relation].prompts(fact.subject, settings.templates)[:_PROMPTS]):
            rows.append((*known, template, text))
            texts.append(text)
    asks = [Ask(ids, f"example {row[0]}", row[6], 1) for ids, row in zip(engine.encode(texts), rows, strict=True)]
    how = Sampling(settings.temperature, settings.max_new_tokens, settings.top_k, settings.seed)
    batches = cut(asks, settings.batch_size or engine.batch_size(1))
    said = [engine.decode(one.draws[0]) for some in batches for one in engine.sample(some, how)]
    judge = judge_of(settings.judge)
    judged = [(*row, text, hits(judge, facts[row[0]], [text]) == 1) for row, text in zip(rows, said, strict=True)]
    return pl.DataFrame(judged, schema=_SCHEMA, orient="row")


def read_examples(path: Path) -> pl.DataFrame | None:
    """The examples of the finished probe at `path`, by level; None for one of an earlier version, which kept none."""
    file = path / EXAMPLES
    return pl.read_parquet(file, glob=False) if file.is_file() else None


def _of_every_level(levels: pl.DataFrame) -> pl.DataFrame:
    """Some facts of each level, test facts before train facts, of relations not shown yet where there are such."""
    chosen: list[int] = []
    used: set[str] = set()
    rows = levels.select("level", "part", "relation").with_row_index().rows()
    for level in sorted({level for _, level, _, _ in rows}):
        having = [(part == "train", index, relation) for index, at, part, relation in rows if at == level]
        for _ in range(min(_FACTS_OF_A_LEVEL, len(having))):
            best = min(having, key=lambda one: (one[0], one[2] in used, one[1]))
            having.remove(best)
            chosen.append(best[1])
            used.add(best[2])
    return levels[chosen]
