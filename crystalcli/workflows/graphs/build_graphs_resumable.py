"""Outcomes of all files in order, from sealed parts as far as they go, from workers for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.running.workers import Limits
from crystalcli.vocabulary.errors import Stopped
from crystalcli.workflows.graphs.build_graphs_parts import UNIT, Cursor, Parts, Sealing, Share, units
from crystalcli.workflows.graphs.build_graphs_work import Named, Outcome, Work, outcomes


@dataclass(frozen=True)
class _Unit:
    number: int
    files: range
    parts: list[Path]
    begin: Cursor


def resumable(
    work: Work,
    files: Sequence[Named],
    jobs: int,
    parts: Parts,
    *,
    share: Share | None = None,
    stop: Stop | None = None,
    limits: Limits | None = None,
) -> Iterator[Outcome]:
    """Yield what becomes of every structure of the share's files, sealing parts on the way.

    A full unit is sealed when it ends, the last one only in an array job: what follows is the final file.

    Raises:
        Stopped: as ``stop`` asks; what is done is sealed. EnvironmentProblem: disk full and its like.
    """
    share, stop = share or Share(), stop or Stop()
    mine = [
        _Unit(k, numbers, *parts.known(k, numbers.start))
        for k, numbers in enumerate(units(len(files)))
        if share.takes(k)
    ]
    open_units = [u for u in mine if not u.begin.ended]
    todo = [n for u in open_units for n in range(u.begin.file, u.files.stop)]
    position = {n: k for k, n in enumerate(todo)}
    skip = {position[u.begin.file]: u.begin.skip for u in open_units if u.begin.skip}
    stream = ((todo[k], outcome) for k, outcome in outcomes(work, [files[n] for n in todo], jobs, skip, limits))
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
            if why := stop.reason():
                sealing.seal()
                raise Stopped(f"{why}: what is done is safe in {parts.folder}; the same command goes on")
            following = next(stream, None)
        if share.count > 1 or len(unit.files) == UNIT:
            sealing.seal(ended=True)
