"""Foreign text made safe to show: nothing invisible that reorders or hides text."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # control characters
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060\u2066-\u2069\ufeff"  # direction, zero width
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # lone surrogates, annotations, tags
)


def clean(text: str) -> str:
    """Show direction marks and control characters as ⟨U+202E⟩; tabs and line ends stay. No HTML escape."""
    return _INVISIBLE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.replace("\r\n", "\n"))


def cut(text: str, most: int = 280) -> str:
    """The text's first `most` characters, with a mark that says how many are left out."""
    left = len(text) - most
    return text if left <= 20 else f"{text[:most]}… [{left:,} more characters]"
