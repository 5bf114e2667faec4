"""From a page's bytes to text: as browsers do it where the page says how, by its letters where it does not.

Notable choices
- w3lib's order: byte order mark, HTTP header, `<meta charset>`. Without any of them, or where most letters cannot be
  read with what was declared, charset-normalizer tells the character set from the text between the tags; the page's
  `lang` decides between those that fit alike, Windows-1252 goes before its neighbours.
- A page that declares another set and is well-formed UTF-8 letter by letter is UTF-8.
- What was told and not declared is noted ("charset"), and so are letters that stay unreadable ("characters"). A page of
  hardly anything else is refused: a prompt of U+FFFD is no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from recollect.errors import InputError

LOST = "\ufffd"
_SAMPLE = 20_000  # bytes of text with letters beyond ASCII that are looked at
_SETS = (
    *("utf_8", "cp1252", "cp1251", "koi8_r", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
_NEIGHBOURS = ("cp1250", "cp1254", "cp1257")  # as like cp1252 as one another for most Western texts
_OF_LANGUAGE = {
    **dict.fromkeys(["ru", "uk", "be", "bg", "sr", "mk", "kk"], ("cp1251", "koi8_r")),
    **dict.fromkeys(["cs", "sk", "pl", "hu", "ro", "hr", "sl", "sq", "bs"], ("cp1250",)),
    **dict.fromkeys(["lt", "lv", "et"], ("cp1257",)),
    **dict.fromkeys(["ja"], ("cp932", "euc_jp")),
    "el": ("cp1253",),
    "tr": ("cp1254",),
    "he": ("cp1255",),
    "ar": ("cp1256",),
    "fa": ("cp1256",),
    "th": ("cp874",),
    "zh": ("gb18030", "big5"),
    "ko": ("cp949",),
}
_LANG = re.compile(rb"<html[^>]{0,300}?\slang\s*=\s*[\"']?([a-zA-Z]{2})", re.IGNORECASE)
_TAGS = re.compile(rb"[<>\r\n]+")
_DISBELIEVED = 0.5  # of the letters beyond ASCII; more of them unreadable, and the declaration is not believed
_SIGN_IN_WORD = re.compile("[a-z][¡¢£¤¥¦§¨©ª¬®¯°±²³´¶·¸¹º¼½¾¿]+[a-z]", re.IGNORECASE)
_BEYOND_CHANCE = 8  # letters beyond ASCII that are all well-formed UTF-8
_MOST_LOST = 0.3  # of all letters; more of them unreadable, and the page is refused


def to_text(data: bytes, content_type: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The page as text, and notes. Raises InputError for a page whose letters cannot be read."""
    from w3lib.encoding import html_to_unicode

    declared = True

    def detect(body: bytes) -> str:
        nonlocal declared
        declared = False
        return _undeclared(body)

    name, text = html_to_unicode(content_type, data, auto_detect_fun=detect)
    notes = [] if declared or name.replace("-", "").startswith(("utf", "ascii")) else ["charset"]
    if declared and not name.startswith("utf") and _is_utf8(data):
        name, text, notes = "utf-8", data.decode("utf-8", "replace"), ["charset"]
    if _lost_share(text) > _DISBELIEVED:
        other = _told(data)
        if other and other.replace("_", "") != name.replace("-", "").replace("_", ""):
            better = data.decode(other, "replace")
            if _lost_share(better) < _DISBELIEVED / 10:
                text, notes = better, ["charset"]
    lost = text.count(LOST)
    if lost > 20 and lost > _MOST_LOST * (lost + sum(map(str.isalpha, _visible(text)))):
        raise InputError(
            f"the page's letters cannot be read: {lost:,} of them are none in {name}, and no other character set fits. "
            "Save the page as UTF-8, or with the character set it declares."
        )
    return text, tuple(notes)


def _is_utf8(data: bytes) -> bool:
    """Whether every letter beyond ASCII is well-formed UTF-8, and there are too many of them for chance."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3:  # a page may be cut within its last letter
            return False
    return len(re.findall(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xf4][\x80-\xbf]{2}", data)) >= _BEYOND_CHANCE


def _undeclared(data: bytes) -> str:
    """The character set of bytes that do not name one."""
    head = data[:2000]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > 0.3 * len(head) > 30 * min(even, odd):  # every other byte of ASCII in UTF-16
        return "utf-16-be" if even > odd else "utf-16-le"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        broken = data.decode("utf-8", "replace").count(LOST)
        sound = len(re.findall(rb"[\xc2-\xf4][\x80-\xbf]", data))
        if error.start < len(data) - 4 and broken > sound:
            return _told(data) or "cp1252"
    return "utf-8"


def _told(data: bytes) -> str | None:
    """The character set that the text between the tags is most likely in; None when none fits."""
    from charset_normalizer import from_bytes

    sample = b"\n".join(_samples(data))
    if not sample:
        return None
    found = list(from_bytes(sample, cp_isolation=list(_SETS)))
    fitting = [one for one in found if not _SIGN_IN_WORD.search(str(one))] or found
    names = [match.encoding for match in fitting]
    if not names:
        return None
    match = _LANG.search(data[:5_000])
    for wanted in _OF_LANGUAGE.get(match[1].decode().casefold(), ()) if match else ():
        if wanted in names:
            return wanted
    best = fitting[0]
    alike = any(
        one.encoding == "cp1252" and one.chaos <= best.chaos + 0.02 and one.coherence >= best.coherence - 0.1
        for one in fitting
    )
    return "cp1252" if best.encoding in _NEIGHBOURS and alike else str(best.encoding)


def _samples(data: bytes) -> Iterator[bytes]:
    """Pieces of text with letters beyond ASCII, up to the size of a sample."""
    size = 0
    for piece in _TAGS.split(data[:2_000_000]):
        if not piece.isascii():
            yield piece[:2_000]
            size += len(piece[:2_000])
            if size > _SAMPLE:
                return


def _lost_share(text: str) -> float:
    """The share of unreadable characters among those beyond ASCII."""
    lost = text.count(LOST)
    return lost / sum(char > "\x7f" for char in text) if lost else 0.0


def _visible(text: str) -> str:
    """The text without tags, scripts and styles, roughly."""
    text = re.sub(r"<(script|style)\b.*?</\1", " ", text[:500_000], flags=re.DOTALL | re.IGNORECASE)
    return re.sub(r"<[^<>]*>", " ", text)
