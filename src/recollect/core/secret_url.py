"""Addresses that may hold a password: usable inside, masked wherever they are printed or stored.

Notable choices
- Masked by what is known to be harmless, not by what looks like a secret: everything before the last `@` goes (a
  password may itself hold an `@`), and every query value whose name is not on a short list.
- pydantic's `Secret` makes str(), repr(), JSON and error texts show the mask, so a new place that prints settings
  cannot leak; the value itself has to be asked for.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from pydantic import Secret

_HARMLESS = frozenset({"cache", "charset", "connect_timeout", "mode", "port", "sslmode", "timeout", "uri"})
_PLAIN = re.compile(
    r"\d{1,5}(\.\d{1,3})?|true|false|disable|allow|prefer|require|verify-ca|verify-full|ro|rw|rwc|memory|shared|private"
    r"|utf-?8(mb4)?"
)
"""A password with an `&` in it, left unquoted, must not be taken for the next parameter's value."""
_NAMED = re.compile(r"(?i)\b([\w-]*(?:pass|pwd|pw|token|secret|key|auth|cred|sig)[\w-]*\s*[=:]\s*)[^\s&;,'\"]+")
_SHORT = 3
"""A piece of a password shorter than this says nothing, and is found in too many words."""


class SecretUrl(Secret[str]):
    """An address; `str()` of it is masked, `get_secret_value()` is what was given."""

    def _display(self) -> str:
        return masked(self.get_secret_value())


def masked(url: str) -> str:
    """The address without user, password, and query values that are not known to be harmless."""
    scheme, there, rest = url.partition("://")
    if not there:
        scheme, rest = "", url
    user, head, query = _cut(rest)
    if "?" in user:  # a password with a ? in it, or a query value with an @: either end may be the secret
        return f"{scheme}{there}***"
    shown = scheme + there + ("***@" if user else "") + _NAMED.sub(r"\1***", head)
    return shown + ("?" + "&".join(map(_masked_pair, _pairs(query))) if query else "")


def without_secrets(text: str, url: str) -> str:
    """A driver's message about the address, on one line; left out where it repeats a part of a secret."""
    plain = {unquote(text), text}
    if any(secret in one for secret in _secrets(url) for one in plain):
        return "its driver's message repeats a part of the password and is not shown"
    return " ".join(text.split())[:300]


def _cut(rest: str) -> tuple[str, str, str]:
    """What stands before the last `@`, behind it, and the query. All that is before it counts as secret: a password may
    hold any sign."""
    user, _, head = rest.rpartition("@")
    head, _, query = head.partition("?")
    return user, head, query


def _pairs(query: str) -> list[str]:
    return re.split(r"[&;]", query) if query else []


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return "***"
    return f"{name}={value if name.lower() in _HARMLESS and _PLAIN.fullmatch(value) else '***'}"


def _secrets(url: str) -> set[str]:
    """Pieces of the address that are not to be seen, as written and unquoted."""
    rest = url.partition("://")[2] or url
    user, head, query = _cut(rest)
    name, _, password = user.partition(":")
    whole = [password or name, head if "?" in user else ""]
    for pair in _pairs(query):
        name, equals, value = pair.partition("=")
        if not equals or name.lower() not in _HARMLESS:
            whole.append(value or name)
    whole += [unquote(one) for one in whole]
    pieces = [piece for one in whole for piece in re.split(r"[:@/?&=;#]", one)]
    return {one for one in (*whole, *pieces) if len(one) >= _SHORT}
