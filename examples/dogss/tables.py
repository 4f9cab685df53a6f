"""The tables and figures of DOGSS on slabs that are made here; see README.md.

python tables.py WORK [--count 8000] [--epochs 24] [--steps-of 300] [--leave-out Pt] ...

Every step is a run of ``crystal`` in WORK, which is not done twice; the numbers end in WORK/tables.md, the pictures
beside it.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import ase
import ase.io
import matplotlib as mpl
import numpy as np
from ase.geometry import find_mic

mpl.use("agg")
import matplotlib.pyplot as plt

KINDS = ("bare", "H", "CO")
ADSORBATE = 2
PAPER = {  # J. Yoon, Z. W. Ulissi, Phys. Rev. Lett. 125, 173001 (2020): Table I, initial -> predicted, Å
    "bare": {"slab": (0.1337, 0.0635)},
    "H": {"slab": (0.0855, 0.0508), "adsorbate": (0.7841, 0.3301), "all": (0.1358, 0.0709)},
    "CO": {"slab": (0.0844, 0.0548), "adsorbate": (0.7286, 0.3237), "all": (0.1706, 0.0908)},
}
PAPER_STEPS = {"bare": (14.3, 10.1), "H": (27.3, 15.0), "CO": (104.8, 50.8)}
"""Table II: mean ionic steps to 0.05 eV/Å of density functional theory."""
PAPER_ENERGY = {"bare": (5.63, 2.80), "H": (9.41, 8.72), "CO": (7.07, 2.28)}
"""Fig. 4: by what the energy above the ground state, and the largest force, are divided."""


def crystal(work: Path, done: str, *words: object) -> None:
    """One command in ``work``, unless what it makes is there."""
    if not (work / done).exists():
        line = [str(w) for w in words]
        print("crystal", *line, flush=True)
        code = subprocess.run([sys.executable, "-m", "crystalcli", *line], cwd=work, check=False).returncode
        if code not in (0, 3):  # 3: some structures were left out, and it said which
            sys.exit(code)


def structures(work: Path, run: str, most: int) -> list[ase.Atoms]:
    """The test pairs of ``run``, of every kind of adsorbate ``most`` at most (0: all)."""
    test = set(json.loads((work / run / "splits.json").read_text())["test"])
    pairs = [a for a in ase.io.read(work / "slabs" / "pairs.extxyz", ":") if a.info["id"] in test]
    of_kind = {kind: [a for a in pairs if a.info["config_type"] == kind] for kind in KINDS}
    return [a for found in of_kind.values() for a in (found[:most] if most else found)]


def distances(atoms: ase.Atoms, places: np.ndarray) -> dict[str, np.ndarray]:
    """From ``places`` (N, 3) to where the atoms relaxed, Å, of free atoms: of the slab, of the adsorbate, of all."""
    _, far = find_mic(places - atoms.arrays["relaxed_positions"], atoms.cell, atoms.pbc)
    free = np.ones(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        free[constraint.index] = False
    on_it = atoms.get_tags() == ADSORBATE
    return {"slab": far[free & ~on_it], "adsorbate": far[free & on_it], "all": far[free]}


def table_one(pairs: list[ase.Atoms], guesses: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Losses before and after, micro: means over the atoms of the test part; and shares within thresholds."""
    names = list(guesses)
    lines = [f"| slabs | atoms | start | {' | '.join(names)} | change of {names[0]} | the paper's |"]
    lines += ["|---" * (len(names) + 5) + "|"]
    for kind in KINDS:
        mine = [a for a in pairs if a.info["config_type"] == kind]
        for which in ("slab", "adsorbate", "all"):
            if not mine or (kind == "bare" and which != "slab"):
                continue
            start = _mean(distances(a, a.positions)[which] for a in mine)
            after = {n: _mean(distances(a, g[a.info["id"]])[which] for a in mine) for n, g in guesses.items()}
            published = PAPER[kind][which]
            change = f"{100 * (after[names[0]] / start - 1):+.1f} %"
            theirs = f"{published[0]:.4f} → {published[1]:.4f} ({100 * (published[1] / published[0] - 1):+.1f} %)"
            cells = [f"{after[n]:.4f}" for n in names]
            lines.append(
                f"| {kind} ({len(mine)}) | {which} | {start:.4f} | {' | '.join(cells)} | {change} | {theirs} |"
            )
    lines += ["", f"| structures whose mean distance is within | start | {' | '.join(names)} |"]
    lines += ["|---" * (len(names) + 2) + "|"]
    every = {"start": {a.info["id"]: a.positions for a in pairs}, **guesses}
    means = {n: np.array([distances(a, g[a.info["id"]])["all"].mean() for a in pairs]) for n, g in every.items()}
    for limit in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        shares = [f"{100 * (m < limit).mean():.0f} %" for m in means.values()]
        lines.append(f"| {limit} Å | {' | '.join(shares)} |")
    return lines


def table_two(work: Path, runs: dict[str, str]) -> list[str]:
    """Steps to the goal from the file's places and from the model's, energies and forces there, by kind."""
    lines = [
        "| relaxer | slabs | steps from the file | from the model | change | the paper's | "
        "energy above the ground state ÷ | the paper's | largest force ÷ | the paper's | the file's place was better |",
        "|---" * 11 + "|",
    ]
    for relaxer, run in runs.items():
        with (work / run / "relaxation.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for kind in KINDS:
            mine = [r for r in rows if r["id"].endswith(f"-{kind}") and r["steps_given"]]
            if not mine:
                continue
            given, taken = (np.mean([float(r[k]) for r in mine]) for k in ("steps_given", "steps"))
            end = np.array([float(r["energy [eV]"]) for r in mine])
            above = [np.abs(np.array([float(r[k]) for r in mine]) - end).mean() for k in _ENERGIES]
            force = [np.mean([float(r[k]) for r in mine]) for k in _FORCES]
            worse = sum(r["begin"] == "file" for r in mine)
            (a, b), (energy, strength) = PAPER_STEPS[kind], PAPER_ENERGY[kind]
            cells = [relaxer, f"{kind} ({len(mine)})", f"{given:.1f}", f"{taken:.1f}", _change(given, taken)]
            cells += [f"{a} → {b} ({_change(a, b)})"]
            cells += [f"{above[0] / above[1]:.1f} ({above[0]:.3f} → {above[1]:.3f} eV)", str(energy)]
            cells += [f"{force[0] / force[1]:.1f}", str(strength), str(worse)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


_ENERGIES = ("energy_given [eV]", "energy_guess [eV]")
_FORCES = ("fmax_given [eV/Å]", "fmax_guess [eV/Å]")


def figure_three(path: Path, pairs: list[ase.Atoms], guess: dict[str, np.ndarray]) -> None:
    """Distances of atoms to where they relax, before and after."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), constrained_layout=True)
    for panel, (kind, which) in zip(panels, (("bare", "slab"), ("H", "adsorbate"), ("CO", "adsorbate")), strict=True):
        mine = [a for a in pairs if a.info["config_type"] == kind]
        before, after = (np.concatenate([distances(a, places(a))[which] for a in mine]) for places in _both(guess))
        edges = np.linspace(0.0, np.percentile(before, 99.5), 40)
        panel.hist(before, edges, alpha=0.5, label="start", color="tab:gray")
        panel.hist(after, edges, alpha=0.6, label="predicted", color="tab:blue")
        panel.set(xlabel="distance to the relaxed place (Å)", title=f"{kind}: atoms of the {which}")
        panel.legend()
    panels[0].set_ylabel("atoms")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def figure_four(path: Path, work: Path, run: str) -> None:
    """Energy above the ground state and largest force at the start and at the predicted place."""
    with (work / run / "relaxation.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["energy_guess [eV]"] and r["energy [eV]"]]
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), constrained_layout=True)
    for kind, color in zip(KINDS, ("tab:blue", "tab:orange", "tab:green"), strict=True):
        mine = [r for r in rows if r["id"].endswith(f"-{kind}")]
        end = np.array([float(r["energy [eV]"]) for r in mine])
        energies = [np.abs(np.array([float(r[k]) for r in mine]) - end).clip(1e-4) for k in _ENERGIES]
        forces = [np.array([float(r[k]) for r in mine]) for k in _FORCES]
        for panel, (x, y) in zip(panels, (energies, forces), strict=True):
            panel.loglog(x, y, ".", color=color, label=kind, alpha=0.6)
    for panel, what in zip(panels, ("|E − E₀| (eV)", "largest force (eV/Å)"), strict=True):
        low, high = panel.get_xlim()
        panel.plot([low, high], [low, high], "k-", lw=0.8)
        panel.set(xlabel=f"{what}, start", ylabel=f"{what}, predicted")
    panels[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _both(guess: dict[str, np.ndarray]) -> tuple[Callable[[ase.Atoms], np.ndarray], Callable[[ase.Atoms], np.ndarray]]:
    return (lambda a: a.positions), (lambda a: guess[a.info["id"]])


def _change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %"


def _mean(parts: Iterable[np.ndarray]) -> float:
    return float(np.concatenate(list(parts)).mean())


def guessed(work: Path, model: str) -> dict[str, np.ndarray]:
    """Predicted positions of the test structures by id."""
    out = f"{model}-guesses.extxyz"
    crystal(work, out, "predict", model, "test.extxyz", "-o", out, "--quiet")
    return {a.info["id"]: a.positions for a in ase.io.read(work / out, ":")}


def main() -> None:
    """Make what is missing, and write the tables."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("work", type=Path)
    words.add_argument("--count", type=int, default=8000, help="slabs made")
    words.add_argument("--epochs", type=int, default=24)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--steps-of", type=int, default=150, help="test structures of each kind that are relaxed")
    words.add_argument("--baselines", action="store_true", help="train the two networks that stand beside the springs")
    words.add_argument("--leave-out", default="", help="elements, comma-separated: a model that never saw each")
    o = words.parse_args()
    work: Path = o.work
    work.mkdir(parents=True, exist_ok=True)
    made = ("--elements", "Cu,Ag,Au,Ni,Pd,Pt,Al", "--adsorbates", "H,CO,none", "--count", o.count, "--jobs", 2)
    crystal(work, "slabs/pairs.extxyz", "slabs", *made, "--potential", "emt", "-o", "slabs", "--quiet")
    fields = ("--targets", "relaxed_positions", "--fields", "fixed,tags")
    crystal(work, "slabs.h5", "build-graphs", "slabs/pairs.extxyz", *fields, "-o", "slabs.h5")
    how = ("--arch", "dogss", "--epochs", o.epochs, "--threads", o.threads)
    models = {"springs": ()}
    if o.baselines:
        models |= {"displacements": ("--head", "displacements"), "constant": ("--constant",)}
    for name, more in models.items():
        crystal(work, f"{name}/report.json", "train", "slabs.h5", *how, *more, "--group", "group", "-o", name)
    pairs = structures(work, "springs", 0)
    few = structures(work, "springs", o.steps_of)
    for file, some in (("test.extxyz", pairs), ("few.extxyz", few)):
        if not (work / file).exists():
            starts = [a.copy() for a in some]
            for a in starts:
                del a.arrays["relaxed_positions"]
            ase.io.write(work / file, starts)
    lines = ["# DOGSS on slabs of EMT", "", *table_one(pairs, {n: guessed(work, n) for n in models}), ""]
    steps = {}
    for relaxer in ("fire", "lbfgs"):
        steps[relaxer] = f"steps-{relaxer}"
        goal = ("--potential", "emt", "--fmax", "0.05", "--compare-starts", "--relaxer", relaxer, "--batch-size", 64)
        crystal(
            work, f"{steps[relaxer]}/report.json", "relax", "few.extxyz", "--start", "springs", *goal,
            "-o", steps[relaxer], "--quiet",
        )  # fmt: skip
    lines += [*table_two(work, steps), ""]
    figure_three(work / "figure-3.png", pairs, guessed(work, "springs"))
    figure_four(work / "figure-4.png", work, steps["fire"])
    for element in filter(None, o.leave_out.split(",")):
        name = f"without-{element}"
        crystal(work, f"{name}/report.json", "train", "slabs.h5", *how, "--leave-out", element, "-o", name)
        test = json.loads((work / name / "report.json").read_text())["test"]["relaxed_positions"]
        lines.append(f"without {element}: {json.dumps({'model': test['model'], 'baselines': test['baselines']})}")
    (work / "tables.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
