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
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-_LAST:]
        raise ModelError(
            f"{what} failed ({Path(command[0]).name} ended with {done.returncode}):\n" + hide_secrets("\n".join(said))
        )
    return done.stdout
