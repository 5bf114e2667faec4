"""Labels: values of pages with their source, whether they are accepted, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recollect.extraction.values import Schema, is_placeholder, occurs, readings

LABELS = pl.Schema(
    {
        "page_id": pl.String(),
        "attribute": pl.String(),
        "value": pl.String(),
        "source": pl.String(),
        "status": pl.String(),
        "reason": pl.String(),
        "in_prompt": pl.Boolean(),
    }
)
"""Columns of labels.parquet; attribute and value are null where a whole answer was rejected."""


@dataclass(frozen=True)
class Lost:
    """A label that a source could not give, and why."""

    reason: str
    attribute: str | None = None
    """None where it is the whole page's."""
    value: str | None = None


@dataclass(frozen=True)
class PageText:
    """A page to label: what a model sees of it, and where it belongs."""

    page_id: str
    host: str
    part: str
    prompt: str


def check_labels(
    schema: Schema,
    pages: Iterable[PageText],
    values: Mapping[str, Mapping[str, Sequence[str]]],
    source: str,
    *,
    verbatim: bool,
    rejected: Mapping[str, str] | None = None,
    lost: Mapping[str, Sequence[Lost]] | None = None,
) -> pl.DataFrame:
    """One row per value, in the order of pages and schema; columns as in `LABELS`.

    A value is rejected when its normaliser cannot read it and, with `verbatim`, when it does not occur in the page's
    prompt. `rejected` names pages whose whole answer was refused, with the reason; `lost` holds what a source had to
    leave out, by page.
    """
    rows: list[tuple[str, str | None, str | None, str, str, str, bool | None]] = []
    for page in pages:
        if rejected and page.page_id in rejected:
            rows.append((page.page_id, None, None, source, "rejected", rejected[page.page_id], None))
        for one in (lost or {}).get(page.page_id, ()):
            rows.append((page.page_id, one.attribute, one.value, source, "rejected", one.reason, None))
        for attribute in schema:
            for value in values.get(page.page_id, {}).get(attribute.name, ()):
                seen = occurs(attribute, value, page.prompt)
                if is_placeholder(value):
                    reason = "a placeholder"
                elif not readings(attribute, value):
                    reason = f"not a value of type {attribute.type}"
                elif verbatim and not seen:
                    reason = "does not stand in the page"
                else:
                    reason = ""
                status = "rejected" if reason else "accepted"
                rows.append((page.page_id, attribute.name, value, source, status, reason, seen))
    return pl.DataFrame(rows, schema=LABELS, orient="row")
