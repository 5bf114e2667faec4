"""The list of commands; each is a file beside this one."""

from __future__ import annotations

import typer

from recollect.cli.curve import register_curve
from recollect.cli.demo import register_demo
from recollect.cli.drift import register_drift
from recollect.cli.evaluate import register_evaluate
from recollect.cli.facts import register_facts
from recollect.cli.label import register_label
from recollect.cli.pages import register_pages
from recollect.cli.pocket import register_pocket
from recollect.cli.probe import register_probe
from recollect.cli.report import register_report
from recollect.cli.rescore import register_rescore
from recollect.cli.search import register_search
from recollect.cli.select import register_select
from recollect.cli.shop import register_shop
from recollect.cli.slick import register_slick
from recollect.cli.study import register_study
from recollect.cli.train import register_train


def register(app: typer.Typer, pocket: typer.Typer) -> None:
    """Add every command, in the order of the help."""
    register_demo(app)
    register_facts(app)
    register_probe(app)
    register_slick(app)
    register_select(app)
    register_train(app)
    register_evaluate(app)
    register_study(app)
    register_curve(app)
    register_drift(app)
    register_label(app)
    register_pages(app)
    register_search(app)
    register_pocket(pocket)
    register_shop(pocket)
    register_rescore(app)
    register_report(app)
