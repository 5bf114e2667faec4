"""The commands `pocket build` and `pocket shop`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import ProgressLine, answer, command, machine_line
from recollect.cli.printing import print_pairs
from recollect.core.machine import prepare
from recollect.worlds.builder import BaseResult
from recollect.worlds.quiz import PocketSettings
from recollect.worlds.shop import ShopSettings


def register(pocket: typer.Typer) -> None:
    """Add `build` and `shop`."""
    command(pocket, "build", PocketSettings, _pocket_build)
    command(pocket, "shop", ShopSettings, _pocket_shop)


def _pocket_build(settings: PocketSettings, out: Path | None, as_json: bool) -> None:
    from recollect.worlds.quiz import run_pocket

    machine_line(("training", prepare()))
    with ProgressLine("training the pocket base", "steps") as progress:
        result = run_pocket(settings, out=out, progress=progress)
    _show("pocket base", result, as_json)


def _pocket_shop(settings: ShopSettings, out: Path | None, as_json: bool) -> None:
    """Build the shop world's base: a small model that copies from its context."""
    from recollect.worlds.shop import run_shop

    machine_line(("training", prepare()))
    with ProgressLine("training the shop base", "steps") as progress:
        result = run_shop(settings, out, progress=progress)
    _show("pocket shop base", result, as_json)


def _show(title: str, result: BaseResult, as_json: bool) -> None:
    summary = {**result.found.plain(), "out": str(result.path)}
    if not as_json:
        print_pairs(title, summary)
    answer(summary, as_json)
