"""The Jinja2 environment of the page: autoescape on, hostile text made visible, and the templates' own filters.

Macros that several chapters use are in `page/templates/macros.html.j2`: `estimate`, `chip`, `level_key`, `mark`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from statistics import median
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recollect.report.page.text import clean, cut

LEVEL_TEXTS = ("never right", "right up to 25 %", "25–50 %", "50–75 %", "over 75 % of the time")


def fill(template: str, **context: Any) -> Markup:
    """Fill a template, `page/templates/<name>` or `chapters/<name>`; every text in it is escaped and cleaned."""
    return Markup(environment().get_template(template).render(**context))


def style() -> Markup:
    """The page's style sheet."""
    return Markup(environment().get_template("style.css").render())


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The one environment of all templates."""
    found = Environment(
        loader=ChoiceLoader(
            [PackageLoader("recollect.report", "page/templates"), PackageLoader("recollect.report", "chapters")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
    )
    found.filters.update(
        cut=cut,
        choice=choice,
        count=_count,
        duration=duration,
        median=median,
        number=number,
        value=_value,
        signed=signed,
    )
    found.globals["level_texts"] = LEVEL_TEXTS
    return found


def choice(levels: str) -> str:
    """A training choice as a label: "level 2", "mixed"."""
    return f"level {levels}" if levels.isdigit() else levels


def duration(seconds: float | None) -> str:
    """A time in words."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign: "+3.1", "−0.4"; a dash when not measured."""
    return "–" if value is None else f"{value:+z.{digits}f}".replace("-", "−")


def number(value: Any) -> str:
    """A setting's value: numbers with four figures at most, everything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else _value(value)


def _count(value: int) -> str:
    for size, unit in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _finalize(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
