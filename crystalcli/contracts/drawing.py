"""How pictures look, wherever they are drawn: an empty one, its colours, and its bytes. Drawn without a display."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from crystalcli.vocabulary.texts import inert

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
"""From the palette of Okabe and Ito, which colour-blind people can tell apart."""
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito."""

STYLE = {
    "text.parse_math": False,  # names of targets, models and files may hold $, _, ^ and backslashes
    "svg.fonttype": "none",  # letters stay letters
    "pdf.fonttype": 42,  # the font lies in the file
    "svg.hashsalt": "crystal",  # names of clips and markers do not depend on chance
}
UNDATED = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What a format would say of when and by what it was written."""
DOTS = 1000
"""Lines with more points are one bitmap in a vector picture, which is large and slow to show otherwise."""


def canvas(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    """An empty picture, inches, and its axes; with several rows, a list of them, of which the last is half as high."""
    figure = blank(width, height)
    with _styled():
        if rows == 1:
            return figure, figure.add_subplot()
        return figure, list(figure.subplots(rows, 1, sharex=True, height_ratios=[2] * (rows - 1) + [1]))


def blank(width: float, height: float) -> Any:
    """A picture without axes, inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def lay_out(figure: Any) -> None:
    """Give everything in ``figure`` the place that it will have."""
    with _styled():
        figure.draw_without_rendering()


def rendered(figure: Any, endings: Sequence[str]) -> dict[str, bytes]:
    """``figure`` as a file for each of ``endings``; equal pictures are equal bytes. It is drawn no more after that.

    Words stand as they are, never as formulae; long titles in several lines.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text("\n".join(inert(line) for line in text.get_text().split("\n")))
    for axes in figure.axes:
        axes.title.set(wrap=True, parse_math=True, text=axes.get_title().replace("$", r"\$"))  # wrapping always parses
        for line in axes.lines:
            line.set_rasterized(line.get_marker() != "None" and len(line.get_xdata()) > DOTS)
    found = {}
    for ending in endings:
        buffer = io.BytesIO()
        with _styled():
            figure.savefig(buffer, format=ending, dpi=150, metadata=UNDATED[ending])
        found[ending] = buffer.getvalue()
    return found


@contextmanager
def _styled() -> Iterator[None]:
    """While inside, pictures are drawn by :data:`STYLE`; a letter that the font does not have is an empty box."""
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
