"""Programs of others that an export calls: run with a list of arguments, never a shell; what they said is kept."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from recollect.core.redact import hide_secrets
from recollect.errors import ModelError

_LAST = 12  # lines of what a program said that are shown


def run_tool(command: Sequence[str], what: str, env: Mapping[str, str] | None = None, given: str | None = None) -> str:
    """Run a program to its end and return its stdout; ModelError with its last lines where it fails.

    what: what it is doing, for the message. given: its stdin.
    """
    try:
        done = subprocess.run(
            list(command),
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=dict(env) if env is not None else None,
        )
    except OSError as error:
        raise ModelError(f"{what} could not begin: {command[0]}: {error.strerror or error}.") from None
    if done.returncode:
        said = hide_secrets("\n".join(_what_counts(done.stderr or done.stdout)))
        raise ModelError(f"{what} failed ({Path(command[0]).name} ended with {done.returncode}):\n{said}")
    return done.stdout


def _what_counts(text: str) -> list[str]:
    """The last lines of what a program said; of a Python traceback the error alone."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any(line.startswith("Traceback ") for line in lines):
        lines = [line for line in lines[-3:] if not line.startswith(" ")]
    return lines[-_LAST:]
