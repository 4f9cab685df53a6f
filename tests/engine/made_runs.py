"""Run folders as the commands leave them, made by hand: no training, any ids, any size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import small_cache

from crystalcli.vocabulary.tables import csv_text

EVIL = [
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "<!--<script>",
    "a\u202eb\u2028c",
    "' onmouseover='alert(3)",
    "{{constructor}} ${1} `x`",
]


def folder(path: Path, command: str, report: dict[str, Any], **more: Any) -> Path:
    """The files that every run has."""
    path.mkdir(parents=True, exist_ok=True)
    record = {
        "argv": ["/x/bin/crystal", command, "in.h5"], "command": command, "exit_code": 0, "finished": True,
        "started": "2026-01-02T03:04:05+00:00", "seconds": 65.0, "inputs": {}, "plugins": {},
        "versions": {"crystal": "0.1"},
        "request": {"options": {"lr": 0.1, "seed": 0}, "parts": {}}, **more,
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (path / "log.txt").write_text("2026-01-02 03:04:05 split: 10\n2026-01-02 03:04:06 warning: odd <b>thing</b>\n")
    return path


def training(
    path: Path, n: int = 300, names: Sequence[str] = (), *, structures: bool = True, epochs: int = 6, **more: Any
) -> Path:
    """A training on ``n`` test structures, the last ids being ``names``; their cache lies beside it."""
    rng = np.random.default_rng(n)
    if structures:
        cache = small_cache.write(path.with_suffix(".h5"), min(n, 40), stem="s")
        more["inputs"] = {str(cache): hashlib.sha256(cache.read_bytes()).hexdigest()}
        known = [f's "{k:02d}", {a.get_chemical_formula()}' for k, a in enumerate(small_cache.crystals(min(n, 40)))]
    ids = (known if structures else [])[:n]
    ids = [*ids, *(f"t{k}" for k in range(n - len(ids)))]
    ids[n - len(names) :] = names
    true = rng.normal(size=n)
    sigma = 0.05 + 0.1 * rng.random(n)
    value = true + sigma * rng.normal(size=n)
    heads = [f"e {w} [eV/atom]" for w in ("true", "predicted", "sigma")]
    rows = zip(ids, map(repr, true.tolist()), map(repr, value.tolist()), map(repr, sigma.tolist()), strict=True)
    error = value - true
    errors = {"n": n, "mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean())), "r2": 0.9}
    elements = {"Na": {"n": 3, "mae": 0.1, "in_training": 1}, "Cl": {"n": 2, "mae": 0.3, "in_training": 0}}
    row = {
        "unit": "eV/atom", "quantity": {"name": "e", "unit": "eV/atom"}, "model": errors, "compared": {},
        "extrapolated": {"mean": 3},
        "baselines": {"mean": {**errors, "mae": 0.8}, "pairs": {"skipped": "too <many>"}}, "by_element": elements,
    }  # fmt: skip
    test = {"e": row}
    leaks = [{"kind": "formula", "parts": ["train", "test"], "n": 3, "example": ids[-1]}]
    split = {"sizes": {"train": 5, "val": 2, "test": n}, "how": "random"}
    report = {"test": test, "split": split, "leaks": leaks, "best_epoch": epochs, "epochs": epochs, "parameters": 12}
    folder(path, "train", report, **more)
    (path / "predictions-test.csv").write_text(csv_text(["id", *heads], rows), encoding="utf-8")
    lines = [
        {"epoch": k, "lr": 0.1 / k, "train_loss": 1.0 / k, "val_score": 1.2 / k, "seconds": 1.0}
        | {"val": {"e": {"mae": 1.1 / k, "rmse": 1.3 / k}}}
        for k in range(1, epochs + 1)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(m) + "\n" for m in lines), encoding="utf-8")
    return path


def screening(path: Path, system: Sequence[str] = ("Al", "Ni", "Pt"), n: int = 60) -> Path:
    """A screening in one step, of binaries and ternaries of three elements."""
    rng = np.random.default_rng(3)
    energies = ("E_f [eV/atom]", "sigma [eV/atom]", "E_hull [eV/atom]")
    heads = ["id", "formula", "system", *energies, "decision", "reason", "extrapolating"]
    rows = []
    for k in range(n):
        amounts = {e: int(a) for e, a in zip(system, rng.integers(0, 4, 3), strict=True) if a}
        if not amounts:
            continue
        formula = "".join(f"{e}{a if a > 1 else ''}" for e, a in sorted(amounts.items()))
        above = max(0.0, float(rng.normal(0.05, 0.05)))
        energy = -0.3 * (len(amounts) - 1) + above
        kept = above < 0.06
        why = f"{1e3 * above:.1f} meV/atom above the hull {'≤' if kept else '>'} 2σ"
        numbers = [repr(energy), "0.03", repr(above)]
        system_of = "-".join(sorted(amounts))
        rows.append([f"c{k}", formula, system_of, *numbers, "keep" if kept else "remove", why, ""])
    folder(path, "screen", {"threshold": "2σ", "references": 4})
    (path / "phases.csv").write_text("phase,formula,E_f [eV/atom]\nmp-1,AlNi,-0.9\nmp-2,Al3Ni,-0.2\n", encoding="utf-8")
    (path / "screening.csv").write_text(csv_text(heads, rows), encoding="utf-8")
    return path


def write_table(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A CSV file."""
    path.write_text(csv_text(heads, rows), encoding="utf-8")


def relaxing(path: Path, converged: str, moved: Sequence[float]) -> Path:
    """A relaxation of dimers, ``T`` or ``F`` for each; the k-th gained k + 1 eV."""
    from crystalcli.relax.report import HEADER

    rows, frames = [], []
    for k, (done, d) in enumerate(zip(converged, moved, strict=True)):
        word, why = ("true", "converged") if done == "T" else ("false", "steps")
        known = {
            "id": f"r{k}", "converged": word, "reason": why, "steps": 5 + k, "atoms": 2, "energy_start [eV]": 1.0 + k,
            "energy [eV]": 0.0, "fmax [eV/Å]": 0.01, "displacement_max [Å]": d, "displacement_mean [Å]": d / 2,
        }  # fmt: skip
        rows.append([known.get(h, "") for h in HEADER])
        frames.append(f'2\nProperties=species:S:1:pos:R:3 id="r{k}" pbc="F F F"\nCu 0 0 0\nCu 0 0 {2 + k}\n')
    folder(path, "relax", {}, request={"options": {"fmax": 0.02}, "parts": {}})
    write_table(path / "relaxation.csv", HEADER, rows)
    (path / "relaxed.extxyz").write_text("".join(frames), encoding="utf-8")
    return path


def moving(path: Path, steps: int, atoms: int) -> Path:
    """Dynamics whose total energy rises by 10 meV a step, with a frame every ten."""
    from crystalcli.md.records import COLUMNS

    rows = [[k, k * 1e-3, 300, 300 + k, 0.0, 0.0, 0.01 * k, 0.0, "", ""] for k in range(steps)]
    folder(path, "md", {"steps": steps, "structures": {"Cu": {}}}, request={"options": {"dt": 1.0}, "parts": {}})
    write_table(path / "thermo.csv", COLUMNS, rows)
    head = "Properties=species:S:1:pos:R:3 energy=0"
    places = "".join(f"Cu 0 0 {2.5 * k}\n" for k in range(atoms))
    frames = [f"{atoms}\n{head} step={k} time_fs={k}.0 temperature={300 + k}.0\n{places}" for k in range(0, steps, 10)]
    (path / "trajectory.extxyz").write_text("".join(frames), encoding="utf-8")
    return path
