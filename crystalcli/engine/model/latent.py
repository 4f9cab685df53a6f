"""What a network makes of a site before its last layer, and which sites look alike to it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.run import files
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import InputError, UsageError

ARRAYS = ("ids", "sites", "numbers", "vectors")


@torch.no_grad()
def latent_vectors(model: CrystalModel, graph: CrystalGraph) -> Tensor:
    """Vector of every site, (N, H): what the head's last layer sees, or the architecture's scalars.

    The first where the head has a ``latent(embedding)``, as ``site`` has; the second for all others.
    """
    embedding = model.embed(graph)
    latent = getattr(model.head, "latent", None)
    vectors: Tensor = embedding.scalars if latent is None else latent(embedding.only(model.taken))
    return vectors


@dataclass(frozen=True)
class Latents:
    """Sites and their vectors.

    Args:
        ids: (n,) names of their structures. sites: (n,) places in them. numbers: (n,) atomic numbers.
        vectors: (n, H) float32.
    """

    ids: NDArray[np.str_]
    sites: NDArray[np.int64]
    numbers: NDArray[np.int64]
    vectors: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: Sequence[tuple[str, NDArray[np.int64], NDArray[np.float32]]]) -> Latents:
        """Sites of structures given as (id, atomic numbers, vectors)."""
        return cls(
            np.concatenate([np.full(len(z), name) for name, z, _ in parts]),
            np.concatenate([np.arange(len(z)) for _, z, _ in parts]),
            np.concatenate([z for _, z, _ in parts]).astype(np.int64),
            np.concatenate([v for _, _, v in parts]).astype(np.float32),
        )

    def save(self, path: Path) -> None:
        """Write a .npz of plain arrays."""
        buffer = io.BytesIO()
        np.savez(buffer, **{name: getattr(self, name) for name in ARRAYS})
        files.write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Latents:
        """Read what :meth:`save` wrote.

        Raises:
            UsageError: no such file. InputError: another file, or arrays that do not go together.
        """
        try:
            _refuse_implausible(path)
            with np.load(path, allow_pickle=False) as found:
                return _checked(cls(*(found[name] for name in ARRAYS)))
        except FileNotFoundError as problem:
            raise UsageError("no such file", path=path) from problem
        except (OSError, ValueError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as problem:
            raise InputError(f"holds no latent vectors: {problem}", path=path) from problem


def _refuse_implausible(path: Path) -> None:
    """Raise ValueError for arrays that the file cannot hold: NumPy gives them the room that they ask for."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with zipfile.ZipFile(path) as archive:
        for item in (archive.getinfo(f"{name}.npy") for name in ARRAYS):
            if item.compress_type != zipfile.ZIP_STORED or item.file_size > path.stat().st_size:
                raise ValueError(f"{item.filename} is compressed, or larger than the file")
            with archive.open(item) as member:
                shape, _, dtype = headers[np.lib.format.read_magic(member)](member)
                if prod(shape) * dtype.itemsize != item.file_size - member.tell():
                    raise ValueError(f"implausible size: {item.filename} declares {shape} of {dtype}")


def _checked(found: Latents) -> Latents:
    arrays = found.ids, found.sites, found.numbers, found.vectors
    shapes = [a.shape for a in arrays] == [(len(found.ids),)] * 3 + [(len(found.ids), *found.vectors.shape[-1:])]
    if not shapes or "".join(a.dtype.kind for a in arrays) != "Uiif" or not np.isfinite(found.vectors).all():
        raise ValueError("its arrays do not go together")
    return found


def nearest(queries: Latents, among: Latents, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The ``count`` sites of ``among`` nearest to every query by Euclidean distance, nearest first.

    Returns:
        Distances (n, count) and places in ``among`` (n, count); fewer columns where there are fewer sites.

    Raises:
        UsageError: vectors of another length, from another model.
    """
    from scipy.spatial import cKDTree

    if queries.vectors.shape[1] != among.vectors.shape[1]:
        raise UsageError(
            f"vectors of {queries.vectors.shape[1]} numbers cannot be compared with ones of {among.vectors.shape[1]}; "
            "take both from one model"
        )
    count = min(count, len(among.vectors))
    distances, places = cKDTree(among.vectors).query(queries.vectors, k=count)
    shape = (len(queries.vectors), count)
    return np.asarray(distances, dtype=np.float64).reshape(shape), np.asarray(places, dtype=np.int64).reshape(shape)
