"""What a person sees of labels of sites: how many there are, and what to do with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crystalcli.contracts.workflow import Shown


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    of = f" of {', '.join(found['elements'])}" if found["elements"] else ""
    lines = [f"would label the sites{of} of {found['files']} files with {', '.join(found['labels'])}"]
    if found["potential"]:
        lines.append(f"potential: {found['potential']}")
    return Shown([*lines, f"output: {found['output']}; nothing was written"])


def shown(report: Mapping[str, Any]) -> Shown:
    """How many sites have each label."""
    lines = [f"{name}: {n} of {report['sites']} sites" for name, n in report["labelled"].items()]
    lines.append(f"{report['n']} structures -> {report['output']}")
    return Shown([*lines, f"next: crystal build-graphs {report['output']} --targets {report['targets']}"])
