"""What `--help` shows of a command: all of a short one; of one with sections what people use first, the rest in short.

Notable choices
- A command with sections takes the settings of other commands, a hundred and more: `--help` is one or two screens, and
  `--help-all` shows every setting with all that there is to say of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

_SENTENCE = re.compile(r"^(.+?[.;])(?= [^\[])")
_DEFAULT = re.compile(r" \[default: [^\]]*\]$")
_WIDEST_DEFAULT = 20


class BySection(TyperCommand):
    """Lists the options of each section (`--train.learning-rate`) below the command's own."""

    first: ClassVar[Sequence[str]] = ()
    """Flags that are shown first, and whole; the others by one sentence each. Without any, all of the command's own are
    whole."""
    whole = False
    """Whether everything is shown, that of the sections too."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Called by click."""
        groups: dict[str, list[Any]] = {"": []}
        for option in self.get_params(ctx):
            section, dot, _ = option.opts[0].removeprefix("--").partition(".")
            if record := option.get_help_record(ctx):
                groups.setdefault(section if dot else "", []).append((option.opts, record))
        own = groups.pop("")
        if self.whole or not groups:
            _write(formatter, "Options", [record for _, record in own])
            for section, found in groups.items():
                _write(formatter, f"Settings of the section {section}", [record for _, record in found])
            return
        first = [record for name in self.first for opts, record in own if name in opts]
        rest = [record for _, record in own if record not in first]
        if first:
            _write(formatter, "What is used most", first)
        _write(formatter, "More options" if first else "Options", [_short(one) for one in rest] if first else rest)
        names = [f"--{section}.NAME" for section in groups]
        count = sum(map(len, groups.values()))
        with formatter.section("Settings of the sections"):
            formatter.write_text(f"{', '.join(names)}: one setting each, {count} in all; --help-all shows them.")


def help_command(first: Sequence[str]) -> type[BySection]:
    """The class of a command whose help begins with these flags."""
    return type("Command", (BySection,), {"first": tuple(first)})


def _show_all(ctx: typer.Context, value: bool) -> None:
    if value:
        assert isinstance(ctx.command, BySection)
        ctx.command.whole = True
        try:
            typer.echo(ctx.get_help(), color=ctx.color)
        finally:
            ctx.command.whole = False
        raise typer.Exit


HelpAll = Annotated[
    bool, typer.Option("--help-all", callback=_show_all, is_eager=True, help="Show every setting, and exit.")
]


def _write(formatter: Any, title: str, records: Sequence[tuple[str, str]]) -> None:
    with formatter.section(title):
        formatter.write_dl(records)


def _short(record: tuple[str, str]) -> tuple[str, str]:
    """An option with its first sentence, and its default where that is short."""
    flag, text = record
    default = found[0] if (found := _DEFAULT.search(text)) else ""
    text = text.removesuffix(default)
    shown = default if len(default) <= _WIDEST_DEFAULT and "none" not in default else ""
    sentence = match[1] if (match := _SENTENCE.match(text)) else text
    return flag, f"{sentence.rstrip(';:.')}.{shown}"
