"""The work of ``crystal eos``: energies at several volumes, and the third-order Birch-Murnaghan curve through them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np

from crystal_eos import EosOptions
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError
from crystalcli.vocabulary.units import GPA


class Eos(Work):
    """Equations of state of all structures.

    Raises:
        UsageError: nothing to work on, or no potential.
    """

    def __init__(self, request: Request, host: Host) -> None:
        self.options: EosOptions = request.options
        if not self.options.structures or not self.options.potential:
            raise UsageError("name structures, and --potential NAME or --potential MODEL")
        self.request, self.host = request, host
        self.potential = host.potential(request, device=self.options.device)
        self.inputs = [Path(f) for f in self.options.structures]
        self.facts = {"device": str(self.potential.device)}

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        return {
            "points": self.options.points,
            "files": len(self.options.structures),
            "potential": self.potential.name,
        }

    def do(self, run: Run) -> dict[str, Any]:
        """One structure after the other; what is done is kept in a file."""
        rows: list[dict[str, Any]] = []
        failed: list[dict[str, str]] = []
        for item in self.host.structures(self._files(run)):
            run.stop_if_asked()
            if isinstance(item, InputError):
                failed.append({"id": str(item.path), "reason": item.reason})
                continue
            kept = run.path / f"points-{len(rows) + len(failed)}.json"
            if not kept.exists():
                try:
                    found = fitted(*self.curve(item.atoms))
                except InputError as problem:
                    failed.append({"id": item.id, "reason": problem.reason})
                    continue
                run.write(kept.name, json.dumps({"id": item.id, **found}))
            rows.append(json.loads(kept.read_text(encoding="utf-8")))
            run.reporter.progress(item.id, len(rows), None)
        if not rows:
            raise NothingUsable(f"no equation of state: {failed[0]['reason'] if failed else 'no structures'}")
        heads = "id,volume [Å³/atom],energy [eV/atom],bulk modulus [GPa],its pressure derivative\n"
        lines = (f"{r['id']},{r['volume']!r},{r['energy']!r},{r['bulk_modulus']!r},{r['derivative']!r}\n" for r in rows)
        run.write("eos.csv", heads + "".join(lines))
        return {"structures": rows, "failed": failed, "exit_code": 3 if failed else 0}

    def _files(self, run: Run) -> Sequence[str]:
        """The structures' files; of relaxed structures, if that is asked for."""
        if not self.options.relax:
            return self.options.structures
        asked = {"structures": self.options.structures, "potential": self.options.potential, "cell": "isotropic"}
        run.child("relax", "relaxed", asked, self.request.parts)
        return [str(run.path / "relaxed" / "relaxed.extxyz")]

    def curve(self, atoms: ase.Atoms) -> tuple[np.ndarray, np.ndarray]:
        """Volumes in Å³/atom, (P,), and energies in eV/atom, (P,)."""
        if not atoms.pbc.all():
            raise InputError("is not periodic along all three vectors, and so has no volume", code="not-periodic")
        factors = np.linspace(1 - self.options.range, 1 + self.options.range, self.options.points)
        strained = []
        for factor in factors:
            one = ase.Atoms(atoms.numbers, cell=atoms.cell, pbc=True, scaled_positions=atoms.get_scaled_positions())
            one.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
            strained.append(one)
        energies = self.potential.evaluate(Systems.of(strained, self.potential.device)).energy
        return factors * atoms.get_volume() / len(atoms), energies.cpu().numpy() / len(atoms)


def fitted(volumes: np.ndarray, energies: np.ndarray) -> dict[str, float]:
    """Minimum and curvature: the energy is a cubic in x = V^(-2/3) (Birch 1947, eq. 26).

    Args:
        volumes: (P,) Å³/atom.
        energies: (P,) eV/atom.

    Raises:
        InputError: no minimum within the volumes.
    """
    x = volumes ** (-2 / 3)
    middle = x.mean()  # the fit is of differences: the powers of x alone are nearly parallel
    cubic = np.polynomial.Polynomial.fit(x - middle, energies, 3).convert()
    first, second, third = (cubic.deriv(k) for k in (1, 2, 3))
    roots = [float(r.real) for r in first.roots() if abs(r.imag) < 1e-9 and second(r.real) > 0]
    inside = [r for r in roots if x.min() <= r + middle <= x.max()]
    if not inside:
        raise InputError("has no minimum of the energy within the range of volumes; relax it first", code="no-minimum")
    at, x0 = inside[0], inside[0] + middle
    volume = x0 ** (-3 / 2)
    # B = V E''(V) at the minimum, with dx/dV = -(2/3) V^(-5/3); B' = -V/B dB/dV - ... from the third derivative
    d1, d2 = -2 / 3 * volume ** (-5 / 3), 10 / 9 * volume ** (-8 / 3)
    bulk = volume * second(at) * d1**2
    third_of_v = third(at) * d1**3 + 3 * second(at) * d1 * d2
    derivative = -1 - volume**2 * third_of_v / bulk
    return {
        "volume": float(volume),
        "energy": float(cubic(at)),
        "bulk_modulus": float(bulk / GPA),
        "derivative": float(derivative),
    }
