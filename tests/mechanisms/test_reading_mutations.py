"""Random damage to good files: never a traceback, never a hang, never a reader's bug, never atoms from nowhere."""

import time
from pathlib import Path

import numpy as np
import pytest
from corpus import NACL, POSCAR, XYZ, structure_json

from crystalcli.mechanisms.structure_files.reading import Failure, read_file

SEEDS = {
    "x.cif": NACL + "_note\n;text\n;\n",
    "POSCAR": POSCAR,
    "x.xyz": XYZ * 2,
    "x.json": structure_json(properties={"gap": 1.5}),
    "x.csv": f'id,e,cif\na,1,"{NACL}"\nb,2,"{NACL}"\n',
}
PIECES = [
    "",
    "nan",
    "-1",
    "1e400",
    "0x1F",
    "'",
    '"',
    ";",
    "\n",
    "data_",
    "loop_",
    "?",
    "[",
    "{",
    "999999999",
    "\x07",
    "é",
]


def damaged(text: str, rng: np.random.Generator) -> bytes:
    """One to three of: a byte changed, a piece cut out or put in, lines shuffled, a number replaced."""
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(0, len(text) + 1)), int(rng.integers(0, 12))
        kind = rng.integers(0, 5)
        if kind == 0 and at < len(text):
            text = text[:at] + chr(int(rng.integers(0, 256))) + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + text[at + length :]
        elif kind == 2:
            text = text[:at] + PIECES[rng.integers(0, len(PIECES))] + text[at:]
        elif kind == 3:
            lines = text.split("\n")
            i, j = rng.integers(0, len(lines), 2)
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        else:
            words = text.split(" ")
            words[rng.integers(0, len(words))] = PIECES[rng.integers(0, len(PIECES))]
            text = " ".join(words)
    return text.encode("latin-1" if rng.random() < 0.5 else "utf-8", errors="replace")


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("seed", range(4))
def test_damage_is_reported(tmp_path: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *name.encode()])
    path = tmp_path / name
    for _ in range(60):
        path.write_bytes(damaged(SEEDS[name], rng))
        start = time.perf_counter()
        items = list(read_file(path))
        assert time.perf_counter() - start < 5
        assert items
        for item in items:
            if isinstance(item, Failure):
                assert item.code not in ("", "reader-error"), (item, path.read_bytes())
                assert item.path.startswith(str(path))
            else:
                assert np.isfinite(item.atoms.positions).all()
                assert len(item.atoms) <= 16
