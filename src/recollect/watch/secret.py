"""The secret in the page's address: random, this user's, and another one for each experiment.

Notable choices
- A key of 32 random bytes lies in the user's own cache folder, readable by nobody else; an experiment's token is made
  of it and the experiment's path. So an open tab survives a restart of its server, and an address that was passed on
  opens one experiment alone. Remove the key, and all addresses become invalid.
- Where no key can be kept, the token is random, and of one server.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

_BYTES = 32


def key_file() -> Path:
    """Where the key is."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "recollect" / "watch-key"


def token_of(path: Path) -> str:
    """The token of the experiment at `path`."""
    key = _key(key_file())
    if key is None:
        return secrets.token_urlsafe(24)
    return hmac.new(key, str(path).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:40]


def same_token(given: str, token: str) -> bool:
    """Compared in a time that does not tell how much fits."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def cookie_of(token: str) -> str:
    """The name of its cookie: servers on several ports share one jar."""
    return f"recollect-{hashlib.sha256(token.encode()).hexdigest()[:12]}"


def _key(file: Path) -> bytes | None:
    """The key, made where there is none; None where none can be kept, or another could read or have written it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
            with os.fdopen(handle, "wb") as made:
                made.write(secrets.token_bytes(_BYTES))
        except FileExistsError:
            pass
        known = file.lstat()
        mine = not hasattr(os, "getuid") or (known.st_uid == os.getuid() and not known.st_mode & 0o077)
        key = file.read_bytes() if mine and stat.S_ISREG(known.st_mode) else b""
    except OSError:
        return None
    return key if len(key) == _BYTES else None
