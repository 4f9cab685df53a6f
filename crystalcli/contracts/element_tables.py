"""Tensors with rows by element: what a module says of them, and how the rows go on in a module for other elements.

A module names those of its parameters and buffers (or of a submodule, with dots) in an attribute::

    class Species(nn.Module):
        element_tables = {"weight": ElementTable(0), "pairs": ElementTable(0, 1)}

A training that starts from a model with other elements keeps each element's rows by symbol; those of new elements begin
as the module built anew has them. Nothing else of a module may have a shape that hangs on the number of elements.
Where rows of an element count in what is made of others, too, the module has a method
``forget_elements(places)``, called before the rows at these places of :attr:`Statistics.elements` are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from crystalcli.vocabulary.errors import UsageError

ATTRIBUTE, FORGET = "element_tables", "forget_elements"


class ElementTable:
    """Which axes of a tensor count elements.

    Args:
        axes: their numbers; two for pairs of elements.
        by_number: the axes have a row for every atomic number; else one for each of ``Statistics.elements``, in order.
        from_statistics: the tensor holds what the statistics say and is never learned. A model that is trained on has
            statistics of both trainings (of shortest distances the shorter), and its table is built from them.
    """

    def __init__(self, *axes: int, by_number: bool = False, from_statistics: bool = False) -> None:
        self.axes, self.by_number, self.from_statistics = axes, by_number, from_statistics

    def carried(self, old: Tensor, new: Tensor, old_elements: Sequence[int], new_elements: Sequence[int]) -> Tensor:
        """``new`` with the rows that ``old`` has of the elements in both, by element.

        Raises:
            ValueError: shapes that do not go with the elements.
        """
        if self.from_statistics:
            return new
        for tensor, n in ((old, len(old_elements)), (new, len(new_elements))):
            if not self.by_number and any(tensor.shape[axis] != n for axis in self.axes):
                raise ValueError(f"has shape {list(tensor.shape)} and not {n} rows, one per element, along {self.axes}")
        both = [z for z in old_elements if z in new_elements]
        there, here = (both if self.by_number else [e.index(z) for z in both] for e in (old_elements, new_elements))
        front = tuple(range(len(self.axes)))
        out = new.clone()
        rows = old.movedim(self.axes, front)[_mesh(there, len(front))]
        out.movedim(self.axes, front)[_mesh(here, len(front))] = rows
        return out


def tables_of(module: nn.Module) -> dict[str, ElementTable]:
    """What ``module`` and all modules in it say, by name in the state of ``module``.

    Raises:
        UsageError: a name that is no tensor of the module that says it.
    """
    found = {}
    known = {n for n, _ in module.named_parameters(remove_duplicate=False)}
    known |= {n for n, _ in module.named_buffers(remove_duplicate=False)}
    for path, part in module.named_modules(remove_duplicate=False):
        said: Mapping[str, ElementTable] = getattr(part, ATTRIBUTE, {})
        for name, table in said.items():
            whole = f"{path}.{name}" if path else name
            if whole not in known:
                raise UsageError(f"{type(part).__name__} has no tensor '{name}', which its {ATTRIBUTE} name")
            found[whole] = table
    return found


def carried(
    old: nn.Module, new: nn.Module, old_elements: Sequence[int], new_elements: Sequence[int]
) -> dict[str, Tensor]:
    """The state of ``new``, a module as ``old`` but for other elements, with all that ``old`` has learned.

    ``old`` forgets elements that ``new`` does not have.

    Raises:
        UsageError: a tensor that has another shape in ``new`` though nothing says that it counts elements.
    """
    gone = [k for k, z in enumerate(old_elements) if z not in new_elements]
    if gone:
        for part in old.modules():
            if hasattr(part, FORGET):
                getattr(part, FORGET)(gone)
    tables, state = tables_of(new), new.state_dict()
    for name, value in old.state_dict().items():
        if name not in state:
            raise UsageError(f"the tensor '{name}' is not there any more when the model is built for other elements")
        try:
            if name in tables:
                state[name] = tables[name].carried(value, state[name], old_elements, new_elements)
            elif value.shape != state[name].shape:
                raise ValueError(
                    f"has shape {list(value.shape)}, and {list(state[name].shape)} for other elements; no {ATTRIBUTE} "
                    "of the part name it"
                )
            else:
                state[name] = value
        except (ValueError, IndexError) as problem:
            raise UsageError(f"tensor '{name}' {problem}, so that no training can start from it") from problem
    return state


def _mesh(rows: Sequence[int], n: int) -> tuple[Tensor, ...]:
    """Indices of all combinations of ``rows`` along the first ``n`` axes."""
    where = torch.tensor(rows, dtype=torch.int64)
    return torch.meshgrid(*[where] * n, indexing="ij")
