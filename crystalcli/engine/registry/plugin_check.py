"""Does a plugin keep the contract? Record, partners, flags, and the contract tests of :mod:`crystalcli.testing`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import (
    Architecture,
    Calculator,
    Featurizer,
    Head,
    Logger,
    Part,
    Reader,
    ReadyModel,
    Relaxer,
    Sampler,
    Source,
)
from crystalcli.contracts.validation import part_problems
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry.plugin_manager import Registry
from crystalcli.vocabulary.errors import CrystalError

TIME_LIMIT = 600
"""Seconds for the contract tests of one part."""

CONTRACTS: Mapping[type[Part], str] = {
    Featurizer: "FeaturizerContract",
    Architecture: "ArchitectureContract",
    Head: "HeadContract",
    Relaxer: "RelaxerContract",
    Sampler: "SamplerContract",
    Reader: "ReaderContract",
    Source: "SourceContract",
    Calculator: "CalculatorContract",
    Logger: "LoggerContract",
    ReadyModel: "ReadyModelContract",
    Workflow: "WorkflowContract",
}


@dataclass(frozen=True)
class PluginFinding:
    """One check of one part.

    Args:
        part: ``"architecture lcgcn"``.
        check: what was checked.
        status: ``ok``, ``warning``, ``failed`` or ``not run``.
        text: what came out.
    """

    part: str
    check: str
    status: str
    text: str = ""


def check(part: Part, registry: Registry, flags: Mapping[str, str]) -> Iterator[PluginFinding]:
    """Check one part, cheap things first.

    Args:
        part: the record.
        registry: where its partners are looked up.
        flags: flags of the commands → the command that declares it.
    """
    label = f"{part.family} {part.name}"
    problems = part_problems(replace(part, name=part.name.rpartition(":")[2]))
    yield PluginFinding(label, "record", "failed" if problems else "ok", "; ".join(problems))
    if not isinstance(part, Workflow):  # its flags are those of its own command
        yield _flags(label, part, flags)
    if isinstance(part, Architecture):
        yield _partners(label, part, registry)
    if not problems:
        yield _contract(label, part, registry)


def _flags(label: str, part: Part, flags: Mapping[str, str]) -> PluginFinding:
    models = [part.options, getattr(part, "embed_options", opt.NoOptions)]
    names = [s.flag for m in models for s in opt.specs(m)]
    said = [f"--{n} is a flag of 'crystal {flags[f'--{n}']}'" for n in names if f"--{n}" in flags]
    said += [f"--{n} is declared twice" for n in sorted({n for n in names if names.count(n) > 1})]
    cure = f"; users must write --{part.name}.{names[0]} and its like" if said else ""
    return PluginFinding(label, "flags", "warning" if said else "ok", "; ".join(said) + cure)


def _partners(label: str, part: Architecture, registry: Registry) -> PluginFinding:
    """The default partners exist, take the wanted options, and give what the architecture requires."""
    try:
        featurizer = registry.get("featurizer", part.featurizer)
        head = registry.get("head", part.head)
        for name, wanted in part.partner_options.items():
            models = {p.name: p for p in (featurizer, head)}
            if name not in models:
                return PluginFinding(label, "partners", "failed", f"partner_options name '{name}', which is no partner")
            partner = models[name]
            opt.make(getattr(partner, "embed_options", partner.options), wanted, owner=f"{partner.family} {name}")
    except CrystalError as problem:
        return PluginFinding(label, "partners", "failed", str(problem))
    missing = sorted(part.requires - featurizer.provides)
    if missing:
        return PluginFinding(
            label, "partners", "failed", f"requires {', '.join(missing)}; {part.featurizer} gives none"
        )
    missing = sorted(head.requires - featurizer.provides - part.provides)
    if missing:
        return PluginFinding(label, "partners", "failed", f"its head {part.head} requires {', '.join(missing)}")
    return PluginFinding(label, "partners", "ok", f"featurizer {part.featurizer}, head {part.head}")


def _contract(label: str, part: Part, registry: Registry) -> PluginFinding:
    """Run the contract class of the family in a process of its own."""
    contract = next((c for kind, c in CONTRACTS.items() if isinstance(part, kind)), None)
    if contract is None:
        return PluginFinding(label, "contract", "not run", f"there are no contract tests for a {part.family}")
    if importlib.util.find_spec("pytest") is None:
        return PluginFinding(label, "contract", "not run", "pip install pytest")
    text = (
        f"from crystalcli.engine.registry.plugin_manager import registry\n"
        f"from crystalcli.testing import {contract}\n\n"
        f"class TestPart({contract}):\n"
        f"    part = registry().get({part.family!r}, {part.name!r})\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_contract.py"
        file.write_text(text, encoding="utf-8")
        Path(folder, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")  # pytest looks for one in /tmp, else
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-rfEs", "--tb=line", "-p", "no:cacheprovider"]
        command.append(file.name)
        named = [p.origin.target for p in registry.plugins if p.origin.entry is None]  # of its partners, too
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",  # the tensors are tiny
            "COLUMNS": "2000",  # pytest cuts the reason of a failure to the width of the terminal
            "CRYSTAL_PLUGINS": ",".join(named),
        }
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return PluginFinding(label, "contract", "failed", f"{contract} takes more than {TIME_LIMIT} s")
    lines = [line.strip("= ") for line in done.stdout.splitlines() if line.strip()]
    skipped = [line.partition("not run: ")[2] for line in lines if line.startswith("SKIPPED") and "not run: " in line]
    if done.returncode == 0 and skipped:
        return PluginFinding(label, "contract", "not run", f"{contract}: {lines[-1]}: {skipped[0]}")
    if done.returncode == 0:
        return PluginFinding(label, "contract", "ok", f"{contract}: {lines[-1]}")
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines[-1:] or [done.stderr[-200:]]
    return PluginFinding(label, "contract", "failed", f"{contract}: {failed[0]}")
