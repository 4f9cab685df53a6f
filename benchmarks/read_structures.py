"""How long do structures take from a file to a checked entry, on one core? JSON on standard output.

python benchmarks/read_structures.py $CRYSTAL_DATA/mp-formation-energy/train.csv.gz
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from crystalcli.engine.read.reading import Failure, plan, read_file


def measure(path: Path) -> dict[str, float | int | str]:
    """Read ``path`` once and count."""
    plan([path])
    start = time.process_time()
    items = [isinstance(item, Failure) for item in read_file(path)]
    seconds = time.process_time() - start
    return {
        "file": path.name,
        "structures": items.count(False),
        "failures": items.count(True),
        "cpu_seconds": round(seconds, 2),
        "microseconds_per_structure": round(1e6 * seconds / max(len(items), 1), 1),
    }


if __name__ == "__main__":
    print(json.dumps([measure(Path(name)) for name in sys.argv[1:]], indent=2))
