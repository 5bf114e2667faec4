"""Charts as inline SVG: one matplotlib setup, equal bytes for equal input, the page's own colours.

Notable choices
- The SVG backend is used without pyplot, so no window system and no global figures.
- Text stays text in the page's own font; colours become CSS variables, which dark mode changes.
- One drawing unit is one CSS pixel; `panel` places axes by pixels from the top left.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Levels run through "plasma" from light to dark, so lightness alone tells them apart; level 0 is grey.
COLOURS = {
    "l0": "#a7adb8",
    "l1": "#f2b134",
    "l2": "#e5694f",
    "l3": "#b3318a",
    "l4": "#56209b",
    "mixed": "#0b8a83",
    "random": "#2b3040",
    "base": "#7b8494",
    "accent": "#14507f",
    "ink": "#1d2230",
    "muted": "#5d6575",
    "grid": "#e4e7ee",
    "card": "#fdfefe",
}
RAMP = ("#f3f7fa", "#c5dcea", "#7fb2d2", "#3a7fb0", "#14507f", "#0b2f52")
"""Heat maps, from little to much."""
ON_DARK, ON_LIGHT = "#fffffd", "#1b1b1f"  # text on a filled area: the same in both themes


class Style(TypedDict, total=False):
    """How a line of a chart looks, by matplotlib's names."""

    color: str
    ls: str
    lw: float
    marker: str
    ms: float
    mew: float
    mec: str
    mfc: str
    alpha: float
    zorder: float


def draw(width: int, height: int, label: str, paint: Callable[[Figure], None]) -> Markup:
    """Paint a figure of so many pixels and return it as `<svg>`, with `label` as its text alternative."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that the measuring font lacks; the browser's font draws the text
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": label,
                "text.parse_math": False,
                "font.family": "DejaVu Sans",
                "font.size": 13,
                "text.color": COLOURS["ink"],
                "axes.labelcolor": COLOURS["muted"],
                "axes.edgecolor": COLOURS["grid"],
                "axes.titlesize": 14,
                "axes.titleweight": "bold",
                "axes.titlelocation": "left",
                "axes.titlepad": 10,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.axisbelow": True,
                "grid.color": COLOURS["grid"],
                "grid.linewidth": 1.0,
                "xtick.color": COLOURS["muted"],
                "ytick.color": COLOURS["muted"],
                "xtick.major.size": 0,
                "ytick.major.size": 0,
                "xtick.minor.size": 0,
                "lines.linewidth": 2.2,
                "hatch.linewidth": 0.7,
                "hatch.color": COLOURS["base"],
            }
        )
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline(buffer.getvalue(), width, height, label)


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes placed by pixels from the figure's top left corner."""
    full_width, full_height = figure.get_size_inches() * 72
    where = (left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    return figure.add_axes(where)


def bare(axes: Axes) -> None:
    """Take the frame and the ticks away."""
    axes.set_frame_on(False)
    axes.tick_params(length=0)


def spread(values: list[float], gap: float) -> list[float]:
    """Move numbers apart until neighbours differ by `gap` or more; order and each crowd's mean stay."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    crowds: list[list[float]] = []  # [mean, members]
    for i in order:
        crowds.append([values[i], 1])
        while len(crowds) > 1 and crowds[-1][0] - crowds[-2][0] < gap * (crowds[-1][1] + crowds[-2][1]) / 2:
            mean, members = crowds.pop()
            before, count = crowds[-1]
            crowds[-1] = [(before * count + mean * members) / (count + members), count + members]
    places = [mean + gap * (k - (members - 1) / 2) for mean, members in crowds for k in range(int(members))]
    moved = dict(zip(order, places, strict=True))
    return [moved[i] for i in range(len(values))]


def _inline(svg: str, width: int, height: int, label: str) -> Markup:
    body = svg[svg.index("<defs>") if "<defs>" in svg else svg.index("<g ") : svg.rindex("</svg>")]
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # ids that no one refers to and that repeat between charts
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # stands once, in the page's style sheet
    by_colour = {colour: name for name, colour in COLOURS.items()}

    def themed(match: re.Match[str]) -> str:
        name = by_colour.get(match[0])
        return f"var(--{name})" if name else match[0]

    body = re.sub(r'(?<=style=")[^"]*', lambda style: re.sub(r"#[0-9a-f]{6}", themed, style[0]), body)
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
    head += f'style="max-width:{width}px;min-width:min(640px,{width}px)">'
    return Markup(head + body + "</svg>")


def dark(colour: tuple[float, ...] | str) -> bool:
    """Whether white text reads better than black on this colour (relative luminance, WCAG 2)."""
    from matplotlib.colors import to_rgb

    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return bool(0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.22)
