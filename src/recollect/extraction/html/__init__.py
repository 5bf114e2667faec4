"""Product pages: raw HTML to compact, faithful prompts within a token budget. Names load when they are used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recollect.extraction.html.items import Item as Item
    from recollect.extraction.html.items import PageData as PageData
    from recollect.extraction.html.items import read_page_data as read_page_data
    from recollect.extraction.html.limits import Limits as Limits
    from recollect.extraction.html.prompt import Page as Page
    from recollect.extraction.html.prompt import PagePrompt as PagePrompt
    from recollect.extraction.html.prompt import page_prompt as page_prompt
    from recollect.extraction.html.prompt import read_page as read_page
    from recollect.extraction.html.settings import PagesSettings as PagesSettings
    from recollect.extraction.html.step import PagesResult as PagesResult
    from recollect.extraction.html.step import check_raw_pages as check_raw_pages
    from recollect.extraction.html.step import raw_pages as raw_pages
    from recollect.extraction.html.step import run_pages as run_pages
    from recollect.extraction.html.tokens import estimate_tokens as estimate_tokens
    from recollect.extraction.html.tokens import tokenizer_counter as tokenizer_counter

_HOME = {
    "items": ("Item", "PageData", "read_page_data"),
    "limits": ("Limits",),
    "prompt": ("Page", "PagePrompt", "page_prompt", "read_page"),
    "settings": ("PagesSettings",),
    "step": ("PagesResult", "check_raw_pages", "raw_pages", "run_pages"),
    "tokens": ("estimate_tokens", "tokenizer_counter"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'recollect.extraction.html' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recollect.extraction.html.{_MODULE_OF[name]}"), name)
