"""The chapters of the report, in their order on the page. A chapter is a folder here and one line in `CHAPTERS`."""

from __future__ import annotations

from importlib import import_module

from recollect.report.page.chapter import Chapter

CHAPTERS = [
    "fit",
    "parts",
    "models",
    "knows",
    "search",
    "elicits",
    "sizes",
    "flips",
    "curve",
    "attributes",
    "drift",
    "findings",
    "examples",
    "method",
]


def chapters() -> list[Chapter]:
    """Every chapter, in order."""
    found: list[Chapter] = [import_module(f"{__name__}.{name}.view").CHAPTER for name in CHAPTERS]
    return found
