"""What the papers found, finding by finding, with their own figures; and the newer papers that speak against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from recollect.report.scores.papers import published

RAZOR = "RL's Razor (arXiv 2509.04259)"
PROMPTS = "From Parameters to Prompts (arXiv 2505.23410)"
RATES = "on the learning rate of adapters (arXiv 2602.04998)"
FLIPS = "on forgetting counted sample by sample (arXiv 2510.17776)"


@dataclass(frozen=True)
class Finding:
    """A published finding."""

    id: int
    title: str
    claim: str
    source: str
    figures: str = ""
    """The paper's own, in words; "" where we know of none to compare."""
    values: Sequence[float | None] = ()
    """The same numbers as the checks', from the paper's tables; None where it has no such number."""


@lru_cache(maxsize=1)
def literature() -> dict[int, Finding]:
    """All findings by their number, which is that of docs/studies.md."""
    papers = published().papers
    sixty, levels = papers.sixty_data_points.source, papers.token_and_parameter_levels.source
    pages = papers.attribute_extraction.source
    found = [*_answers(sixty, levels), *_models(sixty, levels), *_costs(levels), *_newer()]
    found += [*_amounts(pages), *_searches(pages)]
    return {one.id: one for one in sorted(found, key=lambda one: one.id)}


def _answers(sixty: str, levels: str) -> list[Finding]:
    """What the answers show: of examples and of memory levels."""
    both = f"{sixty}; {levels}"
    return [
        Finding(
            1,
            "About 60 examples elicit what is stored",
            "About 60 examples bring most of what fine-tuning can bring, in- and out-of-domain; more bring little.",
            sixty,
            "flat after 60 to 120 examples, on four models of 7 to 13 billion parameters",
        ),
        Finding(
            2,
            "Better-memorised facts are answered better",
            "The better the base remembers a fact, the more often it is answered, whatever the training data.",
            both,
            f"LLaMA-3-8B at 1,920 examples: every training level, the flattest {_points(_slope())} points a level",
            [_slope()],
        ),
        Finding(
            3,
            "A fact's own level serves it best",
            "Training on facts of a test fact's own memory level tends to be the best for it.",
            both,
            f"LLaMA-3-8B at 1,920 examples: {_points(_diagonal())} points over the other levels on average",
            [_diagonal()],
        ),
        Finding(
            4,
            "Low-level data hurt well-known facts; the middle level is best",
            "Training on facts that the base does not know costs the recall of those that it knows well; level 2 is "
            "the best to train on overall.",
            both,
            f"LLaMA-3-8B at 1,920 examples: level 0 costs {_points(-_low())} points on level 3 and 4; level 2 leads "
            f"the next best by {_points(_lead())} points",
            [_low(), _lead()],
        ),
    ]


def _models(sixty: str, levels: str) -> list[Finding]:
    """Of several models."""
    return [
        Finding(
            5,
            "Level distributions differ between models",
            "How many facts are of each memory level depends on the model, by more than two probes of one differ.",
            f"{sixty}; {levels}",
            "LLaMA-3-8B has 24.3 % of 75,944 training facts at level 0, LLaMA-2-7B 29.9 %, LLaMA-3-70B 16.5 %",
        ),
        Finding(
            6,
            "Models of similar distributions react alike",
            "Models whose memory levels are distributed alike react alike to the same training data.",
            sixty,
        ),
    ]


def _costs(levels: str) -> list[Finding]:
    """What training costs, in answers, tokens and weights."""
    return [
        Finding(
            7,
            "More data can hurt",
            "Scores peak at a middle size and fall to the largest, most for level 0.",
            levels,
            f"LLaMA-3-8B: a peak at 240; level 0 falls by {published().fall_to_largest.points:g} points to 1,920, "
            f"where level 2 leads level 0 by {_points(_gap())}",
            [published().fall_to_largest.points / 100, None, _gap()],
        ),
        Finding(
            8,
            "The divergence falls, then rises, and costs accuracy",
            "The KL divergence of the first answer token falls to a middle size and then rises; a higher one goes with "
            "fewer right answers on level 4.",
            levels,
            "LLaMA-3-8B: lowest at about 240 examples, the rise steepest for levels 0 and 1",
        ),
        Finding(
            9,
            "Most of the change of the weights does not help",
            "The 20 % most changed weights hold over 90 % of the relative change, and setting them back gains; setting "
            "60 % back is a collapse. Ours: it gains more than the random, absolute, least-changed and interpolated "
            "controls.",
            levels,
            f"LLaMA-3-8B: {100 * _share():.1f} % of the change; 20 % set back gain {_points(_repair())} points on "
            "average of five training levels; at 60 % about 1 % of answers are right",
            [_share(), _repair(), None, _collapse()],
        ),
    ]


def _newer() -> list[Finding]:
    """What newer papers hold against them."""
    return [
        Finding(
            10,
            "Divergence forecasts forgetting, the size of the change does not",
            "The divergence on the new task's own inputs forecasts forgetting better than the size of the weights' "
            "change.",
            RAZOR,
        ),
        Finding(
            11,
            "A few-shot prompt closes the gap",
            "With examples in the prompt the gap between known and unknown facts closes without the right training "
            "data. A study asks only the untouched base so, and sets about 60 training examples against it.",
            PROMPTS,
        ),
        Finding(
            12,
            "Merging does not reliably repair",
            "Mixing the tuned model with the base does not reliably bring back what was lost.",
            FLIPS,
        ),
    ]


def _amounts(pages: str) -> list[Finding]:
    """Of the number of examples, on product pages."""
    curve = published().attribute_curve
    none, few = curve.score[0], curve.score[200]
    return [
        Finding(
            13,
            "A few hundred examples do most of the work",
            "About 200 examples gain over the untouched base, and more than half of what any larger number gains.",
            pages,
            f"{curve.of}: {none:g} % right with no example, {few:g} % with 200",
            [(few - none) / 100, None],
        ),
        Finding(
            14,
            "The score levels off at some thousand examples",
            "The score still rises from about 1,000 examples to about 6,500; more than that bring little.",
            pages,
            f"{curve.of}: best at about {curve.best:,} of up to {curve.largest:,} examples, slower after 1,000",
        ),
        Finding(
            15,
            "Late gains come from rare attributes",
            "What is gained after about 1,000 examples is gained mostly on attributes that few pages have.",
            pages,
            f"the rating, for example, which stands on about {100 * curve.rating_share:g} % of the pages",
        ),
    ]


def _searches(pages: str) -> list[Finding]:
    """Of a search for settings."""
    search = published().attribute_search
    return [
        Finding(
            16,
            "A trial judged at a fifth of its training forecasts its end",
            "The validation score after 20 % of a training goes with the final one, and the best there are mostly the "
            "best at the end.",
            pages,
            f"{search.kept} of the {search.top} best at 20 % are among the {search.top} best at the end",
            [None, search.kept / search.top],
        ),
        Finding(
            17,
            "A search gains over the usual settings",
            "The best settings that a search with early evaluation finds beat the baseline on an independent test.",
            pages,
            f"about {search.gain:g} points",
            [search.gain / 100],
        ),
        Finding(
            18,
            "A high alpha with a high rate breaks a model",
            "Adapters with a high alpha and a high learning rate together give models that answer with gibberish.",
            pages,
            "such models score zero",
        ),
        Finding(
            19,
            "The learning rate decides most",
            "Of all settings the learning rate tells most of a model's score: variants of adapters hardly differ once "
            "it is tuned.",
            RATES,
            "nine variants of adapters end within 1 to 2 % of each other",
        ),
    ]


def _rows() -> dict[int, tuple[float, ...]]:
    return {level: tuple(value / 100 for value in row) for level, row in published().by_level.rows.items()}


def _slope() -> float:
    return min(sum((level - 2) * value for level, value in enumerate(row)) / 10 for row in _rows().values())


def _diagonal() -> float:
    rows = _rows()
    return fmean(rows[own][own] - fmean(rows[other][own] for other in rows if other != own) for own in rows)


def _low() -> float:
    known = {level: fmean(row[3:]) for level, row in _rows().items()}
    return known[0] - fmean(value for level, value in known.items() if level)


def _lead() -> float:
    macros = {level: fmean(row) for level, row in _rows().items()}
    return min(macros[2] - value for level, value in macros.items() if level != 2)


def _gap() -> float:
    rows = _rows()
    return fmean(rows[2]) - fmean(rows[0])


def _share() -> float:
    return published().change_by_top_percent.share[20]


def _repair() -> float:
    rungs = published().ladder.rungs
    return (fmean(rungs[20][0]) - fmean(rungs[0][0])) / 100


def _collapse() -> float:
    rungs = published().ladder.rungs
    return (fmean(rungs[60][0]) - fmean(rungs[0][0]) / 2) / 100


def _points(value: float) -> str:
    return f"{100 * value:.1f}"
