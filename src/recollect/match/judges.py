"""The list of judges: a name, and how one is made from its options ("token-f1:0.6"). Adding one: a file, a line here.

Several are asked for with commas between them, and the first is the main one: by it are levels of accuracy, choices,
comparisons and searches. A judge that asks a server is added to these where it can be reached (`evaluate.judges`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recollect.errors import InputError
from recollect.match.choice import Choice
from recollect.match.containment import Contained, contains, equal, word
from recollect.match.json_field import JsonField
from recollect.match.judge import Asked, Judge
from recollect.match.numeric import Numeric
from recollect.match.pattern import Pattern
from recollect.match.squad import ExactMatch, TokenF1

DEFAULT_JUDGE = "contains"
CONTAINED = ("contains", "word")
"""The two that judge every answer, whatever else is asked for."""


def _json(option: str) -> Judge:
    path, _, inner = option.partition(":")
    return JsonField(path, judge_of(inner or "equal"))


JUDGES: dict[str, Callable[[str], Judge]] = {
    "contains": lambda option: _without(Contained("contains", contains), option),
    "word": lambda option: _without(Contained("word", word), option),
    "equal": lambda option: _without(Contained("equal", equal), option),
    "exact-match": lambda option: _without(ExactMatch(), option),
    "token-f1": TokenF1.of,
    "numeric": Numeric.of,
    "choice": lambda option: _without(Choice(), option),
    "regex": lambda option: _without(Pattern(), option),
    "json": _json,
}
"""By name: from the options to the judge. docs/judges.md says what each takes for right."""


def judge_of(name: str) -> Judge:
    """The judge of a name with its options, such as "word" or "token-f1:0.6"; InputError for an unknown one."""
    kind, _, option = name.strip().partition(":")
    if kind not in JUDGES:
        raise InputError(f"judge must be one of {', '.join(JUDGES)}, but got {kind!r}.")
    return JUDGES[kind](option)


def split_names(text: str) -> list[str]:
    """The names in "token-f1,numeric:1%"; InputError for none, and for one that is there twice."""
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"judge must name one or more judges with commas between them, each once, but got {text!r}.")
    return names


def check_all(judge: Judge, wanted: Sequence[tuple[tuple[str, ...], Asked]]) -> None:
    """Raise InputError where the judge could never judge one of these answers (accepted forms, what was asked)."""
    faults = [(accepted, asked, why) for accepted, asked in wanted if (why := judge.check(accepted, asked))]
    if faults:
        accepted, asked, why = faults[0]
        raise InputError(
            f"the judge {judge.name} cannot judge {len(faults):,} of {len(wanted):,} answers; the first, "
            f"{accepted[0][:60]!r} to {asked.question[:60]!r}, {why.rstrip('.')}. Take another judge for these facts, "
            "or leave them out."
        )


def _without(judge: Judge, option: str) -> Judge:
    if option:
        raise InputError(f"the judge {judge.name} takes no options, but got {option!r}.")
    return judge
