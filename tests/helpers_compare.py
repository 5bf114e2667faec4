"""Evaluations whose verdicts are known: written by hand, as an evaluate step stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from recollect.core.workspace import open_step
from recollect.evaluate import EvaluateFound, accuracies
from recollect.match import MATCHER_VERSION

Maker = Callable[..., Path]

QUESTIONS = (
    # question, answer, synonyms, part, relation
    ("What is the capital of France?", "Paris", (), "test", "P36"),
    ("What is the capital of Norway?", "Oslo", (), "test", "P36"),
    ("What is the capital of Peru?", "Lima", (), "test", "P36"),
    ("What is the capital of Japan?", "Tokyo", ("Tokio",), "test", "P36"),
    ("What is the capital of Italy?", "Rome", ("Roma",), "test", "P36"),
    ("Who wrote Emma?", "Austen", (), "ood", "P50"),
    ("Who wrote Dracula?", "Stoker", (), "ood", "P50"),
    ("Who wrote Ulysses?", "Joyce", (), "ood", "P50"),
)


def maker(folder: Path) -> Maker:
    """Makes evaluate steps in the folder: make("name", [verdicts], model="…", questions=QUESTIONS, **settings)."""

    def make(
        name: str,
        right: Sequence[bool],
        model: str = "",
        questions: Sequence[tuple[str, str, tuple[str, ...], str, str]] = QUESTIONS,
        matcher: str = MATCHER_VERSION,
        outputs: Sequence[str] | None = None,
        **settings: object,
    ) -> Path:
        rows = [
            (f"f{at}", part, relation, None, question, answer, list(synonyms),
             outputs[at] if outputs else f" {answer}." if good else f" no {at}",
             good, good)
            for at, ((question, answer, synonyms, part, relation), good) in enumerate(
                zip(questions, right, strict=True)
            )
        ]  # fmt: skip
        columns = ("fact_id", "part", "relation", "level", "question", "object", "synonyms", "output", "contains")
        types = {"level": pl.Int64, "synonyms": pl.List(pl.String)}
        table = pl.DataFrame(rows, schema=[*columns, "word"], schema_overrides=types, orient="row")
        inputs = {"model": model or name, "matcher": matcher}
        with open_step("evaluate", {"max_new_tokens": 16, **settings}, inputs, folder / name) as step:
            step.write_table("outputs.parquet", table)
            step.finish(EvaluateFound(accuracy=accuracies(table, 1), sources={"model": model or name}))
        return folder / name

    return make
