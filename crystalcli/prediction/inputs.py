"""Numbers of a structure that the model reads beside its graph, found where structures come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.model import model_inputs
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.structures.entry import Entry


class InputFinder:
    """Finds the numbers that a model reads; one that is missing is 0, and said at the end.

    Args:
        names: what the model reads.
        requests: under which keys files have them; default their own names.
        warn: told how many structures have none.
    """

    def __init__(self, names: Sequence[str], requests: Sequence[LabelRequest], warn: Callable[[str], None]) -> None:
        self.keys = {n: tuple(r.key for r in requests if r.name == n) or (n,) for n in names}
        self.warn = warn
        self.missing: Counter[str] = Counter()

    def given(self, graph: GraphArrays, entry: Entry) -> GraphArrays:
        """``graph`` of a structure as read, with its numbers."""
        fields = dict(graph.fields)
        for name, keys in self.keys.items():
            if name in fields:
                continue
            value = model_inputs.number(entry.labels, keys)
            self.missing[name] += value is None
            fields[name] = model_inputs.at_all_sites(value or 0.0, graph.n_atoms)
        return replace(graph, fields=fields)

    def take_from(self, data: GraphDataset) -> None:
        """Let the batches of a cache hold the numbers."""
        self.missing.update(model_inputs.take_from_cache(data, tuple(self.keys)))

    def say(self) -> None:
        """Say of how many structures a number is not known."""
        for name, n in self.missing.items():
            if n:
                self.warn(f"{n} structures do not say their '{name}', which the model reads; it is taken as 0")
        self.missing.clear()
