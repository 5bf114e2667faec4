"""The list of commands; each is a file beside this one, imported when it is the one that is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import typer

COMMANDS: dict[str, dict[str, str]] = {
    "demo": {"demo": "Run the whole path on a shipped model, in a few minutes."},
    "facts": {"facts": "Read facts from files or published sets, and report on them."},
    "probe": {"probe": "Measure how well a base model knows each fact: its memory level."},
    "slick": {"slick": "Sort facts into SliCK's four categories."},
    "select": {"select": "Select which facts to train on: size, level, balance."},
    "train": {"train": "Fine-tune a model on a selection, fully or with LoRA."},
    "evaluate": {"evaluate": "Measure a model's accuracy on facts, by memory level."},
    "study": {"study": "Train on every choice of examples at every size; one report."},
    "curve": {"curve": "Find out how many training examples are enough."},
    "drift": {
        "drift": "Show what a training changed, in tokens and in parameters.",
        "restore": "Set the most changed weights back; with --ladder, find how many.",
    },
    "label": {
        "label": "Label pages from schema.org data, a table or an LLM.",
        "score": "Score predicted attribute values of pages against true ones.",
    },
    "pages": {"pages": "Turn HTML pages into compact prompts."},
    "search": {"search": "Search for the settings that fine-tune best."},
    "rescore": {"rescore": "Judge stored texts again, with no model."},
    "report": {"report": "Write the report page again, or one from evaluations of pages."},
}
"""Module in this package -> its commands, in the order of the help, each with its line there."""
POCKET: dict[str, dict[str, str]] = {
    "pocket": {"build": "Build the quiz world's base model."},
    "shop": {"shop": "Build the shop world's base model."},
}


def register(app: typer.Typer, pocket: typer.Typer, arguments: Sequence[str]) -> None:
    """Add the command that `arguments` ask for with its options, and all others by their names and lines alone.

    What a command needs takes a second to import, which the list of commands does without.
    """
    words = [word for word in arguments if not word.startswith("-")]
    _register(app, COMMANDS, words[:1])
    _register(pocket, POCKET, words[1:2] if words[:1] == ["pocket"] else [])


def _register(group: typer.Typer, modules: dict[str, dict[str, str]], asked: list[str]) -> None:
    group.registered_commands.clear()
    for module, lines in modules.items():
        if asked and asked[0] in lines:
            getattr(importlib.import_module(f"recollect.cli.{module}"), f"register_{module}")(group)
            continue
        for name, line in lines.items():
            group.command(name, help=line)(_named_only)


def _named_only() -> None:
    raise AssertionError("a command that was not asked for cannot run")
