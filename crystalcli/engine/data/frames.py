"""What the frames of a file are: steps of a run that continue each other, or configurations of several kinds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.engine.data import leaks
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.nouns import cells

KIND_TAGS = ("config_type", "group", "configuration", "phase")
"""Text columns that say, in files of configurations, of which kind a frame is."""
FAR = 0.8
"""Å; atoms of a run move by less from one frame to the next (root mean square over the atoms). Two independent
frames of a crystal at its melting point differ by about 0.5, other lattices, surfaces and defects by more; a liquid
that moves farther forgets the frame before."""
STILL = 1e-3
"""Å; a frame whose atoms moved less, apart from the strain of the cell, is the frame before, strained."""
STRAIN = 0.03
"""Change of the cell between two frames, relative to its size, that no barostat makes."""


def kinds(data: GraphDataset, index: NDArray[np.int64]) -> tuple[list[str], str]:
    """The kind of each structure of ``index`` in words, n of them, and what tells kinds apart.

    A kind has one composition, one number of atoms and, where the caches have one of :data:`KIND_TAGS`, one word there.
    """
    formulas, counts, tags = data.formulas(), data.atom_counts(), data.tags
    used = [n for n in KIND_TAGS if n in tags and len({tags[n][i] for i in index}) > 1]
    words = [", ".join([*(tags[n][i] for n in used), formulas[i], f"{counts[i]} atoms"]) for i in index]
    differ = [f"'{n}'" for n in used]
    differ += ["composition"] if len({formulas[i] for i in index}) > 1 else []
    return words, " and ".join(differ + (["number of atoms"] if len({counts[i] for i in index}) > 1 else []))


def series(data: GraphDataset, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs that the frames ``index`` are steps of, (n,), and the place of each frame in its file, (n,).

    Frames of one file that follow each other belong to one run where they have the same atoms in the same order,
    the cell hardly changes and the atoms move, but not far: looked at are positions, for the order of a file alone says
    nothing. A file that holds strained cells, surfaces and defects one after the other falls into many short runs.
    A run goes on behind one frame that is none of it.
    """
    names, frames = data.runs()
    file, place = leaks.numbered(names)[index], frames[index]
    order = np.lexsort((place, file))
    follows = np.zeros(len(index), dtype=bool)
    for k in range(1, len(order), BLOCK):
        part = order[k - 1 : k + BLOCK]
        follows[k : k + len(part) - 1] = _continue(data, index[part])
    follows[1:] &= np.diff(file[order]) == 0
    number = np.cumsum(~follows)
    for k in _over_one(data, index[order], file[order], follows):
        number[number == number[k]] = number[k - 2]
    run = np.empty(len(index), dtype=np.int64)
    run[order] = number
    return run, place


def _over_one(
    data: GraphDataset, index: NDArray[np.int64], file: NDArray[np.int64], follows: NDArray[np.bool_]
) -> list[int]:
    """Places in ``index`` of frames that continue the frame before the last, where the last belongs to no run.

    Args:
        data: all structures.
        index: frames in order.
        file: of each.
        follows: whether each continues the one before.
    """
    starts = np.append(~follows, True)
    within = np.append(follows, False)
    found = []
    for k in range(2, len(index)):
        lone = starts[k - 1] and starts[k]
        if lone and file[k] == file[k - 2] and (within[k - 2] or within[k + 1]):
            found += [k] if _continue(data, index[[k - 2, k]])[0] else []
    return found


BLOCK = 256
"""Frames looked at together."""


def _continue(data: GraphDataset, index: NDArray[np.int64]) -> list[bool]:
    """Whether each structure but the first may be the next step of the one before."""
    graph = data.batch(index, dtype=torch.float64).graph
    cell, periodic = graph.cell.numpy(), graph.pbc.numpy()
    stops = np.cumsum(graph.atom_counts.numpy())[:-1]
    numbers, positions = np.split(graph.atomic_numbers.numpy(), stops), np.split(graph.positions.numpy(), stops)
    scaled = [p @ cells.inverse(cells.completed(c)) for p, c in zip(positions, cell, strict=True)]
    said = []
    for k in range(1, len(index)):
        same = np.array_equal(numbers[k], numbers[k - 1]) and np.array_equal(periodic[k], periodic[k - 1])
        said.append(same and _near(scaled[k] - scaled[k - 1], periodic[k], cell[k - 1], cell[k]))
    return said


def _near(
    moved: NDArray[np.float64], periodic: NDArray[np.bool_], before: NDArray[np.float64], after: NDArray[np.float64]
) -> bool:
    """Whether atoms that ``moved``, (N, 3) in units of the cell, did so within one step of a run."""
    if np.linalg.norm(after - before) > STRAIN * np.linalg.norm(before):
        return False
    step = (moved - np.round(moved) * periodic) @ cells.completed(after)
    step -= step.mean(0)
    return bool(STILL < np.sqrt(np.square(step).sum(1).mean()) < FAR)


def poor_parts(data: GraphDataset, split: Split, vectors: Sequence[str]) -> list[str]:
    """What validation and test part cannot tell, a line each: vectors that are all zero, one kind of configuration.

    Args:
        data: all structures.
        split: the parts.
        vectors: labels of sites with three components, forces for one.
    """
    said = []
    whole = np.concatenate(list(split.parts().values()))
    kind = dict(zip(whole.tolist(), kinds(data, whole)[0], strict=True))
    for name, part in (("validation", split.val), ("test", split.test)):
        for label in vectors:
            learned = _sizes(data, label, split.train)
            typical = float(np.sqrt(np.mean(np.square(learned)))) if len(learned) else 0.0
            there = _sizes(data, label, part)
            without = int((there <= NOTHING * typical).sum())
            if without > 0.8 * len(there):
                said.append(
                    f"{without} of {len(there)} structures of the {name} part have no {label} (symmetry, or relaxed): "
                    f"an error of their {label} says little"
                )
        here = {kind[int(i)] for i in part}
        if len(set(kind.values())) > 1 and len(here) == 1:
            said.append(
                f"the {name} part holds one kind of configuration only ({here.pop()}); it says nothing of others"
            )
    return said


NOTHING = 1e-3
"""Of the root mean square in training; vectors that are all shorter are none."""


def _sizes(data: GraphDataset, label: str, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Root mean square length of the vectors ``label`` of each structure of ``index`` that has any."""
    column = data.columns[label]
    owner = np.repeat(np.arange(len(index)), data.atom_counts()[index])
    atoms = data.atoms_of(index)
    there = column.mask[atoms]
    squares = np.bincount(owner[there], np.square(column.values[atoms[there]]).sum(1), minlength=len(index))
    numbers = np.bincount(owner[there], minlength=len(index))
    return np.asarray(np.sqrt(squares[numbers > 0] / numbers[numbers > 0]), dtype=np.float64)
