"""Product pages: raw HTML to compact, faithful prompts within a token budget. Names load when they are used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recollect.pages._items import Item as Item
    from recollect.pages._items import PageData as PageData
    from recollect.pages._items import read_page_data as read_page_data
    from recollect.pages._limits import Limits as Limits
    from recollect.pages._prompt import Page as Page
    from recollect.pages._prompt import PagePrompt as PagePrompt
    from recollect.pages._prompt import page_prompt as page_prompt
    from recollect.pages._prompt import read_page as read_page
    from recollect.pages._settings import PagesSettings as PagesSettings
    from recollect.pages._step import PagesResult as PagesResult
    from recollect.pages._step import raw_pages as raw_pages
    from recollect.pages._step import run_pages as run_pages
    from recollect.pages._tokens import estimate_tokens as estimate_tokens
    from recollect.pages._tokens import tokenizer_counter as tokenizer_counter

_HOME = {
    "_items": ("Item", "PageData", "read_page_data"),
    "_limits": ("Limits",),
    "_prompt": ("Page", "PagePrompt", "page_prompt", "read_page"),
    "_settings": ("PagesSettings",),
    "_step": ("PagesResult", "raw_pages", "run_pages"),
    "_tokens": ("estimate_tokens", "tokenizer_counter"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'recollect.pages' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recollect.pages.{_MODULE_OF[name]}"), name)
