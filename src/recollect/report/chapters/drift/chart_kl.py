"""How far the next-token distributions moved, over the number of training examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recollect.report.chapters.drift.groups import DriftGroup
from recollect.report.chapters.sizes.charts import HEIGHT, lines, points
from recollect.report.page.svg import draw, panel
from recollect.report.results.common import CHOICES, Choice
from recollect.report.results.groups import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = dict[Choice, dict[int, Estimate]]


def kl_chart(groups: Sequence[DriftGroup], floor: float | None) -> Markup | None:
    """Study C's KL and the full-vocabulary KL, each in its own panel and on its own scale; None without either."""
    panels = [
        ("First word, ten likeliest (study C)", curves(groups, lambda group: group.kl_paper), None),
        ("Every answer token, whole vocabulary", curves(groups, lambda group: group.kl_full), floor),
    ]
    shown = [one for one in panels if one[1]]
    if not shown:
        return None
    width = 385 if len(shown) > 1 else 860

    def paint(figure: Figure) -> None:
        for index, (title, found, dotted) in enumerate(shown):
            axes = panel(figure, 54 + index * 556, 36, width, HEIGHT)
            values = [estimate for curve in found.values() for estimate in curve.values()]
            axes.set_title(title)
            axes.set_ylim(0, max(1.06 * max(estimate.high for estimate in values), 1e-9))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_ylabel("KL divergence in nats", labelpad=6, size=12)
            axes.grid(axis="y")
            axes.spines["left"].set_visible(False)
            reference = None if dotted is None else (dotted, "floor")
            if len({size for curve in found.values() for size in curve}) == 1:
                points(axes, found, reference, digits=2)
            else:
                lines(axes, found, reference)

    return draw(1100, HEIGHT + 96, "Divergence of the tuned from the base model over training examples", paint)


def curves(groups: Sequence[DriftGroup], pick: Callable[[DriftGroup], Estimate | None]) -> Curves:
    """What was measured, by training choice and size."""
    found: Curves = {}
    for choice in CHOICES:
        for group in groups:
            value = pick(group)
            if group.levels == choice and value is not None:
                found.setdefault(choice, {})[group.size] = value
    return found
