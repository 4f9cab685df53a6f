"""Graph caches as a whole: what is in them, whether it is sound, several made one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.engine.cache.cache import Column, GraphCache
from crystalcli.engine.cache.cache_check import CacheVerdict, verify
from crystalcli.engine.cache.cache_union import check_together, distinct_ids, joined_columns
from crystalcli.engine.cache.cache_writer import CacheWriter
from crystalcli.engine.run import files, locks
from crystalcli.vocabulary.errors import UsageError


@dataclass(frozen=True)
class MergeReport:
    """What came out of a merge: the new cache, and how many ids had to be kept apart."""

    cache: GraphCache
    renamed: int


def info(path: Path) -> dict[str, Any]:
    """Describe the cache at ``path``: plain values, lengths in Å, sizes in bytes.

    Raises:
        InputError: not a cache.
    """
    cache = GraphCache(path)
    atoms = np.diff(cache.atom_pointers)
    edges = np.diff(cache.edge_pointers)
    numbers, amounts = np.unique(cache.array("atoms/atomic_numbers"), return_counts=True)
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "structures": len(cache),
        "atoms": int(atoms.sum()),
        "edges": int(edges.sum()),
        "atoms_per_structure": _spread(atoms),
        "edges_per_atom": float(edges.sum() / atoms.sum()),
        "isolated_atoms": int((cache.array("atoms/degree") == 0).sum()),
        "elements": {chemical_symbols[z]: int(n) for z, n in zip(numbers, amounts, strict=True)},
        "duplicate_structures": len(cache) - len(np.unique(cache.hashes, axis=0)),
        "featurizer": cache.recipe.featurizer,
        "options": dict(cache.recipe.options),
        "fields": list(cache.recipe.fields),
        "fingerprint": cache.recipe.fingerprint,
        "versions": cache.versions,
        "labels": {name: _label(column) for name, column in cache.columns.items()},
        "tags": {name: dict(Counter(column).most_common(20)) for name, column in cache.tags.items()},
        "failures": cache.failures,
    }


def verify_file(path: Path, listen: Callable[[int, str], None] = lambda _n, _text: None) -> CacheVerdict:
    """Check every structure of the cache at ``path``.

    Raises:
        InputError: not a cache.
    """
    return verify(GraphCache(path), listen)


def merge(paths: Sequence[Path], output: Path, *, overwrite: bool = False) -> MergeReport:
    """Write the structures of several caches into one, in order.

    Labels and tags are united: what a cache does not have is missing there. Ids that occur in several caches become
    ``CACHE:ID``. Failures are kept.

    Raises:
        UsageError: different recipes, one label with two meanings, or an output that is an input or is there already.
        InputError: a file is no cache.
    """
    files.refuse_to_overwrite(output, overwrite)
    if output.resolve() in {p.resolve() for p in paths}:
        raise UsageError("is an input too; choose another output with -o", path=output)
    caches = [GraphCache(p) for p in paths]
    check_together(caches)
    ids, columns = distinct_ids(caches), joined_columns(caches)
    failures = [f for c in caches for f in c.failures]
    inputs = hashlib.sha256("\n".join(c.inputs_digest for c in caches).encode()).hexdigest()
    versions = {k: v for c in caches for k, v in c.versions.items()}
    with locks.locked(output), CacheWriter(output) as writer:
        for cache in caches:
            writer.extend(cache, ids[len(writer) : len(writer) + len(cache)])
        writer.finish(caches[0].recipe, list(columns.values()), failures, versions=versions, inputs=inputs)
    renamed = sum(new != old for new, old in zip(ids, (i for c in caches for i in c.ids), strict=True))
    return MergeReport(GraphCache(output), renamed)


def _spread(counts: NDArray[np.int64]) -> dict[str, float]:
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": float(counts.mean()),
        "max": int(counts.max()),
    }


def _label(column: Column) -> dict[str, Any]:
    have = column.values[column.mask]
    spread: dict[str, float | None] = dict.fromkeys(("min", "mean", "max"))
    if have.size:
        spread = {"min": float(have.min()), "mean": float(have.mean()), "max": float(have.max())}
    kept = {k: v for k, v in column.quantity.to_json().items() if k != "name"}
    return {**kept, "present": int(column.mask.sum()), "missing": int((~column.mask).sum()), **spread}
