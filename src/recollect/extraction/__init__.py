"""Attributes of product pages: HTML to prompts, values and when they are equal, labels and examples. Extra `pages`."""

from functools import cache
from importlib.util import find_spec

from recollect.core.extras import need

_MODULES = (
    "babel",
    "charset_normalizer",
    "extruct",
    "json_repair",
    "lxml",
    "price_parser",
    "stdnum",
    "w3lib",
    "warcio",
)
"""What the extra brings. Settings, schemas and JSON answers do without, and so does all that never meets a page."""


@cache
def need_pages(what: str = "") -> None:
    """Raise MissingExtra, in the name of `what`, where the extra `pages` is not installed whole."""
    for module in _MODULES:
        if find_spec(module) is None:  # looked for and not imported: extruct alone takes half a second
            need(module, "pages", what)
