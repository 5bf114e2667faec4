"""The command `pocket shop`."""

from __future__ import annotations

from pathlib import Path

import typer

from recollect.cli.options import ProgressLine, answer, command, console_out, machine_line
from recollect.core.machine import prepare
from recollect.worlds.shop import ShopSettings


def register(pocket: typer.Typer) -> None:
    """Add `pocket shop`."""
    command(pocket, "shop", ShopSettings, _pocket_shop)


def _pocket_shop(settings: ShopSettings, out: Path | None, as_json: bool) -> None:
    """Build the shop world's base: a small model that copies from its context."""
    from recollect.worlds.shop import run_shop

    machine_line(("training", prepare()))
    with ProgressLine("training the shop base", "steps") as progress:
        result = run_shop(settings, out, progress=progress)
    if not as_json:
        console_out.print("pocket shop base", style="bold")
        for name, value in result.summary().items():
            console_out.print(f"  {name:<12}  {f'{value:,}' if isinstance(value, int) else value}", soft_wrap=True)
    answer(result.summary(), as_json)
