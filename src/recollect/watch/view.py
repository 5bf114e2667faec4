"""From an experiment as it is to its page: sections in the report's own frame, live or as one static file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from markupsafe import Markup

from recollect._version import __version__
from recollect.core.numbers import NOTHING, estimate, many, number
from recollect.core.progress import counted, duration
from recollect.core.said import Now
from recollect.report.page.render import Shown, fill, style
from recollect.watch.charts import Drawn, Tried, curve_chart, trials_chart
from recollect.watch.models import Model, best_of
from recollect.watch.state import Watched

_HOME = "recollect.watch"
_ROWS = 300
"""Models and trials that are listed."""
_STATUS = {
    "running": "running",
    "finished": "finished",
    "ended early": "stopped, the best so far kept",
    "stopped": "not running",
}


@dataclass(frozen=True)
class Bar:
    """One piece of work and how far it is."""

    what: str
    done: int = 0
    total: int = 0
    unit: str = ""
    seconds: float | None = None
    left: float | None = None

    @property
    def share(self) -> str:
        """In words: "12 of 24 updates"; "" where no length is known."""
        return counted(self.done, self.total, self.unit, " of ") if self.total else ""


@dataclass(frozen=True)
class Row:
    """A model or trial in the table."""

    name: str
    of: str
    state: str
    mark: str
    """How the state is coloured: good, bad or ""."""
    choice: str
    size: str
    score: str
    other: str
    tested: str
    values: str
    early: str
    final: str


def page(seen: Watched, once: bool = False, report: str = "report") -> str:
    """The whole page. once: as one static file. report: where the experiment's report is, seen from the page."""
    link = report if seen.report else ""
    shown = [Shown(name, title, _fill(name, values)) for name, title, values in _sections(seen)]
    frame = {"version": __version__, "title": seen.title, "style": style(), "chapters": shown}
    state = {"w": seen, "status": _STATUS[seen.status], "link": link, "once": once, "extra": own_style()}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    stoppable = [one for one in seen.workers if one.can_stop]
    return str(_fill("page", {**frame, **state, "made": made, "stoppable": stoppable}))


def own_style() -> Markup:
    """What the page's style sheet has beyond the report's."""
    return fill(f"{_HOME}:watch.css")


def script() -> str:
    """The page's one script."""
    return (resources.files(_HOME) / "watch.js").read_text(encoding="utf-8")


def _fill(name: str, values: Mapping[str, object]) -> Markup:
    return fill(f"{_HOME}:{name}.html.j2", when=_when, clock=duration, clock_of=_clock_of, **values)


def _when(moment: str | float) -> str:
    """A time for people, as this machine's clock says it."""
    try:
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        return "–"
    return when.astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()


def _clock_of(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""


def _sections(seen: Watched) -> list[tuple[str, str, dict[str, object]]]:
    """Name (its anchor and its template), title and what the template needs."""
    found: list[tuple[str, str, dict[str, object]]] = []
    trials = [one for one in seen.models if one.trial]
    cells = [one for one in seen.models if not one.trial and not one.base]
    bases = [one for one in seen.models if one.base]
    base = next((one for one in bases if one.name == "base"), next(iter(bases), None))
    score = base.scores.shown(seen.macro) if base and base.scores else None
    found.append(("progress", "Progress", {"w": seen, "bars": _bars(seen), "cards": _cards(seen)}))
    chart = curve_chart(seen.curve, score)
    if chart is not None:
        values: dict[str, object] = {"chart": chart, "w": seen, "points": seen.curve, "base": score}
        title = "The curve" if seen.over else "The curve so far"
        found.append(("curve", title, values))
    if trials:
        drawn = _trials_drawn(trials, None if score is None else score.percent[0])
        rows = [_row(one, seen) for one in trials]
        found.append(("trials", "Trials", {"chart": drawn, "rows": rows[:_ROWS], "all": len(rows)}))
    if cells:
        rows = [_row(one, seen) for one in (*bases, *cells)]
        table = {"rows": rows[:_ROWS], "all": len(rows), "w": seen, "several": any(row.of for row in rows)}
        found.append(("models", "Models", table))
    if seen.samples is not None:
        found.append(("answers", "Answers", {"s": seen.samples}))
    found.append(("log", "Log", {"w": seen}))
    return found


def _bars(seen: Watched) -> list[Bar]:
    """What the processes say they are at; and each cell at work."""
    bars = [_bar(one) for one in seen.now]
    known = {one.name for one in seen.told}
    bars += [Bar(f"{one.name}: {one.part or 'between two parts'}", one.done, one.total, one.unit) for one in seen.told]
    if not bars and not seen.over:
        bars = [
            Bar(step.name.rpartition("/")[2] + (f", {many(step.batches, 'batch')}" if step.batches else ""))
            for step in seen.half
            if step.own_name not in known
        ]
    return bars


def _bar(one: Now) -> Bar:
    return Bar(one.what, one.done, one.total, one.unit, one.seconds, one.seconds_left)


def _cards(seen: Watched) -> list[tuple[str, str, str]]:
    """Numbers on top: what, value, note."""
    tried = [one for one in seen.models if one.trial]
    trained = tried or [one for one in seen.models if not one.base]
    done = [one for one in trained if one.scores]
    cards = []
    left = [one.seconds_left for one in seen.now if one.seconds_left is not None]
    if seen.status == "running":
        known = ("about", duration(max(left)), "by the speed so far") if left else ("", NOTHING, "not known yet")
        cards.append((f"time left{', ' if known[0] else ''}{known[0]}", *known[1:]))
    elif seen.seconds:
        cards.append(("it took", duration(seen.seconds), "as measured at its end"))
    if trained:
        what = "trials judged" if tried else "models trained and asked"
        cards.append((what, f"{len(done):,}", f"{len(trained):,} begun"))
    best = best_of(seen.models, seen.macro)
    if best is not None and best.scores is not None:
        score = best.scores.shown(seen.macro)
        what = f"best{' on validation' if tried else ''}{'' if seen.over else ' so far'}"
        name = f"trial {best.name}" if best.trial else best.name
        cards.append((what, f"{estimate(score).partition(' ')[0]} %", f"{name}: {estimate(score)}"))
    cards.append(("steps finished", f"{len(seen.ended):,}", ""))
    return cards


def _trials_drawn(trials: list[Model], base: float | None) -> Drawn | None:
    tried = [_tried(one) for one in trials if one.name.isdigit() and one.of == trials[0].of]
    return trials_chart(tuple(tried), base)


def _tried(one: Model) -> Tried:
    scores = {share: outcome.score for share, outcome in one.rungs if outcome.kind == "scored"}
    return Tried(int(one.name), next((value for share, value in scores.items() if share < 1), None), scores.get(1.0))


def _row(one: Model, seen: Watched) -> Row:
    state, mark = _state(one, seen)
    tried = _tried(one) if one.trial and one.name.isdigit() else None
    score = one.scores.shown(seen.macro) if one.scores else None
    return Row(
        name=one.name,
        of=one.of,
        state=state,
        mark=mark,
        choice="untrained" if one.base else one.choice,
        size="" if one.size is None else f"{one.size:,}",
        score=estimate(score),
        final=number(tried.final if tried else None),
        other=estimate(one.scores.other(seen.macro) if one.scores else None),
        tested=estimate(one.tested.shown(seen.macro) if one.tested else None),
        values=", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in one.values.items()
        ),
        early=number(tried.early if tried else None),
    )


def _state(one: Model, seen: Watched) -> tuple[str, str]:
    if one.trouble:
        return f"broken: {one.trouble}", "bad"
    if one.at is not None:
        count = f" {one.at.done:,}/{one.at.total:,}" if one.at.total else ""
        was = "" if seen.status == "running" else "was at "
        return f"{was}{one.at.part or 'begun'}{count}", ""
    if one.trial and one.scores and not any(share == 1 for share, _ in one.rungs):
        return "paused", ""
    failed = next((fail.reason for fail in seen.failed if fail.name.rpartition("/")[2] == one.name), "")
    if failed:
        return f"failed: {failed}", "bad"
    return ("done", "good") if one.scores or one.tested else ("begun", "")
