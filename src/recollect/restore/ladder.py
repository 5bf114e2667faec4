"""The ladder: set more and more of the change back in one loaded model, ask after each rung, with controls beside it.

Notable choices
- Rung 0 is the tuned model, rung 100 the untouched base, loaded as it is.
- The interpolation of a rung keeps a change of the same length as the main order's rung does, in the same region.
- The percentage is chosen on one half of the in-domain test facts and judged on the other; a gain whose 95 % interval
  holds zero is called no gain, and no model is written then unless told to. Every control (random weights and plain
  interpolation among them) chooses its own percentage on the same half and competes on the other.
- Every answer of every rung is kept: lost format (long, rambling answers) can be told from lost knowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field, model_validator

from recollect.chat.asking import asked_for, settled
from recollect.core.estimates import Estimate, Mean
from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step
from recollect.core.workspace.result import Result, fold_intervals
from recollect.drift.compare import known_accuracy
from recollect.drift.sides import evaluate_settings, open_both
from recollect.drift.tokens import general_loss, general_text
from recollect.evaluate import Judges, accuracy_table, run_evaluate
from recollect.facts import FactSet, load_facts
from recollect.models import LoadedModel, begin_input
from recollect.models.resident import Resident
from recollect.restore.choose import Choice, Judging, ahead, choose, judging
from recollect.restore.in_memory import Sides
from recollect.restore.run import run_restore
from recollect.restore.settings import LadderSettings, RestoreSettings, percents_of
from recollect.select import LEVELS, levels_fingerprint, read_levels
from recollect.weights.live import Live, length_share
from recollect.weights.pair import CheckpointPair
from recollect.weights.ranking import ORDERS, Ranking, rank

INTERPOLATION = "interpolation"
_INTERVALS = ("macro", "micro", "ood", "ood_micro", "known")
Levels = Annotated[tuple[float | None, ...], Field(min_length=5, max_length=5)]
_MEASURED = {"restored": pl.Int64, "kept": pl.Float64, "alpha": pl.Float64, "loss": pl.Float64}


class Rung(Result):
    """One model of the ladder: an order ("tuned", "base", an order of ranking, "interpolation") and a percentage."""

    order: str
    percent: Annotated[float, Field(ge=0, le=100)]
    restored: int | None = None
    """Weights set back; None where that is not counted."""
    kept: float | None = None
    """Length of the change that is left, as a share of the whole change."""
    alpha: float | None = None
    """Weight of the tuned model in an interpolation."""
    loss: float | None = None
    """On general text, nats per token."""
    macro: Estimate | None = None
    """In-domain accuracy, mean over memory levels; fractions, as all estimates."""
    micro: Estimate | None = None
    ood: Estimate | None = None
    """Out-of-domain, mean over memory levels."""
    ood_micro: Estimate | None = None
    by_level: Levels = (None,) * 5
    """In-domain accuracy in percent by memory level; None where it has no facts."""
    ood_by_level: Levels = (None,) * 5
    known: Estimate | None = None
    """Accuracy on the facts the base knows (level 3 and 4, in- and out-of-domain)."""
    answer_length: float | None = None
    """Mean length of the answers, in characters."""

    @model_validator(mode="before")
    @classmethod
    def _of_rows(cls, values: Any) -> Any:
        """A row of rungs.parquet, as earlier versions kept in the manifest too, has flat intervals and levels."""
        if not isinstance(values, Mapping):
            return values
        levels = {
            f"{prefix}by_level": [values[f"{prefix}level_{level}"] for level in LEVELS]
            for prefix in ("", "ood_")
            if f"{prefix}level_0" in values
        }
        return fold_intervals({**values, **levels}, _INTERVALS)


class LadderFound(Result):
    """Every rung, and what could be chosen among them."""

    rungs: tuple[Rung, ...] = ()
    best: Choice | None = None
    """The main order's choice; None with too few facts to choose on one half and judge on the other."""
    controls: tuple[Choice, ...] = ()
    """Each control's own choice, and how far the best is ahead of it."""
    beats_tuned: bool = False
    mean: Mean = "macro"
    """The accuracy that chose; micro when the facts have no levels, or none has enough."""
    levels: tuple[int, ...] = ()
    """The memory levels that a macro averages."""
    note: str = ""
    """The verdict in one sentence."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LadderResult:
    """The step directory, what was found, and the model that was written, if any."""

    path: Path
    found: LadderFound
    exported: Path | None = None

    def outputs(self) -> pl.DataFrame:
        """Every answer of every rung: an evaluation's columns, and order and percent."""
        return pl.read_parquet(self.path / "outputs.parquet")

    def rungs(self) -> pl.DataFrame:
        """One row per rung: what was set, accuracies in percent, loss on general text."""
        return pl.read_parquet(self.path / "rungs.parquet")


def rungs_of(settings: LadderSettings) -> list[Rung]:
    """Every rung in the order of work: base, tuned, the main order, the controls."""
    percents = percents_of(settings.ladder)
    ends = [("base", 100.0), ("tuned", 0.0)]
    steps = [(order, percent) for order in orders_of(settings) for percent in percents]
    return [Rung(order=order, percent=percent) for order, percent in ends + steps]


def orders_of(settings: LadderSettings) -> list[str]:
    """The main order, then the controls."""
    return [settings.order, *(order for order in ORDERS if order != settings.order), INTERPOLATION]


def run_ladder(
    settings: LadderSettings,
    base: str,
    tuned: str,
    facts: FactSet | None = None,
    levels: pl.DataFrame | None = None,
    *,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
    resident: Resident | None = None,
) -> LadderResult:
    """Climb the ladder and store `outputs.parquet`, `accuracy.parquet` and `rungs.parquet`; resumable rung by rung.

    Facts and levels come from the arguments, else from the paths in the settings. Without levels, rungs are compared by
    micro accuracy. A base that is `resident` in memory is every rung in turn, and then itself again. A chosen model is
    written to `restored-PERCENT/` inside. Raises what `open_pair` and `rank` raise.

    Examples:
        `tuned` is the folder of a `run_train`.

        >>> from recollect import LadderSettings, run_ladder
        >>> settings = LadderSettings.make(ladder="20", limit=4, text_tokens=100, export="none")
        >>> result = run_ladder(settings, "pocket", str(tuned))
        >>> sorted({rung.percent for rung in result.found.rungs})
        [0.0, 20.0, 100.0]
    """
    with open_both(settings, base, tuned) as pair:
        settings = settings.model_copy(update={"prompt": settled(asked_for(settings), pair.tuned)})
        facts = load_facts(settings.facts) if facts is None else facts
        if levels is None and settings.levels is not None:
            levels = read_levels(settings.levels)
        asked = _Asked(pair, facts, levels, general_text(settings, base))
        with open_step("ladder", settings, asked.fingerprints(), out, root) as step:
            if not step.done:
                with ExitStack() as held:
                    rows = _Climb(step, settings, asked, Sides(settings, base, tuned, resident, held)).all(progress)
                step.finish(_write_tables(step, settings, rows, pair.warnings))
            found = LadderFound.read(step.path)
            return LadderResult(step.path, found, _export(step.path, found, settings, base, tuned))


@dataclass(frozen=True)
class _Asked:
    """The two models, and what every rung is asked."""

    pair: CheckpointPair
    facts: FactSet
    levels: pl.DataFrame | None
    texts: list[str]

    def fingerprints(self) -> dict[str, str | None]:
        """The inputs of the step."""
        return {
            "base": self.pair.base.fingerprint,
            "tuned": self.pair.tuned.fingerprint,
            "facts": self.facts.fingerprint(),
            "levels": None if self.levels is None else levels_fingerprint(self.levels),
            "text": fingerprint(self.texts),
            **begin_input(self.pair.base.whole),
        }


class _Climb:
    """The rungs, one after the other; those on disk are read back, and no model is loaded that is not needed."""

    def __init__(self, step: Step, settings: LadderSettings, asked: _Asked, sides: Sides) -> None:
        self.step, self.settings, self.asked, self.sides = step, settings, asked, sides
        self._model: LoadedModel | None = None
        self._live: Live | None = None
        self._full = 0.0
        self._rankings: dict[str, Ranking] = {}
        self._kept: dict[float, float] = {}

    def all(self, progress: Callable[[int, int], None] | None) -> pl.DataFrame:
        """The answers of every rung, with order, percent and what was measured of the rung."""
        rungs = rungs_of(self.settings)
        for index, rung in enumerate(rungs):
            if not self.step.has_part(index):
                self.step.write_part(index, self._rung(index, rung))
            if rung.order == self.settings.order:
                self._kept[rung.percent] = float(self.step.read_part(index)["kept"][0])
            if progress:
                progress(index + 1, len(rungs))
        return self.step.read_parts(len(rungs))

    def _rung(self, index: int, rung: Rung) -> pl.DataFrame:
        restored, alpha = None, None
        if rung.order == "base":
            loaded, share = self.sides.load_base(), 0.0
        else:
            loaded, live = self._loaded()
            if rung.order == "tuned":
                kept = live.to_tuned()
            elif rung.order == INTERPOLATION:
                alpha = self._kept[rung.percent]
                kept = live.interpolate(alpha)
            else:
                cut = self._ranking(rung.order).cut(rung.percent)
                restored, kept = cut.restored, live.restore(cut)
            share = length_share(kept, self._full)
        outputs = self._ask(index, rung, loaded)
        reading = {"tokens": self.settings.text_tokens, "batch_size": self.settings.batch_size}
        loss = general_loss(loaded, self.asked.texts, **reading)
        measured = {"restored": restored, "kept": share, "alpha": alpha, "loss": loss}
        return outputs.select(
            pl.lit(rung.order).alias("order"),
            pl.lit(rung.percent).alias("percent"),
            pl.all(),
            *(pl.lit(measured[name], dtype=kind).alias(name) for name, kind in _MEASURED.items()),
        )

    def _ask(self, index: int, rung: Rung, loaded: LoadedModel) -> pl.DataFrame:
        name = f"{loaded.fingerprint}/{rung.order}/{rung.percent:g}"
        out, asked = self.step.scratch(f"rung-{index:03d}"), self.asked
        settings, loaded = evaluate_settings(self.settings), replace(loaded, fingerprint=name)
        return run_evaluate(settings, asked.facts, asked.levels, out=out, loaded=loaded).outputs()

    def _loaded(self) -> tuple[LoadedModel, Live]:
        if self._model is None or self._live is None:
            self._model = self.sides.load_tuned()
            self._live = Live(self._model.model, self.asked.pair, self.settings.region)
            self._full = self._live.to_tuned()
        return self._model, self._live

    def _ranking(self, order: str) -> Ranking:
        if order not in self._rankings:
            settings, percents = self.settings, percents_of(self.settings.ladder)
            ranking = rank(self.asked.pair, order, settings.region, percents, settings.per_tensor, settings.seed)
            self._rankings[order] = ranking
        return self._rankings[order]


def _write_tables(step: Step, settings: LadderSettings, rows: pl.DataFrame, warnings: tuple[str, ...]) -> LadderFound:
    """Write the tables; what they come to."""
    keys, judges = ["order", "percent"], Judges.of(settings.judge, settings.server)
    names = judges.names
    tables = {
        (str(order), float(percent)): table
        for (order, percent), table in rows.partition_by(keys, as_dict=True, maintain_order=True).items()
    }
    accuracy = pl.concat(
        accuracy_table(table, names, settings.least_per_level).select(
            pl.lit(order).alias("order"), pl.lit(percent).alias("percent"), pl.all()
        )
        for (order, percent), table in tables.items()
    )
    judged = accuracy.filter(matcher=judges.main.name)
    rungs = [_row(order, percent, table, judged) for (order, percent), table in tables.items()]
    step.write_table("outputs.parquet", rows.drop(list(_MEASURED)))
    step.write_table("accuracy.parquet", accuracy)
    table = pl.DataFrame(rungs, infer_schema_length=None).drop([f"{name}_facts" for name in _INTERVALS])
    step.write_table("rungs.parquet", table)
    made = tuple(Rung.model_validate(row) for row in rungs)
    return _verdict(settings, tables).model_copy(update={"rungs": made, "warnings": warnings})


def _row(order: str, percent: float, table: pl.DataFrame, accuracy: pl.DataFrame) -> dict[str, object]:
    """One rung's row of rungs.parquet, and how many facts each interval is of; accuracies in percent."""
    found: dict[str, object] = {"order": order, "percent": percent}
    found |= {name: table[name][0] for name in _MEASURED}
    mine = accuracy.filter((pl.col("order") == order) & (pl.col("percent") == percent))
    for part, prefix in (("test", ""), ("ood", "ood_")):
        for mean in ("macro", "micro"):
            rows = mine.filter((pl.col("part") == part) & (pl.col("level") == mean)).to_dicts()
            row = rows[0] if rows else dict.fromkeys(("accuracy", "low", "high", "n"))
            name = "ood" if (part, mean) == ("ood", "macro") else f"{prefix}{mean}"
            found |= {name: row["accuracy"], **{f"{name}_{end}": row[end] for end in ("low", "high")}}
            found[f"{name}_facts"] = row["n"]
        for level in LEVELS:
            value = mine.filter((pl.col("part") == part) & (pl.col("level") == str(level)))["accuracy"].to_list()
            found[f"{prefix}level_{level}"] = value[0] if value else None
    known = known_accuracy(table)
    interval = (*known.percent, known.n) if known else (None,) * 4
    found |= dict(zip(("known", "known_low", "known_high", "known_facts"), interval, strict=True))
    found["answer_length"] = float(table["output"].str.strip_chars().str.len_chars().mean() or 0.0)  # type: ignore[arg-type]
    return found


def _verdict(settings: LadderSettings, tables: dict[tuple[str, float], pl.DataFrame]) -> LadderFound:
    """The chosen rung of the main order and of each control, and what can be said of them."""
    tuned = tables["tuned", 0.0]
    how = judging(tuned, settings.seed, settings.least_per_level)

    def ladder(order: str) -> dict[float, pl.DataFrame]:
        return {0.0: tuned} | {percent: table for (name, percent), table in tables.items() if name == order}

    by = LadderFound(mean=how.mean, levels=how.levels)
    choices = [found for order in orders_of(settings) if (found := choose(order, ladder(order), how))]
    if not choices:  # the halves are those of all orders
        note = "too few in-domain test facts to choose on one half and judge on the other"
        return by.model_copy(update={"note": note})
    best, controls = choices[0], choices[1:]
    chosen = ladder(best.order)[best.percent]
    compared = tuple(
        other.model_copy(update={"ahead": ahead(chosen, ladder(other.order)[other.percent], how)}) for other in controls
    )
    levelled = tuned.filter((pl.col("part") == "test") & pl.col("level").is_not_null()).height > 0
    note = _note(best, compared) + _compared_by(how, settings.least_per_level, levelled)
    told = {"best": best, "controls": compared, "beats_tuned": best.beats_tuned, "note": note}
    return by.model_copy(update=told)


def _note(best: Choice, controls: Sequence[Choice]) -> str:
    if best.percent == 0 or best.gain is None:
        return "on the validation half no rung is better than the tuned model; nothing to restore"
    gain = "{:+.1f} points ({:+.1f} to {:+.1f})".format(*best.gain.percent)
    if not best.beats_tuned:
        return f"no rung beats the tuned model beyond noise: {best.percent:g} % gives {gain} on the test half"
    rivals = [control.order for control in controls if control.rivals_best]
    text = f"restoring {best.percent:g} % ({best.order}) beats the tuned model: {gain} on the test half"
    if not rivals:
        return f"{text}, and it is ahead of every control"
    return (
        f"{text}, but it is not clearly ahead of {', '.join(rivals)}, so the choice of weights is not shown to matter"
    )


def _compared_by(how: Judging, least: int, levelled: bool) -> str:
    """Which levels the comparison averages, where that is not all five."""
    if how.mean == "macro":
        left_out = [str(level) for level in LEVELS if level not in how.levels]
        some = (
            f" (macro over levels {', '.join(map(str, how.levels))}; level {', '.join(left_out)} has fewer than {least}"
        )
        return f"{some} facts in a half)" if left_out else ""
    return f" (by micro: no level has {least} facts in a half)" if levelled else ""


def _export(step: Path, found: LadderFound, settings: LadderSettings, base: str, tuned: str) -> Path | None:
    """Write the chosen model into the finished step, or find it there."""
    if settings.export == "none":
        return None
    percent = float(settings.export) if settings.export != "best" else found.best.percent if found.best else 0.0
    if settings.export == "best" and (percent == 0 or not (found.beats_tuned or settings.force)):
        return None
    values = settings.model_dump(exclude={"ladder"})
    one = RestoreSettings.make(**values, percent=percent)
    return run_restore(one, base, tuned, out=step / f"restored-{percent:g}").path
