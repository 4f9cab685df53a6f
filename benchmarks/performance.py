"""Run the benchmarks one after another and write their headlines into docs/performance.md.

python benchmarks/performance.py [--only cache_reads …] [-o docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Rows = Iterator[tuple[str, str]]


def times(value: float) -> str:
    """A ratio for people."""
    return f"{value:.3g} times"


def cif_to_prediction(found: Any) -> Rows:
    """Stages beside the released code."""
    for stage, ratio in found["times_faster"].items():
        yield f"{stage}, beside the released way, {found['files']} files", times(ratio)


def train_step(found: Any) -> Rows:
    """Both twins."""
    for twin, ratio in found["times_faster_cpu"].items():
        yield f"training step of `cgcnn`, {found['crystals']} crystals, beside the {twin}", times(ratio)


def cache_reads(found: Any) -> Rows:
    """Random batches."""
    yield "checksums of cached graphs, once a graph and process", f"{found['checksums_us_per_graph']:.1f} µs"
    yield (
        f"random reads of cached graphs, {found['mean_atoms']:.0f} atoms, beside one HDF5 group each",
        times(found["ratio"]),
    )


def ensemble_inference(found: Any) -> Rows:
    """Both batch sizes."""
    for size in ("batch 256", "batch 1"):
        yield f"an ensemble of {found['members']} beside one member, {size}", times(found[size]["ratio"])


def force_step(found: Any) -> Rows:
    """Sums of messages."""
    yield (
        f"training step on forces, sums of `lcgcn-ff`, {found['edges']} edges, beside plain torch",
        times(found["gain"]),
    )


def md_cost(found: Any) -> Rows:
    """Linear in the number of atoms."""
    yield "step of dynamics, `pair-moments`, per atom", f"{found['us_per_atom_and_step']:.0f} µs"
    yield "R² of the straight line, 30 to 1,920 atoms", f"{found['r2_of_line']:.4f}"
    yield "gain of the skin", f"{min(found['gain_of_skin']):.1f} to {max(found['gain_of_skin']):.1f} times"


def md_overhead(found: Any) -> Rows:
    """Beside ASE."""
    yield f"driver of `nve` beside forces, {found['atoms']} atoms, of ASE's", f"{found['ratio_median']:.3f}"


def glass_cost(found: Any) -> Rows:
    """Driver and analysis, and boxes side by side."""
    for boxes, one in found["boxes"].items():
        many = "1 box" if boxes == "1" else f"{boxes} boxes side by side"
        yield f"glass of 100 atoms, EMT, {many}: all but forces, of their time", f"{one['rest_of_forces']:.0%}"
        yield f"glass of 100 atoms, EMT, {many}: a box", f"{one['seconds_a_box']:.1f} s"


def dogss_cost(found: Any) -> Rows:
    """Beside a relaxation."""
    steps = found["relaxation_of_ase"]["steps"]
    yield (
        f"guesses of relaxed positions, {found['atoms']:.0f} atoms, on one core",
        f"{found['guesses_per_second']:.0f} a second",
    )
    yield f"a relaxation by ASE's EMT and FIRE, {steps:.0f} steps, of a guess", times(found["guesses_per_relaxation"])


def screening_journal(found: Any) -> Rows:
    """Surviving a kill."""
    yield f"journal of a screening of {found['candidates']:,} candidates, of its time", f"{found['share']:.1%}"


RUNS: tuple[tuple[tuple[str, ...], Callable[[Any], Rows]], ...] = (
    (("cif_to_prediction.py",), cif_to_prediction),
    (("cache_reads.py",), cache_reads),
    (("train_step.py", "--crystals", "256"), train_step),
    (("ensemble_inference.py",), ensemble_inference),
    (("force_step.py",), force_step),
    (("md_cost.py",), md_cost),
    (("md_overhead.py", "--steps", "1000", "--repeats", "3"), md_overhead),
    (("glass_cost.py",), glass_cost),
    (("dogss_cost.py",), dogss_cost),
    (("screening_journal.py",), screening_journal),
)


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="scripts, without .py")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "docs" / "performance.md")
    chosen = parser.parse_args()
    lines = [
        "# Performance",
        "",
        f"Written by `make bench` on {date.today():%Y-%m-%d}; one thread, ours and its plain twin in turn in one run:",
        "ratios hold, times belong to one machine. What a twin does is said at the top of its script.",
        "",
        "| command | what | |",
        "|---|---|---:|",
    ]
    for line, headlines in RUNS:
        if chosen.only and line[0].removesuffix(".py") not in chosen.only:
            continue
        done = subprocess.run(
            [sys.executable, str(HERE / line[0]), *line[1:]], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{line[0]}: ended with {done.returncode}")
        command = f"`python benchmarks/{' '.join(line)}`"
        for what, value in headlines(json.loads(done.stdout)):
            lines.append(f"| {command} | {what} | {value} |")
            print(f"{what}: {value}", flush=True)
            command = ""
    there = chosen.output.read_text(encoding="utf-8") if chosen.output.exists() else ""
    _, _, notes = there.rpartition("|\n\n")  # what people wrote below the table stays
    chosen.output.write_text("\n".join(lines) + "\n" + (f"\n{notes}" if notes else ""), encoding="utf-8")


if __name__ == "__main__":
    main()
