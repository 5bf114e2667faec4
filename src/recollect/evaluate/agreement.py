"""How far a judge agrees with people: a sample of answers that was judged by hand, judged again by each judge.

The file has the columns `output` and `right` (true or false, 1 or 0, yes or no), and either `fact_id` or an accepted
answer (`object`, `answer` or `answers`, several with "|" between them) with its `question`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recollect.core.estimates import Estimate, agreement, kappa
from recollect.core.tables import CellError, Row, cell_list, cell_text, read_table
from recollect.core.workspace.result import Result
from recollect.errors import InputError
from recollect.evaluate.judges import asked_of
from recollect.facts import FactSet
from recollect.match import Answer, Asked, Judge

_VERDICTS = {
    **dict.fromkeys(("true", "1", "yes", "y", "right", "correct"), True),
    **dict.fromkeys(("false", "0", "no", "n", "wrong", "incorrect"), False),
}
_ACCEPTED = ("accepted", "answers", "object", "answer")


class Agreement(Result):
    """What a judge says of the answers that were judged by hand."""

    share: Estimate
    """Of the same verdict."""
    kappa: Estimate | None = None
    """Cohen's; None where both say one and the same of all."""
    too_kind: int
    """Answers that it calls right and the people wrong."""
    too_strict: int
    """Answers that it calls wrong and the people right."""


@dataclass(frozen=True)
class HandLabelled:
    """Answers and what people say of them."""

    answers: tuple[Answer, ...]
    right: tuple[bool, ...]

    def compare(self, judge: Judge) -> Agreement:
        """The judge's verdicts beside those of the people."""
        said = [one.right for one in judge.judge_all(self.answers)]
        pairs = list(zip(said, self.right, strict=True))
        return Agreement(
            share=agreement(said, self.right),
            kappa=kappa(said, self.right),
            too_kind=sum(one and not by_hand for one, by_hand in pairs),
            too_strict=sum(by_hand and not one for one, by_hand in pairs),
        )


def read_hand_labels(path: Path, facts: FactSet | None) -> HandLabelled:
    """The hand-labelled sample at `path`; InputError for a row that cannot be used, or a fact not asked."""
    table = read_table(path)
    if missing := [name for name in ("output", "right") if name not in table.columns]:
        raise InputError(
            f"{path} has no column {missing[0]!r}. A sample judged by hand has the columns output, right and either "
            f"fact_id or question and answer; it has {', '.join(table.columns)}."
        )
    found = [(_answer(row, path, facts), _right(row, path)) for row in table.rows]
    return HandLabelled(tuple(answer for answer, _ in found), tuple(right for _, right in found))


def _answer(row: Row, path: Path, facts: FactSet | None) -> Answer:
    output = _text(row, "output", path)
    if row.values.get("fact_id") not in (None, ""):
        fact_id = _text(row, "fact_id", path)
        if facts is None or fact_id not in facts:
            raise InputError(f"{path}: {row.where}: the fact {fact_id} is not among those that are asked.")
        fact = facts[fact_id]
        return Answer(output, fact.accepted, asked_of(fact))
    column = next((name for name in _ACCEPTED if row.values.get(name) not in (None, "")), None)
    if column is None:
        raise InputError(f"{path}: {row.where} has neither a fact_id nor an accepted answer ({', '.join(_ACCEPTED)}).")
    try:
        forms = cell_list(row.values[column]) or [part.strip() for part in _text(row, column, path).split("|")]
    except CellError as error:
        raise InputError(f"{path}: {row.where}: {column} {error}.") from None
    question = _text(row, "question", path) if row.values.get("question") else ""
    return Answer(output, tuple(form for form in forms if form), Asked(question))


def _right(row: Row, path: Path) -> bool:
    said = _text(row, "right", path).casefold().removesuffix(".0")
    if said not in _VERDICTS:
        raise InputError(f"{path}: {row.where}: right must be true or false (or 1 or 0, yes or no), but got {said!r}.")
    return _VERDICTS[said]


def _text(row: Row, column: str, path: Path) -> str:
    value = row.values.get(column)
    if isinstance(value, bool):
        return str(value).casefold()
    try:
        return cell_text("" if value is None else value)
    except CellError as error:
        raise InputError(f"{path}: {row.where}: {column} {error}.") from None
