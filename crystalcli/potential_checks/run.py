"""All checks of a potential: on structures, and on every pair of elements alone."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols

from crystalcli.contracts.dynamics import Potential
from crystalcli.engine.host.services import Services
from crystalcli.engine.potential.potential_names import model_file
from crystalcli.engine.potential.potentials import Precision, named
from crystalcli.engine.read.input_digest import digest
from crystalcli.engine.run.devices import prepare_cpu
from crystalcli.potential_checks import conservation, derivatives, diatomics, examples, plots, speed, symmetry
from crystalcli.potential_checks.asking import Asking, Noise
from crystalcli.potential_checks.findings import (
    ALL,
    CHECKS,
    OF_PAIRS,
    OF_STRUCTURES,
    CheckRequest,
    Finding,
    judged,
    not_run,
)
from crystalcli.potential_checks.smoothness import smooth
from crystalcli.vocabulary.errors import Exit, InputError, NothingUsable, UsageError

NOISE_ENERGY, NOISE_FORCE = 1e-5, 1e-3
"""eV/atom and eV/Å: more noise than single precision has is a finding."""
MOST_ELEMENTS = 12
"""Of more elements that a potential knows, pairs are tried of those of the structures, unless all are asked for."""


@dataclass
class Report:
    """What was found.

    Args:
        findings: in order. speeds: of every structure. curves: of every pair that has one. notes: what was left out.
    """

    findings: list[Finding] = field(default_factory=list)
    speeds: list[speed.Speed] = field(default_factory=list)
    curves: list[diatomics.Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``exit_code`` is 0 only where everything was tried and passed."""
        counts = Counter(f.status for f in self.findings)
        good = counts["passed"] == len(self.findings)
        return {
            "findings": [f.to_json() for f in self.findings],
            "passed": counts["passed"],
            "failed": counts["failed"],
            "not_run": counts["not run"],
            "speed": [dataclasses.asdict(s) for s in self.speeds],
            "curves": [
                {"pair": c.name, "from": float(c.distances[0]), "step": diatomics.STEP, "energy": c.energies.tolist()}
                for c in self.curves
            ],
            "notes": list(self.notes),
            "exit_code": int(Exit.OK if good else Exit.SOME_FAILED),
        }


def prepared(name: str, options: Mapping[str, Any], *, device: str, dtype: Precision, threads: int = 0) -> Potential:
    """The potential of that name, ready to be asked.

    Raises:
        UsageError: no such potential or option. InputError: the model cannot be read. EnvironmentProblem: no device.
    """
    if threads:
        torch.set_num_threads(threads)
    potential = named(name, device=device, dtype=dtype, options=options)
    prepare_cpu()
    return potential


def digests(name: str, structures: Sequence[Path]) -> dict[str, str]:
    """Hashes of the files that are read, as run.json has them: the model, if the potential is one, and structures."""
    model = model_file(name)
    return {str(path): digest(path) for path in [*([model] if model else []), *structures]}


def draw(report: Report, path: Path, title: str) -> int:
    """Write the picture of the curves of pairs; returns how many are in it, 0 where there is none to draw."""
    if not report.curves:
        return 0
    edges = {f.subject: f.more["edge"] for f in report.findings if "edge" in f.more}
    return plots.draw([path], report.curves, edges, title=title)


def read(paths: Sequence[Path], warn: Callable[[str], None]) -> tuple[dict[str, ase.Atoms], list[Finding]]:
    """Structures by id, and a finding for each that cannot be read.

    Raises:
        NothingUsable: none can.
    """
    found: dict[str, ase.Atoms] = {}
    bad: list[Finding] = []
    for item in Services(warn=warn).structures([str(p) for p in paths]):
        if isinstance(item, InputError):
            bad.append(not_run("read", str(item.path), item.reason))
        else:
            found[item.id] = item.atoms
    if paths and not found:
        why = f"; {bad[0].subject}: {bad[0].said}" if bad else ""
        raise NothingUsable(f"none of the structures can be read{why}")
    return found, bad


def check(
    potential: Potential,
    structures: Mapping[str, ase.Atoms],
    asked: CheckRequest,
    *,
    example: ase.Atoms | None = None,
    heard: Callable[[str], None] = lambda _now: None,
) -> Report:
    """Try everything that is asked for.

    Args:
        potential: any.
        structures: by id; none: some are made of its elements, or of ``example``.
        asked: which checks.
        example: a crystal that it can evaluate, where its elements are not known.
        heard: told what is under way.

    Raises:
        UsageError: no structures, and nothing that says which elements it knows; an element that is none.
        NothingUsable: it evaluates none of the structures.
    """
    report, asking = Report(), Asking(potential)
    known = sorted(getattr(potential, "elements", ()))
    chosen = _numbers(asked.elements)
    crystals = dict(structures) or _made(asking, chosen, known, example, asked.seed)
    noises = [n for name, atoms in crystals.items() if (n := _of_structure(asking, name, atoms, asked, report, heard))]
    if not structures:
        _excuse_melting(report)
    if not noises:
        raise NothingUsable(f"{potential.name} evaluates none of the structures: {report.findings[-1].said}")
    if set(asked.checks) & set(OF_PAIRS):
        sound = [n for n in noises if math.isfinite(n.energy)]  # another says nothing of pairs
        noise = min(sound, key=lambda n: n.energy, default=Noise(0.0, 0.0))  # two atoms are less noisy than any crystal
        there = sorted({int(z) for atoms in crystals.values() for z in atoms.numbers})
        for pair in diatomics.pairs(_of_pairs(asked.elements, chosen, known, there, report)):
            _of_pair(asking, pair, noise, asked, report, heard)
    return report


def _of_structure(
    asking: Asking,
    name: str,
    given: ase.Atoms,
    asked: CheckRequest,
    report: Report,
    heard: Callable[[str], None],
) -> Noise | None:
    """All checks on one structure; none where the potential cannot evaluate it."""
    rng = np.random.default_rng([asked.seed, len(given)])
    atoms = examples.shaken(given, rng)
    heard(f"{name}: noise")
    try:
        noise = asking.noise(atoms, rng)
    except InputError as problem:
        lost = [c for c in asked.checks if c in OF_STRUCTURES] or [
            "noise"
        ]  # it is told, though only pairs are asked for
        report.findings += [not_run(c, name, problem.reason) for c in lost]
        return None
    for finding in _each(asking, name, atoms, noise, asked, heard):
        if finding.check in asked.checks:
            report.findings.append(finding)
    if "speed" in asked.checks:
        heard(f"{name}: speed")
        try:
            report.speeds.append(speed.measured(asking, name, atoms, rng))
        except InputError as problem:
            report.findings.append(not_run("speed", name, problem.reason))
    return noise


def _each(
    asking: Asking, name: str, atoms: ase.Atoms, noise: Noise, asked: CheckRequest, heard: Callable[[str], None]
) -> Iterator[Finding]:
    # a generator of its own for each: one check left out changes none of the others
    def chance(check: str) -> np.random.Generator:
        return np.random.default_rng([asked.seed, len(atoms), CHECKS.index(check)])

    yield _noise(name, noise, len(atoms))
    tries: dict[tuple[str, ...], Callable[[], list[Finding]]] = {
        tuple(symmetry.SEEING): lambda: symmetry.checks(asking, name, atoms, noise, chance("repeat")),
        ("forces",): lambda: [derivatives.forces(asking, name, atoms, noise, chance("forces"))],
        ("stress",): lambda: [derivatives.stress(asking, name, atoms, noise)],
        ("smooth",): lambda: [smooth(asking, name, atoms, noise)],
        ("drift",): lambda: [
            conservation.checked(asking, name, atoms, kelvin=asked.kelvin, steps=asked.steps, rng=chance("drift"))
        ],
    }
    for checks, attempt in tries.items():
        if not set(checks) & set(asked.checks):
            continue
        heard(f"{name}: {checks[0] if len(checks) == 1 else 'symmetry'}")
        try:
            yield from attempt()
        except InputError as problem:
            yield from (not_run(c, name, problem.reason) for c in checks)


def _noise(name: str, noise: Noise, n: int) -> Finding:
    found = {"energy (eV/atom)": noise.energy / n, "force (eV/Å)": noise.force}
    allowed = {"energy (eV/atom)": NOISE_ENERGY, "force (eV/Å)": NOISE_FORCE}
    return judged("noise", name, found, allowed, said="answers scatter by more than single precision does")


def _of_pair(
    asking: Asking,
    pair: tuple[int, int],
    noise: Noise,
    asked: CheckRequest,
    report: Report,
    heard: Callable[[str], None],
) -> None:
    heard(f"{diatomics.name_of(pair)}: diatomic curve")
    curve, findings = diatomics.checked(asking, pair, noise, [c for c in OF_PAIRS if c in asked.checks])
    report.findings += findings
    if curve is not None:
        report.curves.append(curve)


def _made(
    asking: Asking, chosen: list[int], known: list[int], example: ase.Atoms | None, seed: int
) -> dict[str, ase.Atoms]:
    """Structures where none are given."""
    elements = examples.few(chosen or known)
    found = {}
    if example is not None and not chosen:
        found[f"{example.get_chemical_formula()} example"] = example
    if elements:
        found |= examples.crystals(asking, elements)
    if not found:
        raise UsageError(
            f"{asking.potential.name} does not say which elements it knows; name structures, or --elements Si,O"
        )
    rng = np.random.default_rng(seed)
    return {name: examples.sheared(atoms, rng) for name, atoms in found.items()}


def _excuse_melting(report: Report) -> None:
    """Crystals that were made here and fly apart are no fault of the potential's, if another holds together."""
    drifts = [f for f in report.findings if f.check == "drift"]
    wild = [f for f in drifts if "hottest" in f.more and f.status == "not run"]
    if len(wild) < len(drifts):
        report.findings = [f for f in report.findings if f not in wild]
        report.notes += [f"drift: {f.subject}, made here, {f.said}" for f in wild]


def _of_pairs(said: Sequence[str], chosen: list[int], known: list[int], there: list[int], report: Report) -> list[int]:
    """Elements whose pairs are tried; what is left out is noted."""
    if chosen:
        return chosen
    every = known or there
    if tuple(said) == (ALL,) and not known:
        report.notes.append("it does not say which elements it knows: pairs of those of the structures only")
    if tuple(said) == (ALL,) or len(every) <= MOST_ELEMENTS:
        return every
    some = there if len(there) <= MOST_ELEMENTS else there[:MOST_ELEMENTS]
    report.notes.append(
        f"pairs of {', '.join(chemical_symbols[z] for z in some)} only, of {len(every)} elements; --elements all tries "
        f"all {len(every) * (len(every) + 1) // 2} pairs"
    )
    return some


def _numbers(symbols: Sequence[str]) -> list[int]:
    if tuple(symbols) == (ALL,):
        return []
    for symbol in symbols:
        if not atomic_numbers.get(symbol):
            raise UsageError(f"--elements: no element '{symbol}'; as in Si,O, or all")
    return sorted({atomic_numbers[s] for s in symbols})
