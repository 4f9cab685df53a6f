"""Random damage to good files: never a traceback, never a hang, never a reader's bug, never atoms from nowhere."""

import time
from pathlib import Path

import numpy as np
import pytest
from corpus import NACL, POSCAR, XYZ, structure_json
from damage import damaged

from crystalcli.engine.read.reading import Failure, read_file

SEEDS = {
    "x.cif": NACL + "_note\n;text\n;\n",
    "POSCAR": POSCAR,
    "x.xyz": XYZ * 2,
    "x.json": structure_json(properties={"gap": 1.5}),
    "x.csv": f'id,e,cif\na,1,"{NACL}"\nb,2,"{NACL}"\n',
}


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
