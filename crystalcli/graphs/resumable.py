"""Outcomes of all files in order, from sealed parts as far as they go, from workers for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crystalcli.contracts.workflow import Stop
from crystalcli.engine.read.reading import ReadItem
from crystalcli.engine.read.supervised_reading import Callbacks
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.stopping import StopSignal as NeverAsked
from crystalcli.engine.run.tasks import Limits
from crystalcli.graphs.packing import FileOutcome, GraphWork, outcomes
from crystalcli.graphs.parts import UNIT, Cursor, Parts, Sealing, Share, units
from crystalcli.vocabulary.errors import CrystalError, Stopped


@dataclass(frozen=True)
class _Unit:
    number: int
    files: range
    parts: list[Path]
    begin: Cursor


def resumable(
    work: GraphWork,
    files: Sequence[ReadItem],
    place: Place,
    parts: Parts,
    *,
    share: Share | None = None,
    stop: Stop | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Iterator[FileOutcome]:
    """Yield what becomes of every structure of the share's files, sealing parts on the way.

    A full unit is sealed when it ends, the last one only in an array job: what follows is the final file.

    Raises:
        Stopped: as ``stop`` asks; what is done is sealed. EnvironmentProblem: disk full, a scheduler that is lost.
    """
    share, stop = share or Share(), stop or NeverAsked()

    def pause() -> None:
        if why := stop.reason():
            raise Stopped(f"{why}: what is done is safe in {parts.folder}; the same command goes on")

    mine = [
        _Unit(k, numbers, *parts.known(k, numbers.start))
        for k, numbers in enumerate(units(len(files)))
        if share.takes(k)
    ]
    open_units = [u for u in mine if not u.begin.ended]
    todo = [n for u in open_units for n in range(u.begin.file, u.files.stop)]
    position = {n: k for k, n in enumerate(todo)}
    skip = {position[u.begin.file]: u.begin.skip for u in open_units if u.begin.skip}
    ours = [files[n] for n in todo]
    found = outcomes(work, ours, place, skip, limits=limits, heard=Callbacks(say, pause))
    stream = ((todo[k], outcome) for k, outcome in found)
    following = next(stream, None)
    for unit in mine:
        for path in unit.parts:
            yield from parts.read(path)
        if unit.begin.ended:
            continue
        sealing = Sealing(parts, unit.number, len(unit.parts), unit.begin)
        seen = Counter({unit.begin.file: unit.begin.skip})
        while following is not None and following[0] in unit.files:
            number, outcome = following
            seen[number] += 1
            sealing.add(outcome, Cursor(number, seen[number]))
            yield outcome
            try:
                pause()
                following = next(stream, None)
            except CrystalError:
                sealing.seal()
                raise
        if share.count > 1 or len(unit.files) == UNIT:
            sealing.seal(ended=True)
