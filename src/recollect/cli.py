"""The command line: one thin command per step. Parse, call, print.

Contract: every command takes --out, --seed and --json; with --json the last line on stdout is one JSON object.
Everything else (settings, progress, notes, errors) goes to stderr. Exit codes: 0 done, 2 bad input, 3 step directory in
the way, 4 sampler self-test failed, 5 disk full, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from recollect._options import console
from recollect._version import __version__
from recollect.errors import RecollectError

app = typer.Typer(
    name="recollect",
    help="Measure what a base model knows, pick the few examples that wake it, see how well each choice works.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
pocket = typer.Typer(help="The embedded world and its small base model.", no_args_is_help=True)
app.add_typer(pocket, name="pocket")


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
    """Measure what a base model knows, pick the few examples that wake it, see how well each choice works."""


def main() -> None:
    """Entry point: known errors end in one clear message and their exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    _register(sys.argv[1:])
    try:
        app(standalone_mode=False)
    except RecollectError as error:
        console.print(f"[bold red]error:[/bold red] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _stopped()
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            console.print(
                "[bold red]error:[/bold red] the disk is full. Finished batches are kept: make room and run the same "
                "command again, or give --out a folder on another disk.",
                soft_wrap=True,
            )
            sys.exit(5)
        raise
    except Exception as error:
        _click_error(error)


def _click_error(error: Exception) -> None:
    import click

    if isinstance(error, click.exceptions.Abort):
        _stopped()
    if isinstance(error, click.ClickException):
        error.show()
        sys.exit(error.exit_code)
    raise error


def _stopped() -> None:
    console.print("\nstopped. What was finished is kept: run the same command again to go on.")
    sys.exit(130)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _register(arguments: list[str]) -> None:
    """Make the commands; only those that this call may need, so that `--version` imports nothing heavy."""
    if arguments[:1] == ["--version"]:
        return
    from recollect import _commands

    _commands.register(app, pocket)
