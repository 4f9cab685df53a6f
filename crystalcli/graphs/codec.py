"""What became of structures, as bytes: JSON for the small things, flat arrays for the graphs, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from crystalcli.engine.cache.cache_packing import PackedGraph
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.read.reading import Failure
from crystalcli.graphs.packing import Built, FileOutcome, LeftOut
from crystalcli.vocabulary.quantities import Quantity

RAGGED = ("positions", "atomic_numbers", "degree", "neighbor", "shift")
"""Arrays whose length differs from graph to graph."""
FIXED = ("cell", "pbc")
HASHES = ("sha256", "graph_sha256")


class _Loose:
    """Arrays that belong to single structures, by number."""

    def __init__(self, arrays: dict[str, NDArray[Any]] | None = None) -> None:
        self.arrays = arrays if arrays is not None else {}

    def put(self, value: Any) -> Any:
        """``value`` as JSON can have it; an array leaves its number."""
        if isinstance(value, np.ndarray):
            name = f"loose/{len(self.arrays)}"
            self.arrays[name] = np.ascontiguousarray(value)
            return {"array": name}
        return {"value": value.item() if isinstance(value, np.generic) else value}

    def get(self, said: Mapping[str, Any]) -> Any:
        """The opposite of :meth:`put`."""
        return self.arrays[said["array"]] if "array" in said else said["value"]


def to_bytes(outcomes: Sequence[FileOutcome]) -> bytes:
    """Outcomes as one safetensors file."""
    loose = _Loose()
    rows = [_row(o, loose) for o in outcomes]
    graphs = [o.graph for o in outcomes if isinstance(o, Built)]
    arrays = dict(loose.arrays)
    for name in RAGGED:
        every = [getattr(g, name) for g in graphs]
        arrays[f"counts/{name}"] = np.array([len(a) for a in every], np.int64)
        if every:
            arrays[name] = np.ascontiguousarray(np.concatenate(every))
    for name in FIXED:
        if graphs:
            arrays[name] = np.stack([getattr(g, name) for g in graphs])
    return safetensors.numpy.save(arrays, {"outcomes": json.dumps(rows)})


def from_bytes(data: bytes) -> list[FileOutcome]:
    """Outcomes of :func:`to_bytes`."""
    length = int.from_bytes(data[:8], "little")
    rows = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["outcomes"])
    arrays = safetensors.numpy.load(data)
    loose = _Loose(arrays)
    pieces = {n: np.split(arrays[n], np.cumsum(arrays[f"counts/{n}"])[:-1]) for n in RAGGED if n in arrays}
    found: list[FileOutcome] = []
    k = 0
    for row in rows:
        if row["kind"] == "failure":
            found.append(Failure(**row["failure"]))
        elif row["kind"] == "left out":
            found.append(LeftOut(row["label"]))
        else:
            found.append(_built(row, loose, {n: p[k] for n, p in pieces.items()}, {n: arrays[n][k] for n in FIXED}))
            k += 1
    return found


def _row(outcome: FileOutcome, loose: _Loose) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        return {"kind": "failure", "failure": asdict(outcome)}
    if isinstance(outcome, LeftOut):
        return {"kind": "left out", "label": outcome.label}
    entry, graph = outcome.entry, outcome.graph
    said = {f.name: getattr(entry, f.name) for f in fields(entry)}
    said["labels"] = [(k, loose.put(v)) for k, v in entry.labels.items()]
    said["tags"], said["left_out"] = dict(entry.tags), dict(entry.left_out)
    said["quantities"] = [(k, q.to_json()) for k, q in entry.quantities.items()]
    said["crystal"], said["sites"] = entry.crystal.hex(), entry.sites.hex()
    return {
        "kind": "built",
        "entry": said,
        "warnings": list(outcome.warnings),
        "hashes": [getattr(graph, h).hex() for h in HASHES],
        "fields": [(k, loose.put(v)) for k, v in graph.fields.items()],
    }


def _built(row: Mapping[str, Any], loose: _Loose, ragged: Mapping[str, Any], fixed: Mapping[str, Any]) -> Built:
    said = dict(row["entry"])
    said["labels"] = {k: loose.get(v) for k, v in said["labels"]}
    said["quantities"] = {k: Quantity.from_json(q) for k, q in said["quantities"]}
    said["crystal"], said["sites"] = bytes.fromhex(said["crystal"]), bytes.fromhex(said["sites"])
    said["lattice"], said["notes"] = tuple(tuple(v) for v in said["lattice"]), tuple(said["notes"])
    said["held"] = tuple(said["held"])
    hashes: dict[str, Any] = {name: bytes.fromhex(h) for name, h in zip(HASHES, row["hashes"], strict=True)}
    graph = PackedGraph(**ragged, **fixed, **hashes, fields={k: loose.get(v) for k, v in row["fields"]})
    return Built(Labelled(**said), tuple(row["warnings"]), graph)
