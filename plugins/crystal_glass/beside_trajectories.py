"""``--trajectories``: glasses beside trajectories of another theory, box by box."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np

from crystal_glass import GLASSES, LIKENESS
from crystal_glass.composition import spelled
from crystal_glass.likeness import MEASURES, likeness
from crystal_glass.melting import TRAJECTORY
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.tables import csv_text


def trajectories_of(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Files ``NAME.extxyz`` of ``folder`` by the name of their box, whose elements may stand in another order.

    Raises:
        UsageError: no folder, none of its files is called as a box, or two are called as one.
    """
    if not folder.is_dir():
        raise UsageError("is no folder of trajectories", path=folder)
    boxes = {spelled(name): name for name in names}
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.extxyz")):
        name = boxes.get(spelled(path.stem))
        if name is None or not path.is_file():
            continue
        if (other := found.setdefault(name, path)) != path:
            raise UsageError(f"{other.name} and {path.name} are both of the box {name}", path=folder)
    if not found:
        raise UsageError(f"holds no trajectory that is called as a box, such as {names[0]}.extxyz", path=folder)
    return found


def folder_print(folder: str) -> str:
    """Of the trajectories in a folder: their names and contents; the text itself where there is no such folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.extxyz")) if folder and Path(folder).is_dir() else ():
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest() if folder else ""


def beside(
    run: Run, rows: Sequence[Mapping[str, Any]], paths: Mapping[str, Path], last_steps: int
) -> dict[str, Any] | None:
    """Write the table of likeness; its means over the boxes, or none where there is no pair.

    A box or a trajectory that cannot be read costs its row, and is warned of.
    """
    found: list[list[Any]] = []
    for row in rows:
        if row["status"] != "ok" or row["id"] not in paths:
            continue
        try:
            mine = _last(_frames(run.path / GLASSES / row["id"] / TRAJECTORY, row), last_steps)
            theirs = _frames(paths[row["id"]], row)
            measured = likeness(mine, theirs)
        except UsageError as problem:
            run.reporter.warn(str(problem))
            continue
        found.append([row["id"], len(mine), len(theirs), *(measured[name] for name in MEASURES)])
    if not found:
        run.reporter.warn("--trajectories: no glass to compare with")
        return None
    heads = ["id", "frames", "reference_frames", *(f"{name} [{unit}]" for name, unit in MEASURES.items())]
    run.write(LIKENESS, csv_text(heads, found))
    columns = {name: [r[3 + k] for r in found if r[3 + k] is not None] for k, name in enumerate(MEASURES)}
    means = {name: float(np.mean(values)) if values else None for name, values in columns.items()}
    return {"boxes": len(found), **means}


def _frames(path: Path, row: Mapping[str, Any]) -> list[ase.Atoms]:
    """Frames of a box.

    Raises:
        UsageError: there are none, or they are of other atoms.
    """
    try:
        frames = list(ase.io.iread(path, index=":", format="extxyz"))
    except Exception as problem:  # of ASE's reader anything may come
        raise UsageError(f"cannot read this trajectory: {problem}", path=path) from problem
    if not frames:
        raise UsageError("holds no frames", path=path)
    for k, atoms in enumerate(frames):
        counts = {s: int((atoms.symbols == s).sum()) for s in sorted(set(atoms.symbols))}
        if counts != dict(row["counts"]) or not atoms.pbc.all() or (atoms.numbers != frames[0].numbers).any():
            raise UsageError(f"frame {k} is no box of {row['id']}, periodic and in one order of atoms", path=path)
    return frames


def _last(frames: list[ase.Atoms], steps: int) -> list[ase.Atoms]:
    """Those of the last steps, one at least."""
    end = frames[-1].info["step"]
    return [a for a in frames if a.info["step"] > end - steps]
