"""The test: every contender is asked the held-out questions once, and compared with the chosen one.

Notable choices
- Nothing before this stage has seen a test question; each contender's answers are one step, found again and never
  asked a second time.
- Who is chosen is decided on validation (`first.py`). The test takes it back only where it shows another contender
  ahead beyond noise, after a correction for the number of comparisons, and worth more after what each forgot; it is
  said then that this choice was made by the test. Noise is that of the questions and the luck of the trainings, where
  two seeds or more show that (`luck.py`).
- A rule that knows nothing (`rule.py`) is compared too. It is never taken, but decides whether a training was worth it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from recollect.chat.turns import last_asked
from recollect.core.estimates import Estimate, Pairs
from recollect.core.numbers import estimate
from recollect.core.random import FIXED_SEED, draw
from recollect.core.workspace.fit import CALLED, NAMES, Contender, Flipped, Name, RuleFound
from recollect.experiments.fit.answers import (
    Answers,
    Gap,
    decided,
    gap_of,
    lost_more,
    power_of,
    what_it_expects,
    what_it_knew,
)
from recollect.experiments.fit.first import UNTOUCHED, First, first_choice, worth
from recollect.experiments.fit.luck import Luck
from recollect.experiments.fit.ours import Ours
from recollect.experiments.fit.rule import Tried, rule_found, try_rule
from recollect.experiments.fit.stages import RANDOM, Ground, hearing, speaking
from recollect.experiments.search.validation import Knowledge

RULE = "commonest"
"""Among the comparisons: the rule that knows nothing."""
JOINED = "joined"
"""Among the comparisons: the base with that rule in its place where it is better."""
_FLIPS = 8
"""Questions of each direction that are listed."""


@dataclass(frozen=True)
class Tested:
    """All answers to the test."""

    answers: Mapping[Name, Answers]
    validation: Mapping[Name, Answers]
    knowledge: Knowledge
    """Of the test questions."""
    chosen: Name
    why: str
    by_test: bool
    """Whether the test made the choice."""
    undecided: bool = False
    """Whether validation could not tell the chosen one from another that had more on it."""
    tried: Tried | None = None
    """The rule that knows nothing; None for pages and chats."""
    luck: Luck = field(default_factory=Luck)

    @cached_property
    def gaps(self) -> Mapping[str, Gap]:
        """What the chosen one has more than each other one, and than the rule."""
        best = self.answers[self.chosen]
        gaps: dict[str, Gap] = {}
        for name, answers in self.answers.items():
            gap = gap_of(answers, best)
            if name != self.chosen and gap is not None and answers is not best:
                gaps[name] = self.luck.on(gap, name, self.chosen)
        if self.tried is not None:
            gaps[RULE] = self.luck.on(self.tried.gap(best), self.chosen)
            if self.tried.better and self.chosen != "base":
                gaps[JOINED] = self.luck.on(self.tried.joined_gap(best), self.chosen)
        return gaps

    @cached_property
    def held(self) -> Mapping[str, Estimate]:
        """The same as estimates, corrected for their number."""
        return decided(self.gaps)

    @property
    def rule(self) -> RuleFound | None:
        """The rule beside the base and the chosen one."""
        if self.tried is None:
            return None
        held = self.held
        gaps = {name: (self.gaps[name], held[name]) for name in (RULE, JOINED) if name in held}
        base, chosen = self.answers["base"], self.answers[self.chosen]
        over = gaps[RULE], gaps.get(JOINED)
        return rule_found(self.tried, base, chosen, *over, lambda gap: self.luck.on(gap, self.chosen))


def test_all(ground: Ground, validated: Mapping[Name, Answers], ours: Ours, random: Path | None) -> Tested:
    """Ask everybody, and settle who is chosen."""
    models: dict[Name, Path] = {"plain": ground.steps / "train-plain", "ours": ours.model}
    if random is not None:
        models["random"] = random
    found: dict[Name, Answers] = {}
    with ground.clock.stage("the test"):
        for name in NAMES:
            if name not in validated:
                continue
            if name == "ours" and ours.chosen.kind == "plain":
                found[name] = found["plain"]
                continue
            shots = ground.settings.few_shot if name == "few-shot" else 0
            settings = ground.evaluation(None if name in UNTOUCHED else str(models[name]), shots)
            if ground.by_words:
                settings = hearing(settings, found["base"].path) if found else speaking(settings)
            marked = f"-{ours.mark}" if name in ("random", "ours") else ""  # another best is not taken for this one
            out, what = ground.steps / f"test-{name}{marked}", f"the test: {CALLED[name]}"
            found[name] = ground.ask(out, ground.data.final, settings, what, base=name in UNTOUCHED)
    asked = [found[name] for name in UNTOUCHED if name in found]
    charge = ground.settings.forgetting
    knowledge = what_it_expects(asked[0], charge) if ground.by_words else what_it_knew(asked, ground.levels, charge)
    first = first_choice(ground.knowledge, validated, averaged=ours.averaged)
    luck = Luck.of(ours.seeds, ours.forgotten, len(ours.members))
    chosen, why = _settle(ground, first, found, knowledge, luck)
    tried = None
    if ground.goal == "facts" and "base" in found and not found["base"].pages:
        judges = ground.parts.evaluate.judges()
        tried = try_rule(ground.choosing, ground.data.final, validated["base"], found["base"], judges)
    by_test = chosen != first.name
    return Tested(found, validated, knowledge, chosen, why, by_test, not by_test and first.undecided, tried, luck)


def _settle(
    ground: Ground, first: First, tested: Mapping[Name, Answers], knowledge: Knowledge, luck: Luck
) -> tuple[Name, str]:
    """Who is taken, and why: another one than validation chose only where all of its interval lies above, corrected
    for the number of comparisons, and what it forgot more does not cost more than that."""
    gaps: dict[Name, Gap] = {}
    chosen = first.name
    for name, answers in tested.items():
        gap = gap_of(tested[chosen], answers)
        if name != chosen and gap is not None:
            gaps[name] = luck.on(gap, name, chosen)
    held = decided(gaps)
    ahead = {name: held[name] for name in gaps if held[name].low > 0}
    mine = worth(chosen, tested[chosen], knowledge)
    taken = {name: gap for name, gap in ahead.items() if worth(name, tested[name], knowledge) > mine}
    charged = " less what each forgot" if ground.settings.forgetting else ""
    if not taken:
        said = first.why(charged)
        if ahead:
            name = max(ahead, key=lambda name: ahead[name].value)
            said += (
                f" On the test {CALLED[name]} has {estimate(ahead[name], sign=True)} points more, but not less what "
                "each forgot."
            )
        return chosen, said
    better = max(taken, key=lambda name: taken[name].value)
    corrected = f" (corrected for {len(gaps)} comparisons)" if len(gaps) > 1 else ""
    return better, (
        f"{CALLED[chosen]} was taken by validation{charged}, but on the test {CALLED[better]} is ahead of it by "
        f"{estimate(taken[better], sign=True)} points{corrected}. This choice was made by the test, which flatters it: "
        "in simulated fits its score by 1 to 4 points, its lead by about twice that."
    )


def contenders(ground: Ground, tested: Tested, ours: Ours) -> tuple[Contender, ...]:
    """The five with their numbers."""
    counts: dict[Name, int] = {
        "base": 0,
        "few-shot": ground.settings.few_shot,
        "plain": ground.most,
        RANDOM: ours.drawn,  # type: ignore[dict-item]
        "ours": max(ours.members),
    }
    best = tested.answers[tested.chosen]
    return tuple(_contender(name, counts[name], ground, tested, best) for name in NAMES if name in tested.answers)


def _contender(name: Name, examples: int, ground: Ground, tested: Tested, best: Answers) -> Contender:
    mine, validated = tested.answers[name], tested.validation[name]
    made = Contender(
        name=name,
        examples=examples,
        validation=validated.score(),
        forgot_validation=None if name in UNTOUCHED else validated.forgot(ground.knowledge),
        test=mine.score(),
        kept=mine.score("ood"),
        forgot=None if name in UNTOUCHED else mine.forgot(tested.knowledge),
    )
    if name == tested.chosen:
        return made
    pairs = Pairs.of(mine.right().tolist(), best.right().tolist())
    gap, held = tested.gaps.get(name), tested.held.get(name)
    found = made.model_copy(update={"wins": pairs.only_second, "losses": pairs.only_first})
    if gap is None or held is None:
        return found
    lost = None
    if name not in UNTOUCHED and tested.chosen not in UNTOUCHED:
        lost = lost_more(mine, best, tested.knowledge)
    return found.model_copy(
        update={
            "behind": gap.questions(),
            "held": held,
            "over_questions": None if gap.luck is None else gap.questions(held.confidence),
            "forgot_more": None if lost is None else tested.luck.on_forgetting(lost, name, tested.chosen).at(),
            "power": power_of(gap, held.confidence, _unit(ground, mine)),
        }
    )


def _unit(ground: Ground, answers: Answers) -> str:
    """What belongs together is called, where anything does."""
    return "page" if answers.pages else "conversation" if ground.goal == "chat" else "subject"


def flips(ground: Ground, tested: Tested) -> tuple[tuple[Flipped, ...], int, int]:
    """What the chosen model changed of the base's best answers: some questions, and how many were lost and gained."""
    prompt: Name = "base"
    if "few-shot" in tested.answers and tested.chosen != "few-shot":
        right = {name: int(tested.answers[name].right().sum()) for name in UNTOUCHED}
        prompt = "few-shot" if right["few-shot"] > right["base"] else "base"
    if tested.chosen == prompt or tested.answers[prompt].pages:
        return (), 0, 0
    before, after = (_outputs(tested.answers[name]) for name in (prompt, tested.chosen))
    found: list[Flipped] = []
    counts = {True: 0, False: 0}
    for name in sorted(before, key=lambda fact_id: draw(FIXED_SEED, "fit-flips", fact_id)):
        was, said = before[name]
        now, says = after[name]
        if was == now:
            continue
        counts[now] += 1
        if counts[now] <= _FLIPS:
            fact = ground.data.final[name]
            found.append(Flipped(question=last_asked(fact), accepted=fact.object, before=said, after=says, gained=now))
    return tuple(found), counts[False], counts[True]


def _outputs(answers: Answers) -> dict[str, tuple[bool, str]]:
    from recollect.evaluate import EvaluateResult

    table = EvaluateResult(answers.path).outputs().filter(part="test").sort("fact_id")
    rows = zip(table["fact_id"].to_list(), table["right"].to_list(), table["output"].to_list(), strict=True)
    return {name: (right, output.strip()[:120]) for name, right, output in rows}
