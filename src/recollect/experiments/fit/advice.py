"""Advice in words: what was worth it, what more would bring, what was lost. Each sentence holds its numbers.

Notable choices
- Nothing is called better unless its whole interval says so. An interval that holds zero (of an ROC area, a half) does
  not show that there is nothing: it is said that it cannot be told, and how many questions would tell.
- The intervals are those corrected for the number of comparisons, over the questions and, where two seeds or more show
  it, over the luck of a training.
- A validation score of what was picked by it flatters; so it is said.
- It was worth it only where the model has more than the commonest answer of each relation, too, and than the base with
  that answer in its place where it is better (`rule.py`).
- The prompt is compared before anything else: who can do without training should.
"""

from __future__ import annotations

from collections.abc import Iterator

from recollect.core.numbers import estimate, interval, many, number, with_interval
from recollect.core.workspace.fit import CALLED, FitFound, RuleFound
from recollect.experiments.fit.paid import against_plain, choice_of_data, seeds
from recollect.experiments.fit.words import UNTOLD, both, points, used, would_tell

_GUESS = 0.5
"""The ROC area of a forecast that knows nothing."""
_FEW_LOST = 20
"""Facts lost, or kept, below which it is said that they are few: the interval of the area is wide then."""
_SAME = 1.0
"""Percent of a score, up and down, within which two amounts of data count as equal."""
_UNKNOWN_SHARE = 0.2
"""Share of facts at level 0 from which retrieval is advised."""


def advice(found: FitFound) -> tuple[str, ...]:
    """The sentences, the most important first."""
    if found.stopped:
        return (
            f"The fit was stopped before its test. The model is the best so far on validation: {found.chosen_by} "
            "The same command goes on.",
        )
    parts = (
        _verdict,
        _as_words,
        _rule,
        _by_test,
        _undecided,
        _made_of,
        _prompt,
        against_plain,
        choice_of_data,
        _amount,
        _forgetting,
        _at_risk,
        _answers,
        _unknown,
        seeds,
        _left_out,
    )
    return tuple(line for part in parts for line in part(found))


def _verdict(found: FitFound) -> Iterator[str]:
    best, base = found.best, found.contender("base")
    said = f"Take {CALLED[found.chosen]}: {estimate(best.test)} % on {many(found.sets.test, 'test question')}"
    if base is None or base is best or base.gap is None:
        other = found.contender("ours") or found.contender("plain")
        told = ""
        if other is not None and other.gap is not None:
            told = f" It has {points(other.gap)} over {CALLED[other.name]}.{would_tell(other.power)}"
        yield f"{said}. No training was worth more on {'the test' if found.by_test else 'validation'}.{told}"
        return
    if base.gap.sign > 0:
        worth = " It was worth it." if found.worth_it and found.chosen != "few-shot" else ""  # a prompt trains nothing
        yield f"{said}, {both(base)} over the untouched base.{worth}"
    elif base.gap.sign < 0:
        yield f"{said}, {both(base)} against the untouched base, which is better: keep the base."
    else:
        yield f"{said}, {both(base)} over the untouched base: {UNTOLD}.{would_tell(base.power)}"


def _rule(found: FitFound) -> Iterator[str]:
    """What of the score a rule has that knows nothing."""
    rule = found.rule
    if rule is None or rule.over is None:
        return
    base = found.contender("base")
    gained = base is not None and base.gap is not None and base.gap.sign > 0
    has = f"{rule.called}, which needs no model, is right for {estimate(rule.test)} % of the test questions"
    if rule.over.sign > 0:
        if gained:
            yield f"It knows more than which answers are common: {has}; the taken one has {points(rule.over)} over it."
    elif rule.over.sign < 0:
        yield (
            f"A rule does better: {has}, {number(-100 * rule.over.value)} points more "
            f"({interval(-100 * rule.over.high, -100 * rule.over.low)})."
        )
    elif gained:
        yield (
            f"But a rule may do as well: {has}; the taken one has {points(rule.over)} over it, so {UNTOLD}. Nothing "
            "shows that it learned single answers rather than which ones are common."
            f"{would_tell(rule.power)}"
        )
    if gained and rule.over.sign > 0:
        yield from _joined(rule)
    yield from _by_kind(rule)


def _joined(rule: RuleFound) -> Iterator[str]:
    """Base and rule together, where they are as good."""
    joined = rule.joined
    if joined is None or joined.over is None or joined.over.sign > 0:
        return
    where = ", ".join(joined.kinds)
    does = "does better" if joined.over.sign < 0 else "may do as well"
    yield (
        f"But the untouched base, with the commonest training answer in its place for {where} (validation has it "
        f"ahead there), {does}: {estimate(joined.test)} %, untrained; the taken one has {points(joined.over)} over it."
        f" Nothing shows that it learned single answers rather than which ones are common.{would_tell(joined.power)}"
    )


def _by_kind(rule: RuleFound) -> Iterator[str]:
    """Where one answer is given too often, and where more than the rule is known."""
    for one in rule.kinds:
        if one.one_answer:
            yield (
                f"Few different answers: of {many(one.n, 'test question')} of {one.name!r} it answers {one.times:,} "
                f"with {one.given!r}, right for {one.right:,} of them; they have "
                f"{many(one.truths, 'different right answer')}."
            )
    if len(rule.kinds) > 1 and all(one.over is not None for one in rule.kinds):
        more = [one.name for one in rule.kinds if one.over is not None and one.over.sign > 0]
        which = f" ({', '.join(more)})" if more and len(more) < len(rule.kinds) else ""
        kinds = "relations" if rule.by_relation else "kinds of questions"
        yield (
            f"Taken one by one, it has more than the commonest answer beyond chance in {len(more)} of "
            f"{len(rule.kinds)} {kinds}{which}; the report has the table."
        )


def _by_test(found: FitFound) -> Iterator[str]:
    if found.by_test:
        yield (
            f"The test made this choice, on the questions that give its score: {found.chosen_by} For a figure without "
            "that, ask the model questions that are in none of the parts."
        )


def _undecided(found: FitFound) -> Iterator[str]:
    if found.undecided:
        yield f"{found.chosen_by[:1].upper()}{found.chosen_by[1:]} More validation questions would tell."


def _made_of(found: FitFound) -> Iterator[str]:
    taken = next((one for one in found.candidates if one.chosen), None)
    singles = [one for one in found.candidates if one.kind in ("plain", "trial", "seed")]
    if found.chosen != "ours" or taken is None or taken in singles:
        return
    best = max(singles, key=lambda one: one.value)
    yield (
        f"It is {taken.name}: on validation {number(taken.score)} % right and {number(taken.forgot)} % forgotten, "
        f"against {number(best.score)} and {number(best.forgot)} % of the best single training ({best.name}). Both "
        "were picked by these scores, which flatter them by 1 to 2 points, or more."
    )


def _prompt(found: FitFound) -> Iterator[str]:
    shown, best = found.contender("few-shot"), found.best
    if shown is None:
        return
    if found.chosen == "few-shot":
        yield (
            f"No trained model was worth more than {many(shown.examples, 'example')} in the prompt on "
            f"{'the test' if found.by_test else 'validation'}.{_best_trained(found)} The model folder holds the base, "
            "few-shot.json the examples."
        )
    elif found.chosen != "base" and shown.gap is not None:
        if shown.gap.sign > 0:
            yield (
                f"A prompt with {many(shown.examples, 'example')} does not do it: {estimate(shown.test)} %, "
                f"{number(100 * shown.gap.value)} points fewer ({interval(*shown.gap.percent[1:])})."
            )
        else:
            yield (
                f"A prompt with {many(shown.examples, 'example')} may do as well: {estimate(shown.test)} % against "
                f"{estimate(best.test)} %, a difference of {points(shown.gap)}, so {UNTOLD}. It needs no "
                f"training and forgets nothing, but reads its examples with every question.{would_tell(shown.power)}"
            )


def _best_trained(found: FitFound) -> str:
    """What the test says of the best trained model, beside the prompt that is taken."""
    trained = [one for one in found.contenders if one.name in ("plain", "random", "ours") and one.test is not None]
    other = max(trained, key=lambda one: one.test.value if one.test else 0.0, default=None)
    if other is None or other.gap is None:
        return ""
    has = f" On the test {CALLED[other.name]} has {estimate(other.test)} %; the prompt has {points(other.gap)} over it"
    if other.gap.sign > 0:
        return f"{has}."
    if other.gap.sign < 0:
        return f"{has}, so it is ahead, but not less what it forgot."
    return f"{has}, so {UNTOLD}.{would_tell(other.power)}"


def _as_words(found: FitFound) -> Iterator[str]:
    """What the score of a chat is."""
    if found.goal == "chat":
        yield (
            "By the usual judge of chats an answer is right where it shares enough words with the wanted one, so its "
            "form counts as much as its content: read some answers before you believe the score."
        )


def _amount(found: FitFound) -> Iterator[str]:
    best, of = found.best, found.sets.train
    if found.chosen in ("base", "few-shot") or not best.examples:
        return
    scored = [(one.settings.get("size"), one.score) for one in found.trials if one.score is not None]
    if best.examples < of:
        yield (
            f"It was trained on {used(found)}{_mix(found)}; that all of them would do "
            "no better with these settings was not tried."
        )
        return
    smaller = [score for size, score in scored if isinstance(size, int) and size <= of / 2]
    larger = [score for size, score in scored if isinstance(size, int) and size > of / 2]  # single trainings, both
    if smaller and larger:
        gap = max(larger) - max(smaller)
        if gap > _SAME:
            yield (
                f"All {of:,} training examples were used. The best training on at most half of them scored "
                f"{number(gap)} points less on validation than the best on more: more data may bring more."
            )
        else:
            yield (
                f"All {of:,} training examples were used, but the best training on more than half of them scored "
                f"{number(gap, sign=True)} points over the best on fewer, on validation: nothing shows that more of "
                "the same would bring more."
            )


def _mix(found: FitFound) -> str:
    """By memory level, where ours is taken and was probed."""
    if found.chosen != "ours" or not found.mix:
        return ""
    return f" ({', '.join(f'{count:,} of memory level {level}' for level, count in found.mix.items() if count)})"


def _forgetting(found: FitFound) -> Iterator[str]:
    best, plain = found.best, found.contender("plain")
    if not found.known_test:
        yield "The base had none of the test questions right, so nothing could be forgotten that was asked."
        return
    if found.chosen in ("base", "few-shot"):
        return
    if best.forgot is not None:
        what, does = many(found.known_test, "test question"), "misses"
        if found.by_words:
            what, does = f"{found.known_test:,} tokens of the base's own words on the test texts", "no longer expects"
        said = f"Of {what} that {found.known}, it {does} {estimate(best.forgot)} %"
        if plain is not None and plain is not best and plain.forgot is not None:
            said += f"; plain fine-tuning {does} {estimate(plain.forgot)} %"
            if plain.forgot_more is not None and plain.forgot_more.sign:
                way = "less" if plain.forgot_more.sign < 0 else "more"
                said += f". That is {number(abs(100 * plain.forgot_more.value))} points {way}, beyond chance"
        yield f"{said}."
    yield from _regained(found)


def _regained(found: FitFound) -> Iterator[str]:
    taken = next((one for one in found.candidates if one.chosen), None)
    if found.chosen != "ours" or not found.repair or taken is None:
        return
    name = taken.name.removesuffix(f", {found.repair}")
    before = next((one for one in found.candidates if one.name == name), None)
    if before is not None and taken.forgot < before.forgot:
        yield (
            f"Part of what was lost was regained after the training, {found.repair}: on validation "
            f"{number(taken.forgot)} % forgotten after it, {number(before.forgot)} % before."
        )


def _at_risk(found: FitFound) -> Iterator[str]:
    risk = found.risk
    if risk is None or risk.area is None:
        return
    area = f"ROC area {with_interval(risk.area.value, risk.area.low, risk.area.high, 2)}"
    if risk.area.low > _GUESS:
        yield (
            "What plain fine-tuning forgets can be foretold: of the third of the known facts that the base was least "
            f"sure of it lost {estimate(risk.most_at_risk)} %, of the others {estimate(risk.others)} % ({area}). Ask "
            "for those after every training."
        )
        return
    of = f"{risk.lost:,} of {many(risk.known, 'known fact')}"
    if risk.area.high < _GUESS:
        yield (
            f"What plain fine-tuning forgets was not foretold: it lost {of}, rather those that the base was surest of "
            f"({area}, {_GUESS} is a guess). Ask for all of them after a training."
        )
        return
    few = "only " if min(risk.lost, risk.known - risk.lost) < _FEW_LOST else ""
    yield (
        f"It cannot be told whether how sure the base is foretells what plain fine-tuning forgets: {few}{of} were lost "
        f"({area}, {_GUESS} is a guess). Ask for all of them after a training."
    )


def _answers(found: FitFound) -> Iterator[str]:
    if found.lost or found.gained:
        yield (
            f"{many(found.gained, 'test answer')} became right and {found.lost:,} became wrong against the base's "
            "best prompt; the report lists some."
        )


def _unknown(found: FitFound) -> Iterator[str]:
    total = sum(found.levels.values())
    none = found.levels.get("0", 0)
    if total and none / total >= _UNKNOWN_SHARE:
        yield (
            f"{none:,} of {total:,} facts ({100 * none / total:.0f} %) are at memory level 0: the base never says "
            "them, and fine-tuning teaches such facts badly. Look them up (retrieval) rather than train on them."
        )


def _left_out(found: FitFound) -> Iterator[str]:
    if found.left_out:
        held = f", held to {100 * found.most_cost:.0f} % of an exhaustive search's updates," if found.most_cost else ""
        more = "A larger --most-cost" if found.most_cost else "More of it"
        yield f"The budget of {found.budget}{held} had no room for: {'; '.join(found.left_out)}. {more} would try them."
