"""Which training facts: size, memory level, balance over relations, seed (docs/studies.md §3).

Notable choices
- A selection is the first N facts of one sequence of all facts that does not depend on N, so the smaller
  selection of a seed is always inside the larger one.
- The sequence is built by turns: the level whose turn it is (mixed only), then the relation with the fewest
  facts so far that still has one. This is water filling: equal shares where there are facts, the rest evenly
  from the others.
- Inside a relation and level the order is a hash of (seed, fact), so adding facts elsewhere changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import AfterValidator, Field

from recollect.core.native import careful
from recollect.core.random import draw
from recollect.core.settings import Name, Settings, source_of
from recollect.core.workspace import DEFAULT_ROOT, check_stored, fingerprint, open_step
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.facts import TURNS, Fact, FactSet, load_facts

LEVELS = (0, 1, 2, 3, 4)
_COLUMNS = ("fact_id", "level")
_PURPOSE = ""  # of draws: selections of earlier versions hang on it


def _check_level(text: str) -> str:
    """ "mixed", "random", or levels in order, as "2,3"."""
    if text in ("mixed", "random"):
        return text
    parts = [part.strip() for part in text.split(",")]
    if not all(part in {"0", "1", "2", "3", "4"} for part in parts) or len(set(parts)) < len(parts):
        raise InputError(
            f'level must be "mixed", "random", or levels out of 0,1,2,3,4 such as "2" or "2,3", not {text!r}'
        )
    return ",".join(sorted(parts))


LevelChoice = Annotated[str, AfterValidator(_check_level)]
"""The type of a setting that says which memory levels to take from."""


class SelectSettings(Settings):
    """Which facts of the train part to fine-tune on.

    Examples:
        >>> from recollect import SelectSettings
        >>> SelectSettings.make(size=15, level="random").size
        15
    """

    runtime_only: ClassVar[set[str]] = {"facts", "levels"}

    facts: Name = "pocket"
    """A facts step directory, a data file, or "pocket"."""
    levels: Path | None = None
    """The probe step directory that gives each fact its memory level; not needed for level "random"."""
    size: Annotated[int, Field(ge=1)] | Literal["all"] = 60
    """How many facts to take, or "all"."""
    level: LevelChoice = "mixed"
    """Memory levels to take from: "mixed" (equal shares of 0 to 4), one level, several as "2,3", or "random" (facts of
    any level). All of them, "random" too, take equally many facts of each relation as far as these reach, and draw
    within a relation: a fact of a small relation is more likely to be taken than one of a large one."""
    seed: int = 0
    """Decides which facts; with one seed, a smaller selection is part of every larger one."""
    min_level_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Leave out facts whose level is less probable than this (column level_probability). Not used by
    "random"."""


class Shortfall(Result):
    """How many facts an equal share would have had more, by what has too few."""

    relations: dict[str, int] = {}
    levels: dict[str, int] = {}


class SelectFound(Result):
    """What was selected."""

    size: int
    by_relation: dict[str, int]
    by_level: dict[str, int]
    """Facts by memory level; "None": of no known level."""
    shortfall: Shortfall = Shortfall()
    sources: dict[str, str] = {}
    """Where the facts and the levels came from."""


@dataclass(frozen=True)
class SelectResult:
    """The step directory, what was found, and the chosen facts, in order."""

    path: Path
    found: SelectFound
    facts: FactSet


def read_levels(path: Path) -> pl.DataFrame:
    """The levels table of a probe step directory, or of a levels.parquet; InputError when there is none.

    Columns: fact_id, relation, subject, object, score, low, high, level (0..4), level_probability,
    borderline.
    """
    file = path / "levels.parquet" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"no levels at {path}: expected a probe step directory or its levels.parquet.")
    check_stored(file)
    with careful(file):
        try:
            table = pl.read_parquet(file, glob=False)
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{file} is not a readable Parquet file: {str(error).splitlines()[0]}") from None
    _check_levels(table, str(file))
    return table


def _check_levels(table: pl.DataFrame, where: str) -> None:
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{where} must have the columns {', '.join(_COLUMNS)}, but {', '.join(missing)} is missing.")
    kind = table.schema["level"]
    if not (kind.is_numeric() or kind == pl.Null):
        raise InputError(f"{where} must have numbers from 0 to 4 as level, but the column is of type {kind}.")


def levels_fingerprint(levels: pl.DataFrame) -> str:
    """Hash of what selection and evaluation read from a levels table; InputError for a table that is none."""
    _check_levels(levels, "a table of levels")
    columns = [name for name in (*_COLUMNS, "level_probability") if name in levels.columns]
    return fingerprint(levels.select(columns).sort("fact_id").to_dict(as_series=False))


def selection_order(
    facts: Sequence[Fact],
    seed: int,
    level_of: Mapping[str, int] | None = None,
    turns: Sequence[int] | None = None,
) -> Iterator[Fact]:
    """All facts in the order in which a selection takes them; the first N are the selection of size N.

    With `turns` (levels), every level has its turn; `level_of` gives the level of each fact by its id.
    Without, the facts are one pool. Relations share evenly; ties go by a seeded order.
    """
    queues: dict[int, dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        queues[level_of[fact.id] if turns and level_of else 0][fact.relation].append(fact)
    for level in queues.values():
        for queue in level.values():
            queue.sort(key=lambda fact: draw(seed, _PURPOSE, fact.id), reverse=True)  # taken from the end
    relations = sorted({fact.relation for fact in facts}, key=lambda relation: draw(seed, _PURPOSE, relation))
    in_all: Counter[str] = Counter()
    in_level: Counter[tuple[int, str]] = Counter()
    while queues:
        for level_id in turns or (0,):
            if level_id not in queues:
                continue
            level = queues[level_id]
            relation = min(
                (name for name in relations if name in level),
                key=lambda name: (in_all[name], in_level[level_id, name]),
            )
            in_all[relation] += 1
            in_level[level_id, relation] += 1
            yield level[relation].pop()
            if not level[relation]:
                del level[relation]
            if not level:
                del queues[level_id]


def run_select(
    settings: SelectSettings,
    facts: FactSet | None = None,
    levels: pl.DataFrame | None = None,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
) -> SelectResult:
    """Choose facts of the train part and store them as `selection.parquet`.

    Facts and levels come from the arguments, else from the paths in the settings. Columns: fact_id, relation,
    level (null where unknown), question, object; in the order of choice. Raises InputError when no fact has a
    wanted level, or when there are fewer facts than `size`.

    Examples:
        `probe` is the folder of a `run_probe`.

        >>> from recollect import SelectSettings, run_select
        >>> chosen = run_select(SelectSettings.make(levels=probe, level="0", size=3))
        >>> chosen.found.by_level
        {'0': 3}
        >>> len(chosen.facts)
        3
    """
    sources = {"facts": source_of(settings, "facts", facts), "levels": source_of(settings, "levels", levels)}
    if facts is None:
        facts = load_facts(settings.facts)
    if levels is None and settings.levels is not None:
        levels = read_levels(settings.levels)
    if levels is None and settings.level != "random":
        raise InputError(
            f"levels must be given to select by level {settings.level!r}: a probe step directory. "
            "Run `recollect probe`, or take --level random."
        )
    inputs = {"facts": facts.fingerprint(), "levels": None if levels is None else levels_fingerprint(levels)}
    with open_step("select", settings, inputs, out, root) as step:
        if not step.done:
            train = facts.part("train")
            if not len(train):
                raise InputError(f"the fact set {facts.name!r} has no train part to select from.")
            level_of = {} if levels is None else _levels_of(levels)
            chosen = _choose(settings, train, level_of, levels)
            step.write_table("selection.parquet", _table(chosen, level_of))
            step.finish(_found(settings, chosen, train, level_of).model_copy(update={"sources": sources}))
            if progress:
                progress(len(chosen), len(chosen))
        selection = pl.read_parquet(step.path / "selection.parquet", glob=False)
        return SelectResult(step.path, SelectFound.read(step.path), facts.only(selection["fact_id"].to_list()))


def available(facts: FactSet, levels: pl.DataFrame | None, level: str, confidence: float = 0.0) -> int:
    """How many facts of the train part a selection of `level` can take, each with so probable a level.

    A confidence is not asked for where the table states none.
    """
    stated = levels is not None and "level_probability" in levels.columns
    return len(_pool(facts.part("train"), levels, level, confidence if stated else 0.0))


def _pool(train: FactSet, levels: pl.DataFrame | None, level: str, confidence: float) -> list[Fact]:
    """The facts that a selection draws from."""
    if level == "random" or levels is None:
        return list(train)
    wanted = LEVELS if level == "mixed" else [int(one) for one in level.split(",")]
    sure = levels.filter(pl.col("level").is_in(wanted))
    if confidence:
        sure = sure.filter(pl.col("level_probability") >= confidence)
    ids = set(sure["fact_id"])
    return [fact for fact in train if fact.id in ids]


def _choose(
    settings: SelectSettings, train: FactSet, level_of: Mapping[str, int], levels: pl.DataFrame | None
) -> list[Fact]:
    if settings.level != "random" and levels is not None and settings.min_level_confidence:
        _check_probabilities(levels)
    pool = _pool(train, levels, settings.level, settings.min_level_confidence)
    if not pool:
        found = dict(sorted(Counter(level_of[fact.id] for fact in train if fact.id in level_of).items()))
        raise InputError(
            f"no training fact at level {settings.level} (with level confidence of at least "
            f"{settings.min_level_confidence}). Training facts by level: {found or 'none has a level'}."
        )
    if settings.size != "all" and settings.size > len(pool):
        raise InputError(
            f"size must be at most {len(pool):,}, the number of training facts at level {settings.level}, "
            f"but got size={settings.size:,}. Lower --size to {len(pool)} or less, or take more levels."
        )
    order = selection_order(pool, settings.seed, level_of, LEVELS if settings.level == "mixed" else None)
    return list(islice(order, len(pool) if settings.size == "all" else settings.size))


def _levels_of(levels: pl.DataFrame) -> dict[str, int]:
    known = levels.filter(pl.col("level").is_not_null())
    return dict(zip(known["fact_id"].to_list(), known["level"].to_list(), strict=True))


def _check_probabilities(levels: pl.DataFrame) -> None:
    if "level_probability" not in levels.columns:
        raise InputError("min_level_confidence needs the column level_probability, which the levels table lacks.")
    if levels["level_probability"].null_count() == len(levels):
        raise InputError(
            "min_level_confidence needs level probabilities, but this probe states none (closed-form, or too few draws "
            "for late answers). Probe with --method sampled, or hybrid with --residual-samples 2 or more."
        )


def _table(chosen: Sequence[Fact], level_of: Mapping[str, int]) -> pl.DataFrame:
    rows = [(f.id, f.relation, level_of.get(f.id), f.question, f.object) for f in chosen]
    schema = {
        "fact_id": pl.String,
        "relation": pl.String,
        "level": pl.Int64,
        "question": pl.String,
        "object": pl.String,
    }
    table = pl.DataFrame(rows, schema=schema, orient="row")
    if any(fact.turns for fact in chosen):
        return table.with_columns(pl.Series(TURNS, [fact.turns for fact in chosen], dtype=pl.String))
    return table


def _found(
    settings: SelectSettings, chosen: Sequence[Fact], train: FactSet, level_of: Mapping[str, int]
) -> SelectFound:
    by_relation = Counter(fact.relation for fact in chosen)
    by_level = Counter(level_of.get(fact.id) for fact in chosen)
    share = len(chosen) // len(train.relations)
    each = len(chosen) // len(LEVELS) if settings.level == "mixed" else 0
    return SelectFound(
        size=len(chosen),
        by_relation={relation: by_relation[relation] for relation in sorted(train.relations)},
        by_level={str(level): by_level[level] for level in (*LEVELS, None) if by_level[level]},
        shortfall=Shortfall(
            relations={r: share - by_relation[r] for r in train.relations if by_relation[r] < share},
            levels={str(level): each - by_level[level] for level in LEVELS if by_level[level] < each},
        ),
    )
