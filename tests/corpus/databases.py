"""Archives, databases and JSON."""

import gzip
import json
from pathlib import Path

from corpus.case import MONTY, NACL, Case, packed, structure_json


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        file.write(b"2\n")
        for _ in range(300):
            file.write(b" \n" * 2**19)


CASES = (
    Case("truncated.cif.gz", packed(NACL.encode(), keep=60), "refused", "damaged gzip"),
    Case("bad_crc.cif.gz", packed(NACL.encode(), spoil=-6), "refused", "damaged gzip"),
    Case("not_gzip.cif.gz", NACL, "refused", "not gzip"),
    Case("bomb.cif.gz", _bomb, "refused", "bomb"),
    Case("bomb.extxyz.gz", _bomb, "refused", "bomb"),
    Case("not_sqlite.db", "hello", "refused", "no SQLite"),
    Case("broken.db", b"SQLite format 3\0" + b"\x10\0" * 500, "refused", "not an ASE database"),
    Case("good.json", structure_json(), "good"),
    Case("deep.json", "[" * 200_000 + "]" * 200_000, "refused", ""),
    Case("nan.json", structure_json().replace("0.5", "NaN", 1), "refused", "NaN"),
    Case("big_integer.json", structure_json().replace("0.5", "9" * 5000, 1), "refused", ""),
    Case("monty_injection.json", structure_json(properties=json.loads(MONTY)), "refused", "names a class to import"),
    Case("module_import.json", MONTY, "refused", "names a class to import"),
    Case(
        "disordered.json",
        structure_json(sites=[{"species": [{"element": "Na", "occu": 0.5}], "abc": [0, 0, 0]}]),
        "refused",
        "partial occupancy",
    ),
    Case("no_structure.json", '{"a": 1}', "refused", "no pymatgen structure"),
    Case("broken.json", structure_json()[:-9], "refused", "not JSON"),
)
