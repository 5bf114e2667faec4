"""`recollect pocket shop`: a seed in, a base that copies from its context and the page examples of its world out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from recollect.core.machine import prepare
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.extraction import need_pages
from recollect.extraction.values import read_schema
from recollect.worlds.base import BaseResult
from recollect.worlds.shop.build import train_shop_base
from recollect.worlds.shop.facts import shop_facts
from recollect.worlds.shop.settings import ShopSettings


class ShopResult(BaseResult):
    """A shop base; its facts are the page examples of the world."""


def run_shop(
    settings: ShopSettings,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Callable[[int, int], None] | None = None,
) -> ShopResult:
    """Build the shop base of a seed; goes on where a killed build was left.

    Writes model/, facts.parquet (the page examples) and schema.yaml (what they ask for).
    """
    need_pages("recollect pocket shop")
    with open_step("pocket", settings.model_dump(mode="json"), {"world": "shop"}, out, root) as step:
        if not step.done:
            started = time.monotonic()
            step.pin(threads=prepare().threads)
            measured = train_shop_base(settings, step.folder / "model", progress)
            facts = shop_facts(settings.seed)
            step.write_table("facts.parquet", facts.table())
            (step.folder / "schema.yaml").write_text(read_schema("product").text(), encoding="utf-8")
            step.finish({**measured, **facts.counts(), "seconds": round(time.monotonic() - started, 1)})
        return ShopResult(step.path, step.metrics)
