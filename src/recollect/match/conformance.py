"""The suite that every judge passes; its tests call `check_judge` with outputs whose verdicts are known by hand."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict

AWKWARD = (
    *(
        "",
        " ",
        "\n\n",
        "\x00",
        "\ufffd",
        "\u200f\u200e",
        "\u0301",
        "…",
        "?!",
        "-",
        ".",
        "%",
        "½",
        "²",
        "{",
        "[[[[",
        "```",
    ),
    *("```json\n", "a" * 5_000, "1" * 5_000, "(" * 500, '{"a":' * 500, "[" * 3_000, "1e999999", "0/0", "1/0", "--4"),
    *("答え", "ลำปาง", "كتاب", "हिन्दी", "🙂🙂", "İ", "\ud83d", "A", "a", "(b)", "none", "null", "NaN", "inf"),
)
"""Outputs that models write, and that a judge may answer as it likes but must answer."""


@dataclass(frozen=True)
class Example:
    """An output whose verdict is known."""

    output: str
    accepted: tuple[str, ...]
    right: bool
    score: float | None = None
    """Of a graded judge; None: 1 or 0 as it is right."""
    asked: Asked = NOTHING_ASKED


def check_judge(make: Callable[[], Judge], examples: Sequence[Example], again: Callable[[str], Judge] | None) -> None:
    """Check what every judge promises, and the examples; at least one must be right and one wrong.

    make: a new judge. again: makes a judge from its name, None for one that needs more than its name. Raises
    AssertionError with the example at fault.
    """
    judge = make()
    assert {one.right for one in examples} == {True, False}, "give an example of either verdict"
    if again is not None:
        assert again(judge.name).name == judge.name, f"{judge.name!r} does not name the judge that it names"
    for one in examples:
        assert not judge.check(one.accepted, one.asked), (one, judge.check(one.accepted, one.asked))
        found = _checked(judge, one.output, one.accepted, one.asked)
        wanted = float(one.right) if one.score is None else one.score
        assert (found.right, round(found.score, 9)) == (one.right, round(wanted, 9)), (one, found)
        _does_not_depend(make, one, found)
    for one in (example for example in examples if example.right):
        for output in AWKWARD:
            _checked(judge, output, one.accepted, one.asked)
        _blank_forms_say_nothing(judge, one)


def _checked(judge: Judge, output: str, accepted: Sequence[str], asked: Asked) -> Verdict:
    found = judge.judge(output, accepted, asked)
    kinds = (type(found.right), type(found.score), type(found.reason))
    assert kinds == (bool, float, str), found
    assert 0 <= found.score <= 1, found
    assert judge.graded or found.score == float(found.right), (output, found)
    return found


def _does_not_depend(make: Callable[[], Judge], one: Example, found: Verdict) -> None:
    """On what was judged before, on the order of the forms or their repeats, on the Unicode form of the output."""
    other = make()
    _checked(other, "something else", one.accepted, one.asked)
    assert other.judge(one.output, one.accepted, one.asked) == found, ("judged otherwise later", one)
    forms = (*reversed(one.accepted), *one.accepted)
    turned = other.judge(one.output, forms, one.asked)
    assert (turned.right, turned.score) == (found.right, found.score), ("the order of the forms counts", one)
    for form in ("NFC", "NFD"):
        said = other.judge(unicodedata.normalize(form, one.output), one.accepted, one.asked)
        assert (said.right, said.score) == (found.right, found.score), (f"another verdict in {form}", one)


def _blank_forms_say_nothing(judge: Judge, one: Example) -> None:
    for forms in ((), ("",), ("  ", "\u200b")):
        found = _checked(judge, one.output, forms, one.asked)
        assert (found.right, found.score) == (False, 0), (f"right by the forms {forms}", one)
    assert judge.check(("",), one.asked), "blank forms can be judged, it says"
    with_blank = judge.judge(one.output, (*one.accepted, " "), one.asked)
    assert with_blank.right, ("a blank form beside the others changes the verdict", one)
