"""All findings on all studies: test, correct for the number of checks, and give each finding its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recollect.core.estimates import Estimate, Measure, Verdict, decide
from recollect.core.numbers import many
from recollect.report.chapters.findings.checks import amount, levels, models, parameters, prompts, sizes, tokens, trials
from recollect.report.chapters.findings.checks.check import Check
from recollect.report.chapters.findings.checks.extracted import Extracted
from recollect.report.chapters.findings.checks.studied import Studied
from recollect.report.scores.findings import CheckFound, CheckRow, FindingFound, Findings, joined

Test = Callable[[Studied], Sequence[Check]]

ONE: dict[int, Test] = {
    1: sizes.sixty_elicit,
    2: levels.known_better,
    3: levels.own_level,
    4: levels.middle_best,
    7: sizes.more_hurts,
    8: tokens.divergence,
    9: parameters.restoring,
    10: tokens.forecast,
    11: prompts.few_shot,
    12: parameters.merging,
}
"""The findings about one study, by their number in docs/studies.md."""
SEVERAL: dict[int, Callable[[Sequence[Studied]], Sequence[Check]]] = {
    5: models.distributions_differ,
    6: models.alike_react_alike,
}
"""Those about several models."""
EXTRACTED: dict[int, Callable[[Extracted], Sequence[Check]]] = {
    13: amount.few_hundred,
    14: amount.saturated,
    15: amount.rare_late,
    16: trials.early_forecasts,
    17: trials.search_gains,
    18: trials.region_breaks,
    19: trials.rate_decides,
}
"""Those about a study's data curve and its search for settings."""


def judge(studies: Sequence[Studied], extracted: Sequence[Extracted] = ()) -> Findings:
    """Every finding on every study, and those about several models on all of them.

    The verdicts of all checks together hold at 95 %: see `core.estimates.families`.
    """
    asked = [(number, study.name, test(study)) for number, test in ONE.items() for study in studies]
    asked += [(number, "", test(studies)) for number, test in SEVERAL.items()]
    asked += [(number, one.name, test(one)) for number, test in EXTRACTED.items() for one in extracted]
    asked = sorted((one for one in asked if one[2]), key=lambda one: one[0])
    checks = [check for _, _, several in asked for check in several]
    claims = [check.decidable for check in checks]
    decided = iter(decide([claim for claim in claims if claim is not None]))
    found = iter([_found(check, next(decided) if claim else None) for check, claim in zip(checks, claims, strict=True)])
    findings = [_finding(number, part, [next(found) for _ in several]) for number, part, several in asked]
    return Findings(tested=sum(claim is not None for claim in claims), findings=findings)


def _finding(number: int, part: str, checks: list[CheckFound]) -> FindingFound:
    return FindingFound(id=number, part=part, verdict=joined([check.verdict for check in checks]), checks=checks)


def _found(check: Check, decided: tuple[Estimate, Verdict] | None) -> CheckFound:
    claim = check.claimed
    own = CheckFound(
        what=check.what,
        unit=check.unit,
        needs=check.needs,
        side=check.side,
        boundary=check.boundary,
        rows=[CheckRow(name=name, value=value) for name, value in check.rows],
    )
    if claim is None:
        return own
    own = own.model_copy(update={"side": claim.side, "boundary": claim.boundary, "value": claim.measure.value})
    if decided is None:
        return own.model_copy(update={"needs": check.once})
    effect, verdict = decided
    needs = _narrower(check, claim.measure, effect) if verdict == "not decided here" else ""
    return own.model_copy(update={"effect": effect, "verdict": verdict, "needs": needs})


def _narrower(check: Check, measure: Measure, effect: Estimate) -> str:
    """What would narrow an interval that holds the boundary."""
    source = measure.mostly(effect.confidence)
    if source == "trainings":
        if check.needs:
            return check.needs
        if check.section == "search":
            return f"the spread between {measure.repeats} searches is most of the interval: raise {check.repeats}"
        count = many(measure.repeats, "training")
        return f"the spread between trainings ({count} of each cell) is most of the interval: raise {check.repeats}"
    if source == "facts":
        what = "questions" if check.section else "facts"
        return f"the test {what} ({effect.n:,}) are most of the interval: ask more"
    if source == "trials":
        return f"{many(effect.n, 'trial')} of the search are few: raise trials in the section search"
    return f"{effect.n:,} trained cells are few for a correlation: add sizes or choices"
