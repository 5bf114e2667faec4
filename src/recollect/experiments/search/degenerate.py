"""Is this model broken? A loss that runs away, and answers that are empty, the same, loops or no JSON.

Study B's failure region: a high alpha with a high rate gives models that emit gibberish and score zero.

Notable choices
- Answers are judged against the base's: what the untouched base could not do either is no damage done by training. An
  answer that must be JSON and is not is broken at the end in any case.
- Loops are sought in the text, not in tokens, so that stored answers can be judged again without a model.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

BROKEN = 0.9
"""Share of broken answers from which a model is degenerate."""
_SAME = 0.95
_LEAST_ANSWERS = 8
_LOOP = re.compile(r"(.{1,24}?)\1{3,}.{0,24}$", re.DOTALL)


def exploded(losses: Sequence[tuple[int, float]]) -> str:
    """Why the loss of (update, loss) rows counts as run away; empty when it does not.

    It has when the median of the last three losses is more than half above the first two's mean, and more than one nat.
    Of fewer than five losses the last must be above three times the first.
    """
    if len(losses) < 2:
        return ""
    few = len(losses) < 5
    start = losses[0][1] if few else (losses[0][1] + losses[1][1]) / 2
    now = losses[-1][1] if few else median(loss for _, loss in losses[-3:])
    if now > (3.0 if few else 1.5) * start and now > start + 1.0:
        return f"the loss exploded: {start:.2f} at the start, {now:.2f} at update {losses[-1][0]}"
    return ""


def runs_away(losses: Sequence[tuple[int, float]]) -> str:
    """Why a training should be stopped before its rung; empty when it should not.

    Stricter than `exploded`, since a loss that jumps while the rate warms up may come back: each of the last five
    losses is more than twice the first two's mean, and more than three nats above it.
    """
    if len(losses) < 7:
        return ""
    start = (losses[0][1] + losses[1][1]) / 2
    now = min(loss for _, loss in losses[-5:])
    if now > 2 * start and now > start + 3.0:
        return (
            f"the loss exploded: {start:.2f} at the start, {losses[-1][1]:.2f} at update {losses[-1][0]}, stopped there"
        )
    return ""


def loops(text: str) -> bool:
    """Whether a text ends in a unit of up to 24 characters said four times or more, over at least half of it."""
    text = text.strip()
    found = _LOOP.search(text)
    return found is not None and len(found[0]) >= max(8, len(text) / 2)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def broken_share(answers: Sequence[str], truths: Sequence[str], *, in_json: bool) -> tuple[float, str]:
    """The share of answers that are empty, loops, no JSON object (where asked for) or all the same, and which it is.

    The same answer counts when nearly all say it though fewer than half of the questions have one answer in common.
    """
    if len(answers) < _LEAST_ANSWERS:
        return 0.0, ""
    kinds = Counter(
        "empty"
        if not text.strip()
        else "repeated"
        if loops(text)
        else "unparsable"
        if in_json and not _is_object(text)
        else ""
        for text in answers
    )
    bad = {kind: count for kind, count in kinds.items() if kind}
    said, count = Counter(text.strip() for text in answers).most_common(1)[0]
    usual = Counter(truths).most_common(1)[0][1]
    if sum(bad.values()) < count and count >= _SAME * len(answers) and 2 * usual < len(truths):
        return count / len(answers), f"the same: {said[:40]!r}"
    return sum(bad.values()) / len(answers), max(bad, key=lambda kind: bad[kind], default="")


def degenerate_answers(
    answers: Sequence[str], truths: Sequence[str], *, base_broken: float, at_end: bool, in_json: bool
) -> str:
    """Why a model with these answers is degenerate; empty when it is not.

    `base_broken` is the base's `broken_share` on the same questions. A base that fails at half of them or more excuses
    the model, except at the end of a training for JSON.
    """
    share, kind = broken_share(answers, truths, in_json=in_json)
    if share >= BROKEN and (base_broken < 0.5 or (at_end and in_json)):
        return f"{100 * share:.0f} % of {len(answers)} answers are {kind}"
    return ""
