"""The command line: one thin command per step. Parse, call, print.

Contract: every command takes --out, --seed and --json; with --json the last line on stdout is one JSON object.
Everything else (settings, progress, notes, errors) goes to stderr, with secrets in URLs masked. Exit codes: 0 done,
1 a bug of ours (with its traceback), 2 bad input, 3 step directory in the way or damaged, 4 sampler self-test failed,
5 disk full, 6 out of memory, 7 a study or grid that is finished but for what failed in it, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from recollect._version import __version__
from recollect.cli.options import console, note
from recollect.core.interrupt import interrupted, listen
from recollect.core.machine import own_process
from recollect.core.redact import hide_secrets
from recollect.errors import RecollectError, RecollectWarning, disk_is_full, input_fault

app = typer.Typer(
    name="recollect",
    help="Measure what a base model knows, pick the few examples that elicit it, see how well each choice works.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 110},
)
GROUPS = {
    "models": typer.Typer(help="The models that have a short name: shipped ones, and real ones to fetch."),
    "pocket": typer.Typer(help="The embedded world and its small base model."),
}
"""The commands of two words, by their first."""
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name, no_args_is_help=True)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"recollect {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure what a base model knows, pick the few examples that elicit it, see how well each choice works."""


def main() -> None:
    """Entry point: known errors end in one clear message and their exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without our dashes is no reason to lose an answer
    warnings.showwarning = _show_warning
    atexit.register(gc.freeze)  # or Python looks through all of torch once more before it ends: seconds
    listen()
    own_process()
    try:
        _register(_words() or sys.argv[1:])
        app()
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as stop:
        if stop.code == 130:  # how typer hands on a Ctrl-C
            _stopped()
        raise
    except BaseException as error:  # the panic of a library written in Rust is no Exception
        if interrupted():
            _stopped()
        known = _known(error)
        if known is None:
            raise  # a bug of ours keeps its traceback
        _failed(*known)


def _known(error: BaseException) -> tuple[str, int] | None:
    """The message and the exit code for an error that is not ours; None for one that is."""
    if isinstance(error, RecollectError):
        return str(error), error.exit_code
    if disk_is_full(error):
        return (
            "the disk is full. Finished batches are kept: make room and run the same command again, or give --out "
            "a folder on another disk.",
            5,
        )
    if isinstance(error, OSError) and error.filename is not None:
        name = " ".join(str(error.filename).split())  # a text given for a path may have many lines
        return f"{name if len(name) <= 300 else name[:299] + '…'}: {error.strerror}.", 2
    if isinstance(error, FileNotFoundError):  # Polars names the file in its text alone
        return f"{' '.join(str(error).split())[:300]}.", 2
    fault = input_fault(error)
    return (str(fault), fault.exit_code) if fault else None


def _failed(message: str, code: int) -> NoReturn:
    from rich.text import Text

    console.print(Text.assemble(("error:", "bold red"), " ", hide_secrets(message)), soft_wrap=True)
    sys.exit(code)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Our own warnings are notes of one line; those of libraries stay as Python shows them."""
    if issubclass(category, RecollectWarning):
        note(f"note: {hide_secrets(str(message))}")
    else:
        _python_shows(message, category, *place, **more)


_python_shows = warnings.showwarning


def _stopped() -> NoReturn:
    words = "stopped. What was finished is kept, if anything was: run the same command again to resume."
    console.print("\n" + words, soft_wrap=True)  # one line in a log, however wide the terminal
    sys.exit(130)


def _words() -> list[str]:
    """What stands on the line that a shell asks us to complete; [] when no shell asks."""
    if not any(name.endswith("RECOLLECT_COMPLETE") for name in os.environ):
        return []
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return line.split()[1:] or [""]


def _register(arguments: list[str]) -> None:
    """Make the commands; not for `--version`, which needs none."""
    if arguments[:1] == ["--version"]:
        return
    from recollect.cli.commands import register

    register(app, GROUPS, arguments)
