"""Structure files → graph cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import ase.io
import numpy as np

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Featurizer
from crystalcli.mechanisms.cache import Column, GraphRecipe, write_cache
from crystalcli.mechanisms.files import refuse_to_overwrite
from crystalcli.mechanisms.plugin_manager import registry
from crystalcli.vocabulary.errors import Exit, NothingUsable
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class BuildPlan:
    """What to build: inputs as typed, output, featurizer with its options, labels to take."""

    inputs: tuple[str, ...]
    output: Path
    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True)
class BuildReport:
    """What was built and what failed."""

    n_structures: int
    failures: tuple[Mapping[str, str], ...]

    @property
    def exit_code(self) -> Exit:
        """0, or 3 when some inputs failed."""
        return Exit.SOME_FAILED if self.failures else Exit.OK


def build(plan: BuildPlan) -> BuildReport:
    """Run ``plan``."""
    refuse_to_overwrite(plan.output, plan.overwrite)
    part = cast(Featurizer, registry().get("featurizer", plan.featurizer))
    options = opt.make(part.options, plan.options, owner=f"featurizer {part.name}")
    make_graph = part.build(options)
    ids, sources, graphs, failures = [], [], [], []
    table = _id_prop(Path(plan.inputs[0]).parent / "id_prop.csv")
    for name in plan.inputs:
        try:
            graphs.append(make_graph(ase.io.read(name)))
            ids.append(Path(name).stem)
            sources.append(name)
        except Exception as problem:
            failures.append({"path": name, "stage": "read", "reason": str(problem)})
    if not graphs:
        raise NothingUsable("no input could be read")
    values = np.array([table.get(i, np.nan) for i in ids])
    columns = [Column(Quantity("target"), values, np.isfinite(values))] if table else []
    write_cache(plan.output, GraphRecipe(part.name, opt.to_dict(options)), ids, sources, graphs, columns, failures)
    return BuildReport(len(ids), tuple(failures))


def _id_prop(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    rows = (line.split(",") for line in path.read_text().splitlines() if line.strip())
    return {r[0]: float(r[1]) for r in rows}
