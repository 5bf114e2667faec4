"""Languages: ISO 639 codes from codes and names, by Unicode's locale data through Babel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from recollect.extraction.values.plain import plain_text

_NAME_LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "zh", "ja")


def language(raw: str) -> tuple[str, ...]:
    """The language's code; () when the value names none."""
    names = language_names()
    text = plain_text(raw).replace("_", "-")
    code = names.get(text) or names.get(text.split("-")[0].split("(")[0].strip())
    return (code,) if code else ()


@lru_cache(maxsize=1)
def language_names() -> Mapping[str, str]:
    """ISO 639 code by code and by name: the language's own, and those of eleven other languages."""
    from babel.core import get_global
    from babel.localedata import exists

    codes = list(_names_in("en"))
    names = {code: code for code in codes}
    for code, modern in get_global("language_aliases").items():  # "ger" and "deu" are "de"
        if modern.split("_")[0] in names:
            names.setdefault(code, modern.split("_")[0])
    for code in codes:
        if exists(code) and (own := _names_in(code).get(code)):
            names.setdefault(plain_text(own), code)
    for locale in _NAME_LANGUAGES:
        for code, name in _names_in(locale).items():
            names.setdefault(plain_text(name), code)
    return names


def _names_in(locale: str) -> dict[str, str]:
    """Names of languages by code, as that locale writes them."""
    from babel import Locale

    return {str(code): str(name) for code, name in Locale.parse(locale).languages.items() if str(code).isalpha()}
