"""What a restoration ladder shows, in plain sentences: the verdict, the controls, and whether the form was lost."""

from __future__ import annotations

from recollect.core.estimates import Estimate
from recollect.report.chapters.drift.chart_ladder import end, score
from recollect.report.chapters.drift.papers import main_rungs
from recollect.report.chapters.drift.record import Ladder
from recollect.report.page.environment import signed
from recollect.restore import Choice


def ladder_lines(ladder: Ladder) -> list[str]:
    """The verdict first, then what each control says, then what follows from both."""
    best = ladder.best
    if best is None:
        return [ladder.note or "No rung could be chosen: too few facts to choose on one half and judge on the other."]
    if best.percent == 0:
        lines = ["On the half of the facts that chooses, no rung is better than the tuned model: nothing to set back."]
    else:
        gain = signed_interval(best.gain)
        judged = "a gain beyond noise" if best.beats_tuned else "no gain beyond noise: the interval holds zero"
        if best.gain and best.gain.sign < 0:
            judged = "a loss"
        lines = [
            f"Chosen on one half of the in-domain facts: {best.percent:g} % set back ({best.order}). On the other half "
            f"({best.gain.n if best.gain else 0:,} facts) that is {gain} against the tuned model: {judged}."
        ]
    if best.ood_gain is not None:
        gain = signed_interval(best.ood_gain)
        lines.append(f"Out-of-domain ({best.ood_gain.n:,} facts, none of which chose): {gain}.")
    lines += [_control(control, control.ahead) for control in ladder.controls if control.ahead is not None]
    return lines + _meaning(ladder, best)


def signed_interval(difference: Estimate | None) -> str:
    """For example "+3.1 points (+0.4 to +5.8)"."""
    value, low, high = difference.percent if difference else (None, None, None)
    return f"{signed(value)} points ({signed(low)} to {signed(high)})"


def length_line(ladder: Ladder) -> str | None:
    """Whether the answers of the last rung lost their form; None when that cannot be asked."""
    tuned, rungs = end(ladder, "tuned"), main_rungs(ladder)
    before = score(tuned, ladder.mean, "test") if tuned else None
    after = score(rungs[-1], ladder.mean, "test") if rungs else None
    if not (tuned and before and after) or tuned.answer_length is None or rungs[-1].answer_length is None:
        return None
    long, short = rungs[-1].answer_length, tuned.answer_length
    lengths = f"answers are {long:.0f} characters long on average, the tuned model's {short:.0f}"
    at = f"With {rungs[-1].percent:g} % set back"
    if after[2] >= before[1]:
        return f"{at} accuracy does not clearly fall, and {lengths}."
    if long > 1.5 * short:
        return (
            f"{at} accuracy falls to {after[0]:.1f} %, and {lengths}: the form of the answer goes, so how much "
            "knowledge went with it cannot be told."
        )
    return (
        f"{at} accuracy falls to {after[0]:.1f} %, while {lengths}: the form of the answer stays, so it is the answers "
        "that got worse."
    )


def _control(control: Choice, ahead: Estimate) -> str:
    text = signed_interval(ahead)
    judged = {1: "clearly ahead", -1: "clearly behind", 0: "no clear difference"}[ahead.sign]
    what = f"{control.percent:g} %" if control.percent else "nothing set back"
    return f"Against the control “{control.order}” at its own best ({what}): {text}, {judged}."


def _meaning(ladder: Ladder, best: Choice) -> list[str]:
    if not best.beats_tuned:
        return [
            f"The control “{other.order}” at {other.percent:g} % does gain against the tuned model: "
            f"{signed_interval(other.gain)}."
            for other in ladder.controls
            if other.beats_tuned
        ]
    if not ladder.controls:
        return []
    rivals = [control.order for control in ladder.controls if control.rivals_best]
    if not rivals:
        return ["It is ahead of every control, so which weights are set back matters here."]
    return [
        f"It is not clearly ahead of {', '.join(rivals)}: undoing a part of the change helps, but that these weights "
        "are the right ones is not shown."
    ]
