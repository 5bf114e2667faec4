"""Numeric equality: the number that an output gives is the number of an accepted form.

Notable choices
- One number of the output counts, so a list of numbers is not right by luck: the first after the last mark of an answer
  ("answer is", "####", a boxed formula), else the first of the output (`numeric:last`: the last, for models that
  reason).
- Equal means equal: a tolerance is asked for, `numeric:1%` of the accepted number or `numeric:0.5` itself.
- Units are compared where both sides state one: 5 km is 5000 m, and not 5 kg. Where one side states none, the numbers
  as written are. 50 % is 50, and 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import regex

from recollect.errors import InputError
from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict
from recollect.match.marked import after_mark
from recollect.match.numbers import Quantity, quantities
from recollect.match.text import canonical

_TOLERANCE = regex.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(?P<percent>%?)")
_WORDS = ("last", "decimal-comma")


class Numeric(Judge):
    """Right when the output's number equals that of an accepted form, within the tolerance."""

    def __init__(self, tolerance: str = "", *, last: bool = False, decimal_comma: bool = False) -> None:
        self.tolerance, self.last, self.decimal_comma = tolerance, last, decimal_comma
        self._percent = tolerance.endswith("%")
        self._within = Fraction(tolerance.rstrip("%") or 0)

    @classmethod
    def of(cls, option: str) -> Numeric:
        """From its options, in any order: "1%:last:decimal-comma"."""
        tolerance, words = "", set()
        for part in filter(None, option.split(":")):
            if part in _WORDS and part not in words:
                words.add(part)
            elif not tolerance and _TOLERANCE.fullmatch(part):
                tolerance = part
            else:
                raise InputError(
                    "the options of numeric are a tolerance (numeric:1% of the number, or numeric:0.5), last and "
                    f"decimal-comma, each once, but got {part!r}."
                )
        return cls(tolerance, last="last" in words, decimal_comma="decimal-comma" in words)

    @property
    def name(self) -> str:
        """With its options."""
        words = [word for word, on in zip(_WORDS, (self.last, self.decimal_comma), strict=True) if on]
        return ":".join(["numeric", *filter(None, [self.tolerance]), *words])

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """See the class; a form without one number of its own makes no output right."""
        said = canonical(output)
        marked = after_mark(said)
        found = self._read(marked) if marked is not None else []
        given = found[0] if found else self._one(self._read(said))
        if given is None:
            return Verdict.of(False, "no number in the output")
        right = any(self._same(given, form) for form in self._forms(accepted))
        return Verdict.of(right, f"its number is {given.text}")

    def check(self, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> str:
        """At least one form must hold one number."""
        if self._forms(accepted):
            return ""
        count = len(self._read(accepted[0])) if accepted else 0
        return "holds no number" if not count else f"holds {count} numbers, and it cannot be told which one counts"

    def _read(self, text: str) -> list[Quantity]:
        return quantities(text, decimal_comma=self.decimal_comma)

    def _one(self, found: Sequence[Quantity]) -> Quantity | None:
        return found[-1 if self.last else 0] if found else None

    def _forms(self, accepted: Sequence[str]) -> list[Quantity]:
        read = [self._read(form) for form in accepted]
        return [found[0] for found in read if len(found) == 1]

    def _same(self, given: Quantity, wanted: Quantity) -> bool:
        if given.kind and wanted.kind:
            return given.kind == wanted.kind and self._near(given.value, wanted.value, wanted.factor)
        if self._near(given.number, wanted.number, Fraction(1)):
            return True
        share = "percent" in (given.kind, wanted.kind)
        return share and self._near(given.value, wanted.value, wanted.factor)

    def _near(self, given: Fraction, wanted: Fraction, unit: Fraction) -> bool:
        """A tolerance of its own is in the unit of the accepted form."""
        within = abs(wanted) * self._within / 100 if self._percent else self._within * unit
        return abs(given - wanted) <= within
