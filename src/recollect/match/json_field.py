"""One field of a JSON answer, compared by another judge.

Notable choices
- The JSON may be the whole output, stand in a code fence, or follow some words: the first object or array that can be
  read counts. It is read strictly; what is cut off or quoted with the wrong sign is no JSON.
- A path is names and places: `address.city`, `items[0].name`, `[1]`. A name with a dot in it cannot be reached.
- An accepted form may itself be JSON (what a training on JSON teaches); then the same field of it is the form.
- A text is compared as it is, any other value as JSON writes it (3.0 as 3); null is no answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import regex

from recollect.errors import InputError
from recollect.match.judge import NOTHING_ASKED, Asked, Judge, Verdict

_STEP = regex.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<place>[0-9]{1,6})\]")
_FENCE = regex.compile(r"```[\w-]*[ \t]*\n(.*?)(?:```|\Z)", regex.DOTALL)
_MOST_STARTS = 50
_NOTHING = object()


class JsonField(Judge):
    """Judges the field at `path` of the output's JSON by the judge `inner`."""

    def __init__(self, path: str, inner: Judge) -> None:
        self.path, self.inner = path, inner
        self.graded, self.version = inner.graded, f"1, {inner.name} {inner.version}"
        self._steps = _steps(path)

    @property
    def name(self) -> str:
        """With the path, and the judge of the value where it is not the usual one."""
        return f"json:{self.path}" + ("" if self.inner.name == "equal" else f":{self.inner.name}")

    def judge(self, output: str, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> Verdict:
        """See the class; an output without the field is wrong."""
        found = first_json(output)
        if found is _NOTHING:
            return Verdict.of(False, "no JSON in the output")
        said = _value(found, self._steps)
        if said is None:
            return Verdict.of(False, f"the JSON has no {self.path}")
        one = self.inner.judge(said, self._forms(accepted), asked)
        return Verdict(one.right, one.score, f"{self.path} is {said[:60]!r}; {one.reason}".removesuffix("; "))

    def check(self, accepted: Sequence[str], asked: Asked = NOTHING_ASKED) -> str:
        """Forms that are JSON without the field say nothing."""
        forms = self._forms(accepted)
        return self.inner.check(forms, asked) if forms else f"is JSON without the field {self.path}"

    def _forms(self, accepted: Sequence[str]) -> list[str]:
        forms = []
        for form in accepted:
            read = _read(form) if form.strip()[:1] in ("{", "[") else _NOTHING
            value = form if read is _NOTHING else _value(read, self._steps)
            forms += [] if value is None else [value]
        return forms


def first_json(text: str) -> Any:
    """The first JSON object or array of a text, those in code fences before others; `_NOTHING` where there is none."""
    for part in [*_FENCE.findall(text), text]:
        starts = [found.start() for found in regex.finditer(r"[{\[]", part)][:_MOST_STARTS]
        for start in starts:
            try:
                return json.JSONDecoder().raw_decode(part, start)[0]
            except (ValueError, RecursionError):
                continue
    return _NOTHING


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (path[at] == "." and at == 0):
            break
        steps.append(found["name"] if found["name"] is not None else int(found["place"]))
        at = found.end()
    if not steps or at < len(path):
        raise InputError(
            f"the judge json needs the path of a field, such as json:address.city or json:items[0], but got {path!r}."
        )
    return steps


def _value(found: Any, steps: Sequence[str | int]) -> str | None:
    """The value at a path as a text; None where there is none, or null (which has no fields either)."""
    for step in steps:
        if isinstance(step, str):
            found = found.get(step) if isinstance(found, dict) else None
        else:
            found = found[step] if isinstance(found, list) and step < len(found) else None
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return json.dumps(found, ensure_ascii=False, sort_keys=True)
