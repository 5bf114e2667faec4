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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recollect.core.workspace import DEFAULT_ROOT, Step, fingerprint, open_step
from recollect.drift.general import general_loss, general_text, known_accuracy
from recollect.drift.hold import evaluate_settings, load_base, load_tuned, open_both
from recollect.drift.settings import LadderSettings, percents_of
from recollect.evaluate import accuracy_table, run_evaluate
from recollect.facts import FactSet, load_facts
from recollect.match import MATCHERS
from recollect.models import LoadedModel
from recollect.restore.choose import Choice, Judging, ahead, choose, judging
from recollect.restore.run import restore
from recollect.select import LEVELS, levels_fingerprint, read_levels
from recollect.weights.interpolate import length_share
from recollect.weights.live import Live
from recollect.weights.pair import CheckpointPair
from recollect.weights.ranking import ORDERS, Ranking, rank

INTERPOLATION = "interpolation"
_MEASURED = {"restored": pl.Int64, "kept": pl.Float64, "alpha": pl.Float64, "loss": pl.Float64}


@dataclass(frozen=True)
class LadderResult:
    """The step directory, its metrics, and the model that was written, if any."""

    path: Path
    metrics: dict[str, Any]
    exported: Path | None

    def outputs(self) -> pl.DataFrame:
        """Every answer of every rung: an evaluation's columns, and order and percent."""
        return pl.read_parquet(self.path / "outputs.parquet")

    def rungs(self) -> pl.DataFrame:
        """One row per rung: what was set, accuracies, loss on general text."""
        return pl.read_parquet(self.path / "rungs.parquet")

    def summary(self) -> dict[str, Any]:
        """The command's JSON answer."""
        return {**self.metrics, "exported": str(self.exported or "") or None, "out": str(self.path)}


@dataclass(frozen=True)
class Rung:
    """One model of the ladder: an order ("tuned", "base", an order of ranking, "interpolation") and a percentage."""

    order: str
    percent: float


def rungs_of(settings: LadderSettings) -> list[Rung]:
    """Every rung in the order of work: base, tuned, the main order, the controls."""
    percents = percents_of(settings.ladder)
    return [Rung("base", 100.0), Rung("tuned", 0.0)] + [
        Rung(order, percent) for order in orders_of(settings) for percent in percents
    ]


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
) -> LadderResult:
    """Climb the ladder and store `outputs.parquet`, `accuracy.parquet` and `rungs.parquet`; resumable rung by rung.

    Facts and levels come from the arguments, else from the paths in the settings. Without levels, rungs are compared by
    micro accuracy. A chosen model is written to `restored-PERCENT/` inside. Raises what `open_pair` and `rank` raise.
    """
    with open_both(settings, base, tuned) as pair:
        return _run(settings, base, tuned, pair, facts, levels, out, root, progress)


def _run(
    settings: LadderSettings,
    base: str,
    tuned: str,
    pair: CheckpointPair,
    facts: FactSet | None,
    levels: pl.DataFrame | None,
    out: Path | None,
    root: Path,
    progress: Callable[[int, int], None] | None,
) -> LadderResult:
    facts = load_facts(settings.facts) if facts is None else facts
    if levels is None and settings.levels is not None:
        levels = read_levels(settings.levels)
    texts = general_text(settings, base)
    inputs = {
        "base": pair.base.fingerprint,
        "tuned": pair.tuned.fingerprint,
        "facts": facts.fingerprint(),
        "levels": None if levels is None else levels_fingerprint(levels),
        "text": fingerprint(texts),
    }
    with open_step("ladder", settings, inputs, out, root) as step:
        if not step.done:
            climb = _Climb(step, settings, pair, base, tuned, facts, levels, texts)
            _finish(step, settings, climb.all(progress), pair)
        return LadderResult(step.path, step.metrics, _export(step, settings, base, tuned))


class _Climb:
    """The rungs, one after the other; those on disk are read back, and no model is loaded that is not needed."""

    def __init__(
        self,
        step: Step,
        settings: LadderSettings,
        pair: CheckpointPair,
        base: str,
        tuned: str,
        facts: FactSet,
        levels: pl.DataFrame | None,
        texts: Sequence[str],
    ) -> None:
        self.step, self.settings, self.pair = step, settings, pair
        self.base, self.tuned, self.facts, self.levels, self.texts = base, tuned, facts, levels, list(texts)
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
            loaded, share = load_base(self.settings, self.base), 0.0
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
        loss = general_loss(loaded, self.texts, tokens=self.settings.text_tokens, batch_size=self.settings.batch_size)
        measured = {"restored": restored, "kept": share, "alpha": alpha, "loss": loss}
        return outputs.select(
            pl.lit(rung.order).alias("order"),
            pl.lit(rung.percent).alias("percent"),
            pl.all(),
            *(pl.lit(measured[name], dtype=kind).alias(name) for name, kind in _MEASURED.items()),
        )

    def _ask(self, index: int, rung: Rung, loaded: LoadedModel) -> pl.DataFrame:
        name = f"{loaded.fingerprint}/{rung.order}/{rung.percent:g}"
        asked = LoadedModel(loaded.model, loaded.tokenizer, loaded.folder, name, loaded.machine)
        result = run_evaluate(
            evaluate_settings(self.settings),
            self.facts,
            self.levels,
            out=self.step.folder / "parts" / f"rung-{index:03d}",
            loaded=asked,
        )
        return result.outputs()

    def _loaded(self) -> tuple[LoadedModel, Live]:
        if self._model is None or self._live is None:
            self._model = load_tuned(self.settings, self.tuned)
            self._live = Live(self._model.model, self.pair, self.settings.region)
            self._full = self._live.to_tuned()
        return self._model, self._live

    def _ranking(self, order: str) -> Ranking:
        if order not in self._rankings:
            settings = self.settings
            self._rankings[order] = rank(
                self.pair, order, settings.region, percents_of(settings.ladder), settings.per_tensor, settings.seed
            )
        return self._rankings[order]


def _finish(step: Step, settings: LadderSettings, rows: pl.DataFrame, pair: CheckpointPair) -> None:
    """Tables, choice and manifest."""
    keys = ["order", "percent"]
    tables = {
        (str(order), float(percent)): table
        for (order, percent), table in rows.partition_by(keys, as_dict=True, maintain_order=True).items()
    }
    accuracy = pl.concat(
        accuracy_table(table, list(MATCHERS), settings.least_per_level).select(
            pl.lit(order).alias("order"), pl.lit(percent).alias("percent"), pl.all()
        )
        for (order, percent), table in tables.items()
    )
    rungs = [_numbers(order, percent, table, accuracy) for (order, percent), table in tables.items()]
    step.write_table("outputs.parquet", rows.drop(list(_MEASURED)))
    step.write_table("accuracy.parquet", accuracy)
    step.write_table("rungs.parquet", pl.DataFrame(rungs, infer_schema_length=None))
    step.finish({"rungs": rungs, **_verdict(settings, tables), "warnings": list(pair.warnings)})


def _numbers(order: str, percent: float, table: pl.DataFrame, accuracy: pl.DataFrame) -> dict[str, Any]:
    """One rung's numbers; accuracies in percent."""
    found: dict[str, Any] = {"order": order, "percent": percent}
    found |= {name: table[name][0] for name in _MEASURED}
    mine = accuracy.filter(
        (pl.col("order") == order) & (pl.col("percent") == percent) & (pl.col("matcher") == "contains")
    )
    for part, prefix in (("test", ""), ("ood", "ood_")):
        for mean in ("macro", "micro"):
            rows = mine.filter((pl.col("part") == part) & (pl.col("level") == mean)).to_dicts()
            row = rows[0] if rows else {"accuracy": None, "low": None, "high": None}
            name = "ood" if (part, mean) == ("ood", "macro") else f"{prefix}{mean}"
            found |= {name: row["accuracy"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
        for level in range(5):
            value = mine.filter((pl.col("part") == part) & (pl.col("level") == str(level)))["accuracy"].to_list()
            found[f"{prefix}level_{level}"] = value[0] if value else None
    known = known_accuracy(table)
    names = {"known": "accuracy", "known_low": "low", "known_high": "high"}
    found |= {name: known[key] if known else None for name, key in names.items()}
    found["answer_length"] = float(table["output"].str.strip_chars().str.len_chars().mean() or 0.0)  # type: ignore[arg-type]
    return found


def _verdict(settings: LadderSettings, tables: dict[tuple[str, float], pl.DataFrame]) -> dict[str, Any]:
    """The chosen rung of the main order and of each control, and what can be said of them."""
    tuned = tables["tuned", 0.0]
    how = judging(tuned, settings.seed, settings.least_per_level)

    def ladder(order: str) -> dict[float, pl.DataFrame]:
        return {0.0: tuned} | {percent: table for (name, percent), table in tables.items() if name == order}

    by = {"mean": how.mean, "levels": list(how.levels)}
    choices: list[Choice] = []
    for order in orders_of(settings):
        found = choose(order, ladder(order), how)
        if found is None:
            note = "too few in-domain test facts to choose on one half and judge on the other"
            return {"best": None, "controls": [], "beats_tuned": False, **by, "note": note}
        choices.append(found)
    best, controls = choices[0], choices[1:]
    best_table = ladder(best.order)[best.percent]
    compared = [{**other.json(), **ahead(best_table, ladder(other.order)[other.percent], how)} for other in controls]
    levelled = tuned.filter((pl.col("part") == "test") & pl.col("level").is_not_null()).height > 0
    return {
        "best": best.json(),
        "controls": compared,
        "beats_tuned": best.beats_tuned,
        **by,
        "note": _note(best, compared) + _compared_by(how, settings.least_per_level, levelled),
    }


def _note(best: Choice, controls: Sequence[dict[str, Any]]) -> str:
    if best.percent == 0:
        return "on the validation half no rung is better than the tuned model; nothing to restore"
    gain = f"{best.gain.percent[0]:+.1f} points ({best.gain.percent[1]:+.1f} to {best.gain.percent[2]:+.1f})"
    if not best.beats_tuned:
        return f"no rung beats the tuned model beyond noise: {best.percent:g} % gives {gain} on the test half"
    rivals = [control["order"] for control in controls if control["ahead_low"] <= 0]
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


def _export(step: Step, settings: LadderSettings, base: str, tuned: str) -> Path | None:
    """Write the chosen model into the finished step, or find it there."""
    metrics = step.metrics
    if settings.export == "none":
        return None
    if settings.export == "best":
        best = metrics["best"]
        if best is None or best["percent"] == 0 or not (metrics["beats_tuned"] or settings.force):
            return None
        percent = float(best["percent"])
    else:
        percent = float(settings.export)
    written = restore(
        base,
        tuned,
        percent,
        settings.order,
        settings.region,
        settings.per_tensor,
        settings.seed,
        out=step.path / f"restored-{percent:g}",
        revision=settings.revision,
        tuned_revision=settings.tuned_revision,
        trust_remote_code=settings.trust_remote_code,
    )
    return written.path
