"""The paper's claim in a closed world: a potential that has seen crystals only, judged on glasses by its teacher.

The world is effective-medium theory: six metals, whose crystals, ordered and random alloys are relaxed and strained a
little. No liquid and no glass is among the data.

    python closed_world.py data -o crystals.extxyz
    python closed_world.py compare GLASSES EMT_RELAXED -o closed-world
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

METALS = ("Al", "Ni", "Cu", "Pd", "Ag", "Au")
ORDERED = {"L1_2": (0,), "L1_0": (0, 1)}
"""Sites of the cube of four atoms that the second element takes."""
SHARES = (4, 8, 16, 24, 28)
"""Atoms of the second element among 32, at random."""
STRAINS, SHAKES = (0.01, 0.03), (0.03, 0.1)
"""Standard deviations of the components of a strain, and of what atoms are moved by, Å."""
FOLDS = 5


def crystals() -> Iterator[tuple[str, ase.Atoms]]:
    """Elements, ordered alloys of both orders, random ones; cells by Vegard's rule."""
    rng = np.random.default_rng(1)
    for a in METALS:
        yield a, bulk(a, cubic=True)
    for a, b in combinations(METALS, 2):
        for name, sites in ORDERED.items():
            for one, two in ((a, b), (b, a)) if len(sites) == 1 else ((a, b),):
                yield f"{one}{two}-{name}", _mixed(bulk(one, cubic=True), one, two, sites)
        for n in SHARES:
            cube = bulk(a, cubic=True) * (2, 2, 2)
            yield f"{a}{b}-random-{n}", _mixed(cube, a, b, rng.permutation(32)[:n])


def _mixed(atoms: ase.Atoms, a: str, b: str, sites: np.ndarray | tuple[int, ...]) -> ase.Atoms:
    symbols = np.array([a] * len(atoms), dtype=object)
    symbols[list(sites)] = b
    atoms.set_chemical_symbols(list(symbols))
    share = len(sites) / len(atoms)
    lengths = [bulk(s, cubic=True).cell[0, 0] for s in (a, b)]
    atoms.set_cell(atoms.cell * ((1 - share) + share * lengths[1] / lengths[0]), scale_atoms=True)
    return atoms


def frames() -> Iterator[ase.Atoms]:
    """What a relaxation passes, its end, and that strained and shaken."""
    rng = np.random.default_rng(0)
    for name, atoms in crystals():
        atoms.calc = EMT()
        passed: list[ase.Atoms] = []
        relaxation = FIRE(FrechetCellFilter(atoms), logfile=None)
        relaxation.attach(lambda atoms=atoms, passed=passed: passed.append(_kept(atoms)))
        relaxation.run(fmax=0.01, steps=200)
        kinds = ["relaxation"] * (len(passed) - 1) + ["relaxed"]
        chosen = sorted({0, len(passed) // 3, len(passed) - 1})
        yield from (_named(passed[k], f"{name}-{k}", kinds[k]) for k in chosen)
        for strain, shake in zip(STRAINS, SHAKES, strict=True):
            moved = _kept(atoms)
            bend = rng.normal(0.0, strain, (3, 3))
            moved.set_cell(moved.cell @ (np.eye(3) + 0.5 * (bend + bend.T)), scale_atoms=True)
            moved.positions += rng.normal(0.0, shake, moved.positions.shape)
            moved.calc = EMT()
            yield _named(_kept(moved), f"{name}-strain-{strain}", "strained")


def _kept(atoms: ase.Atoms) -> ase.Atoms:
    found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
    made = atoms.copy()
    made.calc = SinglePointCalculator(made, **found)
    return made


def _named(atoms: ase.Atoms, name: str, kind: str) -> ase.Atoms:
    atoms.info = {"id": name, "kind": kind}
    return atoms


def compare(glasses: Path, relaxed: Path) -> dict[str, object]:
    """Errors of the model's energies, meV/atom: on its own glasses (single point), and each relaxed by its own.

    Args:
        glasses: run of ``crystal glass`` with the model.
        relaxed: run of ``crystal relax --potential emt --cell full`` of its ``glass.extxyz``.
    """
    with (glasses / "glasses.csv").open(encoding="utf-8") as file:
        rows = {r["id"]: r for r in csv.DictReader(file)}
    judged = {str(a.info["id"]): a.get_potential_energy() / len(a) for a in ase.io.iread(relaxed / "relaxed.extxyz")}
    found = []
    for name, row in rows.items():
        file = glasses / "glasses" / name / "glass.extxyz"
        if row["status"] != "ok" or not file.exists() or name not in judged:
            continue
        atoms = ase.io.read(file)
        model = atoms.get_potential_energy() / len(atoms)
        atoms.calc = EMT()
        pair = "-".join(sorted(set(atoms.get_chemical_symbols())))
        found.append((name, pair, model, atoms.get_potential_energy() / len(atoms), judged[name]))
    model, single, own = (np.array([f[k] for f in found]) for k in (2, 3, 4))
    pairs = np.array([f[1] for f in found])
    return {
        "boxes": len(rows),
        "stable": sum(r["status"] == "ok" for r in rows.values()),
        "begun_again": sum(r["begun_again"] != "0" for r in rows.values()),
        "compared": len(found),
        "single_point": errors(model, single, pairs),
        "each_relaxed": errors(model, own, pairs),
        "rows": [dict(zip(("id", "system", "model", "emt", "emt_relaxed"), f, strict=True)) for f in found],
    }


def errors(model: np.ndarray, truth: np.ndarray, systems: np.ndarray) -> dict[str, object]:
    """MAE, mean error, and MAE after E' = a + bE of systems that were not in the fit; meV/atom."""
    off = 1e3 * (model - truth)
    names = sorted(set(systems.tolist()))
    corrected = np.empty_like(off)
    for fold in range(FOLDS):
        out = np.isin(systems, names[fold::FOLDS])
        slope, level = np.polyfit(model[~out], truth[~out], 1)
        corrected[out] = 1e3 * (level + slope * model[out] - truth[out])
    return {
        "mae": float(np.abs(off).mean()),
        "mean": float(off.mean()),
        "rmse": float(np.sqrt((off**2).mean())),
        "largest": float(np.abs(off).max()),
        "mae_affine": float(np.abs(corrected).mean()),
        "mae_by_system": {s: float(np.abs(off[systems == s]).mean()) for s in names},
    }


def draw(said: dict[str, object], path: Path) -> None:
    """Histogram of the errors, as Fig. 4 of the paper."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
    rows: list[dict[str, float]] = said["rows"]  # type: ignore[assignment]
    for key, words in (("emt", "same geometry"), ("emt_relaxed", "each relaxed by its own")):
        axes.hist([1e3 * (r["model"] - r[key]) for r in rows], bins=30, histtype="step", label=words)
    axes.set_xlabel("energy of the model less that of EMT (meV/atom)")
    axes.set_ylabel("boxes")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Make the data, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="what", required=True)
    data = commands.add_parser("data")
    judge = commands.add_parser("compare")
    judge.add_argument("glasses", type=Path)
    judge.add_argument("relaxed", type=Path)
    for one in (data, judge):
        one.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    if asked.what == "data":
        made = list(frames())
        ase.io.write(asked.output, made, format="extxyz")
        print(f"{len(made)} structures, {sum(map(len, made))} atoms -> {asked.output}")
        return
    said = compare(asked.glasses, asked.relaxed)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "errors.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    draw(said, asked.output / "histogram.png")
    print(json.dumps({k: v for k, v in said.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main()
