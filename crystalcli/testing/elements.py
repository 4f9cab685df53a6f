"""Tables by element: declared, and carried by symbol when a model is trained on with other elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ase
import torch
from torch import Tensor, nn

from crystalcli.contracts.element_tables import carried, tables_of
from crystalcli.contracts.records import Statistics
from crystalcli.testing import crystals
from crystalcli.testing.compare import same

KNOWN = (8, 22, 38)
"""Elements of :func:`crystalcli.testing.crystals.rattled`."""
OTHERS = {
    "more elements": (1, 8, 13, 22, 38, 56),
    "another order of the elements": (38, 8, 22),
    "fewer elements": (8, 22),
    "one element and others": (8, 11, 17),
    "other elements": (13, 29),
}

Build = Callable[[tuple[int, ...]], nn.Module]
"""Elements → a fresh module in float64."""
Run = Callable[[nn.Module, ase.Atoms], Tensor]
"""What the module makes of a crystal."""


def with_elements(statistics: Statistics, elements: tuple[int, ...]) -> Statistics:
    """``statistics`` of a training split with ``elements``; an element has the same reference energy in all."""
    return replace(statistics, elements=elements, references=tuple(-0.1 * z for z in elements))


def check_tables(build: Build, what: str) -> None:
    """A shape that hangs on the number of elements is declared, and what is declared is true."""
    modules = {n: build(tuple(range(3, 3 + n))) for n in (3, 5)}
    states = {n: m.state_dict() for n, m in modules.items()}
    tables = tables_of(modules[3])
    assert states[3].keys() == states[5].keys(), f"{what}: which tensors there are hangs on the number of elements"
    for name, value in states[3].items():
        other = states[5][name]
        assert name in tables or value.shape == other.shape, (
            f"{what}: the shape of '{name}' hangs on the number of elements, and no element_tables name it"
        )
        if name not in tables or tables[name].by_number:
            continue
        axes = {axis % value.dim() for axis in tables[name].axes}
        for axis in range(value.dim()):
            counts = (value.shape[axis], other.shape[axis])
            assert (counts == (3, 5)) if axis in axes else (counts[0] == counts[1]), (
                f"{what}: axis {axis} of '{name}' has {counts[0]} rows for 3 elements, {counts[1]} for 5; "
                f"element_tables say that axes {sorted(axes)} count elements"
            )


def check_carried(build: Build, run: Run, what: str) -> None:
    """With other elements, crystals of those that stay are what they were."""
    crystal = crystals.rattled()
    for change, elements in OTHERS.items():
        torch.manual_seed(1)
        old = build(KNOWN)
        run(old.train(), crystal)  # what is taken from the first batch
        torch.manual_seed(2)
        new = build(elements)
        left = crystal[[z in elements for z in crystal.numbers]]
        expected = run(old.eval(), left).detach() if len(left) else None
        new.load_state_dict(carried(old, new, KNOWN, elements))
        if expected is not None:
            same(run(new.eval(), left), expected, f"{what} with {change}")
