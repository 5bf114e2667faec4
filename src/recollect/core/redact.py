"""Secrets in texts that people see or share: settings lines, error lines, manifests, reports.

`hide_secrets` masks, inside any text,
- the password of a URL's user (`postgresql://me:***@host/db`), and a lone user of a web address, which is a token,
- the value of query parameters whose name says password, token, key, secret, signature, credential or authorisation,
- `password=...` and the like in connection strings, bearer tokens, and keys with a well-known beginning.

It errs on the side of masking: a masked word too many is better than a password in a page that is passed on. A secret
inside a path is not recognised.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "***"
_NAMES = r"(?:passw|passphrase|pwd|token|key|secret|sig|auth|cred)"
_PATTERNS = (
    # a path made of a URL has lost a slash; the password may hold anything but blanks, also / and @; digits up to the
    # path are a port and no password
    (re.compile(r"(\b[a-z][a-z0-9+.-]*:/+[^\s:/?#@]*):(?!\d*(?:[/?#\s]|$))\S*@", re.IGNORECASE), rf"\1:{MASK}@"),
    (re.compile(r"(\b(?:https?|wss?|git\+https?):/+)(?![^\s/]*:)[^\s/?#@]+@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(rf"([?&;#][^\s=&;#]*{_NAMES}[^\s=&;#]*=)[^\s&;#'\"]*", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(
            r"(\b(?:password|passwd|pwd|secret|api_?key|access_?token)\s*=\s*)(?!\*\*\*)[^\s&;,'\"]+", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(sk-|hf_|ghp_|gho_|github_pat_|xox[abp]-|AKIA)[\w-]{12,}"), rf"\1{MASK}"),
)


def hide_secrets(text: str) -> str:
    """The text with every secret that can be told by its form masked as `***`; equal to the text when there is none."""
    for pattern, masked in _PATTERNS:
        text = pattern.sub(masked, text)
    return text


def hide_secrets_in(value: Any) -> Any:
    """A JSON value with the secrets in its URLs masked, at any depth; other texts stay as they are."""
    if isinstance(value, str):
        return hide_secrets(value) if ":/" in value else value
    if isinstance(value, dict):
        return {key: hide_secrets_in(item) for key, item in value.items()}
    return [hide_secrets_in(item) for item in value] if isinstance(value, list | tuple) else value
