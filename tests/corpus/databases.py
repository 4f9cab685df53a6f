"""Archives, databases and JSON."""

import contextlib
import gzip
import json
import sqlite3
from pathlib import Path

import ase.db

from corpus.case import MONTY, NACL, Case, packed, structure_json


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        file.write(b"2\n")
        for _ in range(300):
            file.write(b" \n" * 2**19)


def _other_sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table songs (name text)")
        database.commit()


def _no_rows(path: Path) -> None:
    with ase.db.connect(path) as database:
        database.metadata = {"title": "nothing"}


CASES = (
    Case("truncated.cif.gz", packed(NACL.encode(), keep=60), "refused", "damaged gzip"),
    Case("bad_crc.cif.gz", packed(NACL.encode(), spoil=-6), "refused", "damaged gzip"),
    Case("not_gzip.cif.gz", NACL, "refused", "not gzip"),
    Case("bomb.cif.gz", _bomb, "refused", "bomb"),
    Case("bomb.extxyz.gz", _bomb, "refused", "bomb"),
    Case("not_sqlite.db", "hello", "refused", "no SQLite"),
    Case("broken.db", b"SQLite format 3\0" + b"\x10\0" * 500, "refused", "not an ASE database"),
    Case("good.json", structure_json(), "good"),
    Case("deep.json", "[" * 200_000 + "]" * 200_000, "refused", "nested too deeply"),
    Case("nan.json", structure_json().replace("0.5", "NaN", 1), "refused", "not finite"),
    Case("big_integer.json", structure_json().replace("0.5", "9" * 5000, 1), "refused", "digits"),
    Case("monty_injection.json", structure_json(properties=json.loads(MONTY)), "refused", "names a class to import"),
    Case("module_import.json", MONTY, "refused", "names a class to import"),
    Case(
        "disordered.json",
        structure_json(sites=[{"species": [{"element": "Na", "occu": 0.5}], "abc": [0, 0, 0]}]),
        "refused",
        "partial occupancy",
    ),
    Case("no_structure.json", '{"a": 1}', "refused", "no structure in this JSON"),
    Case("broken.json", structure_json()[:-9], "refused", "not JSON"),
    Case("list.json", f"[{structure_json()}, {structure_json()}]", "good", structures=2),
    Case("string.json", '"structure"', "refused", "no structure in this JSON"),
    Case("number.json", "42", "refused", "no structure in this JSON"),
    Case("null.json", "null", "refused", "no structure in this JSON"),
    Case("empty_list.json", "[]", "refused", "no structure in this JSON"),
    Case("one_bad_of_two.json", f"[{structure_json()}, {structure_json(sites=[])}]", "refused", "no atoms"),
    Case("lattice_missing.json", structure_json(lattice=None), "refused", "no lattice"),
    Case("lattice_2x3.json", structure_json(lattice={"matrix": [[3, 0, 0], [0, 3, 0]]}), "refused", "3 × 3"),
    Case(
        "lattice_words.json",
        structure_json(lattice={"matrix": [["a", 0, 0], [0, 3, 0], [0, 0, 3]]}),
        "refused",
        "3 × 3",
    ),
    Case(
        "lattice_flat.json",
        structure_json(lattice={"matrix": [[3, 0, 0], [3, 0, 0], [0, 0, 3]]}),
        "refused",
        "cell volume",
    ),
    Case("lattice_infinite.json", structure_json().replace("[3, 0, 0]", "[Infinity, 0, 0]"), "refused", "not finite"),
    Case("sites_word.json", structure_json(sites="two"), "refused", "no lattice or no sites"),
    Case("sites_empty.json", structure_json(sites=[]), "refused", "no atoms"),
    Case("site_number.json", structure_json(sites=[1]), "refused", "no record"),
    Case("species_empty.json", structure_json(sites=[{"species": [], "abc": [0, 0, 0]}]), "refused", "0 species"),
    Case("species_unknown.json", structure_json().replace('"Na", "occu"', '"Qq", "occu"'), "refused", "Qq"),
    Case(
        "place_of_two.json", structure_json().replace("[0.5, 0.5, 0.5]", "[0.5, 0.5]"), "refused", "three coordinates"
    ),
    Case("place_twice.json", structure_json().replace("[0.5, 0.5, 0.5]", "[1, 1, 1]"), "refused", "duplicate atoms"),
    Case("key_twice.json", structure_json()[:-1] + ', "sites": []}', "refused", "no atoms"),
    Case("not_utf8.json", structure_json().encode()[:-1] + b', "note": "\xff\xfe"}', "good"),
    Case("sqlite_of_others.db", _other_sqlite, "refused", "not an ASE database"),
    Case("no_rows.db", _no_rows, "refused", "no rows"),
)
