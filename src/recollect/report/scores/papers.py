"""The papers behind Recollect: names and published figures (papers.yaml), and claims beside a run's own figures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import yaml

from recollect.report.page.record import Record
from recollect.report.scores.findings import Findings

Agreement = Literal["agrees", "differs", "cannot tell"]
ONCE = "Each was trained once, so the spread between trainings is unknown."
Levels = tuple[float, float, float, float, float]


class Paper(Record):
    """A paper, and how it is called on the page."""

    name: str
    title: str
    arxiv: str

    @property
    def source(self) -> str:
        """For example "60 Data Points (arXiv 2409.15825)"."""
        return f"{self.name} (arXiv {self.arxiv})"


class Papers(Record):
    """The three papers, by short names."""

    sixty_data_points: Paper
    attribute_extraction: Paper
    token_and_parameter_levels: Paper


class Figures(Record):
    """Published figures: of which model and training, and where they are printed."""

    of: str
    where: str


class ChangeByPercent(Figures):
    """Share (0 to 1) of the summed relative change by top percent of the weights."""

    share: dict[float, float]


class RestoredByModule(Figures):
    """Share (0 to 1) of the restored weights by kind of weight."""

    share: dict[str, float]


class PublishedLadder(Figures):
    """Macro accuracy in percent, in-domain and out-of-domain, trained on level 0 to 4, by percent restored."""

    rungs: dict[int, tuple[Levels, Levels]]


class PublishedLevels(Figures):
    """Accuracy in percent on test level 0 to 4, by training level."""

    rows: dict[int, Levels]


class PublishedFall(Figures):
    """Points between two sizes."""

    points: float


class PublishedCurve(Figures):
    """Score in percent by number of examples, and where it is best."""

    score: dict[int, float]
    best: int
    largest: int
    rating_share: float
    """Share (0 to 1) of the pages that have the rarest attribute named."""


class PublishedSearch(Figures):
    """Of the `top` best early how many are among as many best at the end; points over the baseline on the test."""

    kept: int
    top: int
    gain: float


class Published(Record):
    """All of papers.yaml."""

    papers: Papers
    change_by_top_percent: ChangeByPercent
    restored_by_module: RestoredByModule
    ladder: PublishedLadder
    by_level: PublishedLevels
    fall_to_largest: PublishedFall
    attribute_curve: PublishedCurve
    attribute_search: PublishedSearch


@lru_cache(maxsize=1)
def published() -> Published:
    """The papers and their figures, read when they are first asked for."""
    text = (resources.files("recollect.report.scores") / "papers.yaml").read_text(encoding="utf-8")
    return Published.model_validate(yaml.safe_load(text))


@dataclass(frozen=True)
class Claim:
    """A published finding beside this run's own numbers."""

    source: str
    finding: str
    agreement: Agreement
    """Judged alone, by its own 95 % intervals."""
    here: str
    tested: int | None = None
    """The number of the finding (docs/studies.md §7) that tests it; None for a claim that none tests."""
    places: tuple[int, ...] = ()
    """Which of that finding's checks are about this claim; empty for all."""


@dataclass(frozen=True)
class Told:
    """A claim as a page shows it."""

    claim: Claim
    verdict: str
    mark: str
    number: int | None
    """Of the finding whose corrected verdict this is; None where the claim was judged alone."""


_MARKS = {"agrees": "good", "confirmed": "good", "differs": "bad", "refuted": "bad"}


def claim(
    source: str, finding: str, tested: int | None = None, places: tuple[int, ...] = ()
) -> Callable[[Agreement, str], Claim]:
    """Makes the claim of a finding: from whether this run agrees, and its own numbers."""
    return lambda agreement, here: Claim(source, finding, agreement, here, tested, places)


def told(claims: Sequence[Claim], findings: Findings | None) -> list[Told]:
    """Each claim with the corrected verdict of the finding that tests it, so that a page has one set of verdicts; one
    that none tests, or a page without findings, with its own."""
    found = []
    for one in claims:
        verdict = findings.verdict(one.tested, one.places) if findings and one.tested else None
        shown = verdict or one.agreement
        found.append(Told(one, shown, _MARKS.get(shown, ""), one.tested if verdict else None))
    return found


NO_MIDDLE = "This needs a size near 240 (160 to 360), a smaller one and a larger one."


def middle_of(sizes: Collection[int]) -> int | None:
    """The size nearest the papers' 240, between a smaller and a larger one; None where nothing stands for it."""
    inside = [size for size in sorted(sizes) if 160 <= size <= 360 and min(sizes) < size < max(sizes)]
    return min(inside, key=lambda size: abs(size - 240), default=None)


def by_majority(clear: int, against: int, of: int) -> Agreement:
    """Where a claim is about several comparisons, more than half of them must be clear the same way: with 95 %
    intervals that happens by chance in at most 5 % of studies, however they hang together (Markov's inequality)."""
    if 2 * clear > of:
        return "agrees"
    return "differs" if 2 * against > of else "cannot tell"
