"""Do 135 compositions, killed 20 times at random, end in the table of a run that nobody killed?

``crystal glass --grid`` of six metals by EMT, 100 atoms a box, short stages. A kill is SIGKILL after a random time of
the processor (starting takes some five seconds of it), so that a busy machine kills no earlier than a quiet one.

    python benchmarks/glass_kills.py [--kills 20] [--atoms 100] [-o FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = (
    "glass --grid Al,Ni,Cu,Pd,Ag,Au --potential emt --melt 2000 --melt-steps 30 --quench-steps 50 --hold-steps 30 "
    "--hotter 3.3 --last-steps 20 --frame-every 10 --settle 20 --relax ions --relax-steps 20 --no-draw-boxes "
    "--threads 1 --quiet"
)
SECONDS = 4.0, 6.5
"""Of processor time, between which a program is killed."""


def command(folder: Path, atoms: int) -> list[str]:
    """The run."""
    return [sys.executable, "-m", "crystalcli", *WORDS.split(), "--atoms", str(atoms), "-o", str(folder)]


def used(pid: int) -> float:
    """Processor seconds of a process; infinite where it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def torn(folder: Path, atoms: int, kills: int, seed: int) -> list[int]:
    """Run it to its end and kill it on the way; how many boxes were done at each kill."""
    chance, done = random.Random(seed), []
    while True:
        process = subprocess.Popen(command(folder, atoms), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = chance.uniform(*SECONDS) if len(done) < kills else float("inf")
        try:
            while process.poll() is None and used(process.pid) < limit:
                time.sleep(0.02)
            if process.poll() is not None:
                return done
        finally:  # nor does it outlive this program
            process.kill()
            process.wait()
        done.append(len(list(folder.glob("glasses/*/glass.json"))))


def same(one: Path, other: Path) -> list[str]:
    """Files of the glasses, and the table, that differ."""
    files = [{p.relative_to(f): p for p in [*(f / "glasses").rglob("*.*"), f / "glasses.csv"]} for f in (one, other)]
    names = files[0].keys() | files[1].keys()
    return sorted(str(n) for n in names if len({f[n].read_bytes() if n in f else b"absent" for f in files}) > 1)


def main() -> None:
    """Run it twice and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--atoms", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "torn")
        done = torn(killed, asked.atoms, asked.kills, asked.seed)
        subprocess.run(command(whole, asked.atoms), check=False, stderr=subprocess.DEVNULL)
        with (killed / "glasses.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        wanted = len((whole / "glasses.csv").read_text(encoding="utf-8").splitlines()) - 1
        result = {
            "question": "135 compositions, killed at random: complete, each once, the same bytes",
            "atoms": asked.atoms,
            "kills": len(done),
            "boxes_done_at_each_kill": done,
            "boxes": len(rows),
            "boxes_of_the_whole_run": wanted,
            "boxes_once": len({r["id"] for r in rows}),
            "glasses": sum(r["status"] == "ok" for r in rows),
            "begun_again": sum(r["begun_again"] != "0" for r in rows),
            "table_is_the_same": (whole / "glasses.csv").read_bytes() == (killed / "glasses.csv").read_bytes(),
            "files_that_differ": same(whole, killed),
        }
    passes = (
        len(rows) == result["boxes_once"] == wanted and result["table_is_the_same"] and not result["files_that_differ"]
    )
    text = json.dumps({**result, "passes": passes}, indent=1)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
