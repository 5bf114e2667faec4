"""The commands, from the list of steps; each is a file beside this one, imported when it is the one asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from itertools import groupby

import typer

from recollect.steps import STEPS


def register(app: typer.Typer, groups: Mapping[str, typer.Typer], arguments: Sequence[str]) -> None:
    """Add the command that `arguments` ask for with its options, and all others by their names and lines alone.

    groups: the commands of two words, by their first.

    What a command needs takes a second to import, which the list of commands does without.
    """
    asked = " ".join([word for word in arguments if not word.startswith("-")][:2])
    for group in (app, *groups.values()):
        group.registered_commands.clear()
    for module, entries in groupby(STEPS, lambda entry: entry.module):
        lines = {entry.command: entry.line for entry in entries}
        first, _, second = next(iter(lines)).partition(" ")
        group = groups[first] if second else app
        if any(f"{asked} ".startswith(f"{name} ") for name in lines):
            importlib.import_module(f"recollect.cli.{module}").register(group)
            continue
        for name, line in lines.items():
            group.command(name.split()[-1], help=line)(_named_only)


def _named_only() -> None:
    raise AssertionError("a command that was not asked for cannot run")
