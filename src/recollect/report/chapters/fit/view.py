"""Chapter: which model to take, and whether it was worth it."""

from __future__ import annotations

from dataclasses import dataclass

from recollect.core.numbers import estimate, interval, many, number, with_interval
from recollect.core.progress import duration
from recollect.core.workspace.fit import CALLED, COMMONEST, Contender, FitFound, KindFound, RuleFound
from recollect.report.chapters.fit.charts import Drawn, contenders_chart, plane_chart
from recollect.report.chapters.fit.record import Fit, collect
from recollect.report.page.chapter import Card, Chapter, InShort
from recollect.report.page.results import Results

_TERMS = [
    ("Forgetting", "The share of what the base knew that a trained model does not answer any more."),
    (
        "Commonest answers",
        "A rule that needs no model: to each question the most frequent training answer of its kind.",
    ),
    ("Few-shot", "Examples with their answers stand in the prompt; nothing is trained."),
    ("Pareto front", "The models that no other beats in score without forgetting more."),
]


@dataclass(frozen=True)
class Row:
    """One contender, in words."""

    name: str
    mark: str
    examples: str
    test: str
    behind: str
    over_questions: str
    wins: str
    kept: str
    forgot: str


@dataclass(frozen=True)
class KindRow:
    """One relation, or kind of question, in words."""

    name: str
    n: str
    base: str
    rule: str
    chosen: str
    over: str
    commonest: str
    given: str
    times: str
    one_answer: bool


@dataclass(frozen=True)
class FitView:
    """What the template needs."""

    fit: FitFound
    chosen_by: str
    rows: list[Row]
    luck: bool
    """Whether the luck of the trainings is in the intervals."""
    kept: bool
    """Whether questions of other kinds were asked."""
    kinds: list[KindRow]
    contenders: Drawn | None
    plane: Drawn | None
    names: list[str]
    """Settings of the trials."""
    knee: str
    spent: list[tuple[str, str]]
    cost: str
    risk: list[tuple[str, str]]
    """What was foretold to be forgotten, and what was."""


def context(results: Results) -> FitView | None:
    """Shown for a fit."""
    record = results.of(Fit)
    if record is None:
        return None
    found = record.found
    return FitView(
        fit=found,
        chosen_by=found.chosen_by[:1].upper() + found.chosen_by[1:],
        rows=[*(_row(one, found) for one in found.contenders), *_rule_row(found.rule)],
        luck=any(one.over_questions is not None for one in found.contenders),
        kept=any(one.kept is not None for one in found.contenders),
        kinds=[_kind(one) for one in found.rule.kinds] if found.rule is not None else [],
        contenders=contenders_chart(found),
        plane=plane_chart(found),
        names=list(dict.fromkeys(name for trial in found.trials for name in trial.settings)),
        knee=next((one.name for one in found.candidates if one.knee), ""),
        spent=[(name, duration(seconds)) for name, seconds in found.used.items() if seconds >= 1],
        cost=_cost(found),
        risk=_risk(found),
    )


def _risk(found: FitFound) -> list[tuple[str, str]]:
    """Rows of a table; none without a forecast that could be checked."""
    risk = found.risk
    if risk is None or risk.area is None:
        return []
    return [
        ("known facts asked / lost", f"{risk.known:,} / {risk.lost:,}"),
        ("lost of the third most at risk, %", estimate(risk.most_at_risk)),
        ("lost of the others, %", estimate(risk.others)),
        ("ROC area of the forecast", with_interval(risk.area.value, risk.area.low, risk.area.high, 2)),
    ]


def _row(one: Contender, found: FitFound) -> Row:
    chosen = one.name == found.chosen
    return Row(
        name=CALLED[one.name],
        mark="taken" if chosen else "",
        examples=_examples(one, found),
        test=estimate(one.test),
        behind="–" if chosen else estimate(one.gap, sign=True),
        over_questions="" if one.over_questions is None else interval(*one.over_questions.percent[1:], sign=True),
        wins="–" if chosen or one.test is None else f"{one.wins:,} / {one.losses:,}",
        kept=estimate(one.kept),
        forgot=estimate(one.forgot) if one.forgot else "–",
    )


def _examples(one: Contender, found: FitFound) -> str:
    """What a training used; of a mean the least and most of its trainings."""
    members = found.members if one.name == "ours" else ()
    if len(members) > 1 and one.test is not None:
        least, most = min(members), max(members)
        return f"{len(members)} × {most:,}" if least == most else f"{len(members)} × {least:,} to {most:,}"
    return f"{one.examples:,}" if one.examples else "–"


def _rule_row(rule: RuleFound | None) -> list[Row]:
    """The rule below the contenders, and joined with the base."""
    if rule is None:
        return []
    rows = [Row(COMMONEST, "", "–", estimate(rule.test), estimate(rule.over, sign=True), "", *"–––")]
    if (joined := rule.joined) is not None:
        name = f"base, commonest answers for {', '.join(joined.kinds)}"
        rows.append(Row(name, "", "–", estimate(joined.test), estimate(joined.over, sign=True), "", *"–––"))
    return rows


def _kind(one: KindFound) -> KindRow:
    return KindRow(
        name=one.name,
        n=f"{one.n:,}",
        base=estimate(one.base),
        rule=estimate(one.rule),
        chosen=estimate(one.chosen),
        over=estimate(one.over, sign=True),
        commonest=one.commonest,
        given=one.given,
        times=f"{one.times:,}×, right {one.right:,}×",
        one_answer=one.one_answer,
    )


def _cost(found: FitFound) -> str:
    if not found.full_updates:
        return ""
    trainings, share = many(found.full_trainings, "training"), found.updates / found.full_updates
    told = f"{100 * share:.0f} %" if share <= 1 else f"{share:.1f} times as many, so trying everything was cheaper"
    return (
        f"All trainings together made {found.updates:,} updates; an exhaustive search, {trainings} over amount, choice "
        f"of data and rate, each to its end, would make {found.full_updates:,}: "
        f"{told}."
    )


def in_short(results: Results) -> InShort:
    """The answer, its gains and its price."""
    record = results.of(Fit)
    if record is None:
        return InShort()
    found = record.found
    best = found.best
    cards = [
        Card(
            f"{CALLED[found.chosen].capitalize()}: test{', which chose it' if found.by_test else ''}",
            *_card(None if best.test is None else best.test.percent),
            "right",
        )
    ]
    for name, what in (("base", "over the base"), ("plain", "over plain fine-tuning")):
        other = found.contender(name)
        if other is not None and other.gap is not None:
            cards.append(Card(what.capitalize(), *_card(other.gap.percent, sign=True), "points, paired"))
    if found.rule is not None and found.rule.over is not None:
        cards.append(Card("Over common answers", *_card(found.rule.over.percent, sign=True), "points, paired"))
    if best.forgot is not None:
        cards.append(Card("Forgotten", *_card(best.forgot.percent), "of what the base knew"))
    return InShort(cards=cards, sentences=list(found.advice))


def _card(found: tuple[float, float, float] | None, *, sign: bool = False) -> tuple[str, str, str]:
    """Value, unit, interval."""
    if found is None:
        return "–", "", ""
    value, low, high = (number(end, sign=sign) for end in found)
    return value, "" if sign else "%", f"{low} to {high}"


def terms(results: Results) -> list[tuple[str, str]]:
    """Its words."""
    return list(_TERMS) if results.of(Fit) else []


CHAPTER = Chapter(__name__, "Which model to take", context, in_short, terms, record=Fit, collect=collect)
