"""What a report shows of a run, in plain data: a workflow says what there is to see, the host draws the page.

``Workflow.sections(run)`` returns :class:`Section`s; each holds blocks in the order in which they are read. Texts may
come from anywhere: the host makes them harmless. Numbers are what they are in the run's files. Loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from crystalcli.contracts.workflow import Table

Kind = Literal["points", "line", "bars", "steps"]


@dataclass(frozen=True)
class Note:
    """A line of text; a warning is marked as one."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and their values, as texts."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Number:
    """A number that stands out.

    Args:
        value: as it is read, with its unit. said: what it is. beside: what to compare it with.
    """

    value: str
    said: str
    beside: str = ""


@dataclass(frozen=True)
class Numbers:
    """Numbers side by side; those of several runs are compared by what they are."""

    cards: Sequence[Number]


@dataclass(frozen=True)
class Axis:
    """An axis of a plot: its words with the unit, and whether it may be shown by powers of ten at the start."""

    label: str
    log: bool = False


@dataclass(frozen=True)
class Series:
    """What belongs together in a plot.

    Args:
        name: in the legend; none: not in it.
        x, y: numbers of equal length; what is not finite is left out. Bars are centred at x and as wide as their
            neighbors are apart.
        kind: how it is drawn.
        ids: of the points, for the tooltip and the structures behind them (:class:`Geometries`).
        notes: more texts of every point, by name.
        low, high: ends of a band around a line, or of a bar of error at a point.
        hollow: drawn without filling.
        style: its place among colours, shapes and dashes, where that is not its place in the plot.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Kind = "points"
    ids: Sequence[str] = ()
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    hollow: bool = False
    style: int = -1


@dataclass(frozen=True)
class Guide:
    """A line across a plot: at a height, at a place, or the diagonal; with what it means."""

    kind: Literal["y", "x", "diagonal"]
    at: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot that can be looked into.

    Args:
        title: above. x, y: axes. series: in order. guides: lines across it. caption: below.
        corners: names of the corners of a triangle with sides of one, (0, 0), (1, 0), (1/2, √3/2), in place of axes.
        square: both axes have one range.
        words: names of x and y in tooltips, where they are not those of the axes.
        wide: takes a whole line.
    """

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    guides: Sequence[Guide] = ()
    caption: str = ""
    corners: tuple[str, ...] = ()
    square: bool = False
    words: tuple[str, str] = ("", "")
    wide: bool = False


@dataclass(frozen=True)
class Elements:
    """Numbers by element, on a periodic table.

    Args:
        title: above. values: by symbol; unit: of them. notes: more of an element, for its tooltip.
        marked: elements that are marked; mark: why. caption: below.
    """

    title: str
    values: Mapping[str, float]
    unit: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    marked: Sequence[str] = ()
    mark: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Geometry:
    """Where atoms are.

    Args:
        numbers: (N,) atomic numbers. positions: (N, 3) Å. cell: (3, 3) Å, rows; pbc: (3,).
        said: of this frame, ``after 20 steps``.
    """

    numbers: Any
    positions: Any
    cell: Any
    pbc: Sequence[bool] = (True, True, True)
    said: str = ""


@dataclass(frozen=True)
class Structure:
    """A structure that can be turned, of one frame or more, with what is known of it."""

    id: str
    frames: Sequence[Geometry]
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Structures:
    """Structures to look at, one at a time.

    Args:
        title: above. shown: in order. caption: below. frames: what the frames are: ``step``, ``before and after``.
    """

    title: str
    shown: Sequence[Structure]
    caption: str = ""
    frames: str = "frame"


@dataclass(frozen=True)
class Geometries:
    """Structures behind the points of plots, by id: shown where a point is clicked. Draws nothing itself."""

    by_id: Mapping[str, Geometry]


@dataclass(frozen=True)
class Picture:
    """A PNG as it is, for what no plot of the page can show."""

    title: str
    png: bytes
    caption: str = ""


@dataclass(frozen=True)
class Fold:
    """Blocks that are seen when they are asked for."""

    title: str
    blocks: Sequence[Block]
    open: bool = False


Block = Note | Facts | Numbers | Table | Plot | Elements | Structures | Geometries | Picture | Fold


@dataclass(frozen=True)
class Section:
    """A part of the page with a title."""

    title: str
    blocks: Sequence[Block]


class ReportedRun(Protocol):
    """What the files of a run say; none of it is computed again. A file that is missing or broken says nothing.

    Attributes:
        path: its folder.
        record: run.json. report: report.json, empty where the run is not finished.
        options: of the workflow, as they were asked for.
    """

    path: Path
    record: Mapping[str, Any]
    report: Mapping[str, Any]
    options: Mapping[str, Any]

    def metrics(self) -> list[dict[str, Any]]:
        """Lines of metrics.jsonl."""

    def table(self, name: str) -> dict[str, list[str]]:
        """Columns of a CSV file of the folder, as texts."""

    def names(self, pattern: str) -> list[str]:
        """Files of the folder, by a pattern such as ``*.csv``, sorted."""

    def frames(self, name: str, most: int = 100) -> Iterator[tuple[Mapping[str, str], Geometry]]:
        """Frames of an extended XYZ file with what they say, evenly chosen where there are more than ``most``."""

    def inputs(self, ids: Sequence[str]) -> dict[str, Geometry]:
        """Structures by id, of the run's inputs, where these are still there and what they were."""

    def child(self, name: str) -> ReportedRun:
        """A run in the folder ``name`` below."""


def numbers(column: Sequence[str]) -> list[float]:
    """A column of a table as numbers; NaN where there is none."""
    found = []
    for text in column:
        try:
            found.append(float(text))
        except ValueError:
            found.append(float("nan"))
    return found
