"""The command line: one thin command per step. Parse, call, print.

Contract: every command takes --out, --seed and --json; with --json the last line on stdout is one JSON object.
Everything else (settings, progress, notes, errors) goes to stderr. Exit codes: 0 done, 2 bad input, 3 step directory in
the way, 4 sampler self-test failed, 5 disk full, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from recollect._options import console, note
from recollect._version import __version__
from recollect.errors import ModelWarning, RecollectError

app = typer.Typer(
    name="recollect",
    help="Measure what a base model knows, pick the few examples that wake it, see how well each choice works.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 110},
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without our dashes is no reason to lose an answer
    _note_model_warnings()
    try:
        _register(sys.argv[1:])
        app()
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as stop:
        if stop.code == 130:  # how typer hands on a Ctrl-C
            _stopped()
        raise
    except RecollectError as error:
        _failed(str(error), error.exit_code)
    except Exception as error:
        if _disk_is_full(error):
            _failed(
                "the disk is full. Finished batches are kept: make room and run the same command again, or give --out "
                "a folder on another disk.",
                5,
            )
        if isinstance(error, OSError) and error.filename is not None:
            _failed(f"{error.filename}: {error.strerror}.", 2)
        if type(error).__name__ == "ComputeError":  # polars, which is not imported for --version
            _failed(f"a table cannot be read: {str(error).splitlines()[0].rstrip('.')}.", 2)
        raise


def _note_model_warnings() -> None:
    """Print what is odd about a model as a note; other warnings as ever."""
    plain = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, ModelWarning):
            note(f"note: {message}")
        else:
            plain(message, category, *rest, **named)

    warnings.showwarning = show


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether an error is a full disk, in the words of the system, of safetensors or of torch."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if any(words in str(error) for words in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


_FULL = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", ". unexpected pos ")


def _failed(message: str, code: int) -> NoReturn:
    from rich.text import Text

    console.print(Text.assemble(("error:", "bold red"), " ", message), soft_wrap=True)
    sys.exit(code)


def _stopped() -> NoReturn:
    console.print("\nstopped. What was finished is kept: run the same command again to go on.")
    sys.exit(130)


def _register(arguments: list[str]) -> None:
    """Make the commands, once, and not for `--version`, so that it imports nothing heavy."""
    if arguments[:1] == ["--version"] or app.registered_commands:
        return
    from recollect import _commands

    _commands.register(app, pocket)
