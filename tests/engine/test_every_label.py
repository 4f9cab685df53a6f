"""Labels of every shape, with gaps: train → predict in every format → calibrate → predict, from files and caches.

What is predicted and what is said to be true must be the same whichever way a structure came and a table goes.
"""

import csv
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from common import small_cache
from pymatgen.core import Structure

from crystalcli.cli.main import run
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.model import model_file
from crystalcli.screen.options import TABLE
from crystalcli.vocabulary.quantities import Quantity

SMALL = ["--epochs", "1", "--width", "8", "--n-conv", "1", "--split", "random", "--no-compare", "-q", "--threads", "1"]
N = 14


@dataclass(frozen=True)
class Data:
    """Structures and their labels by name: one number, word, tensor or array of sites each; none where missing."""

    structures: list[ase.Atoms]
    labels: dict[str, list[Any]] = field(default_factory=dict)


UNITS = {
    "gap": Quantity("gap", "eV"),
    "formation": Quantity("formation", "eV/atom"),
    "spin": Quantity("spin", ""),
    "moment": Quantity("moment", "µB", "site"),
    "energy": Quantity("energy", "eV", extensive=True),
    "forces": Quantity("forces", "eV/Å", "site", shape=(3,)),
    "stress": Quantity("stress", "eV/Å³", shape=(6,)),
}


def made(n: int, seed: int) -> Data:
    """Labels of every shape; every third structure lacks most of them, atom 0 of each its moment."""
    rng = np.random.default_rng(seed)
    structures = [a * (1, 1, 1 + k % 2) for k, a in enumerate(small_cache.crystals(n, seed))]
    some = [k % 3 != 2 for k in range(n)]
    labels: dict[str, list[Any]] = {
        "gap": [rng.normal() if there else None for there in some],
        "formation": [0.1 * rng.normal() for _ in structures],
        "spin": [float(k % 2) if there else None for k, there in enumerate(some)],
        "kind": [("salt [red]", "=oxide")[k % 2] if there else None for k, there in enumerate(some)],
        "moment": [np.where(np.arange(len(a)) == 0, np.nan, rng.normal(size=len(a))) for a in structures],
        "energy": [rng.normal() * len(a) for a in structures],
        "forces": [rng.normal(size=(len(a), 3)) if there else None for a, there in zip(structures, some, strict=True)],
        "stress": [rng.normal(0, 0.01, 6) if there else None for there in some],
    }
    return Data(structures, labels)


def write(path: Path, data: Data) -> None:
    """The same data as a cache and as extended XYZ, beside one another."""
    columns = []
    for name, quantity in UNITS.items():
        sizes = [len(a) if quantity.level == "site" else 1 for a in data.structures]
        gaps = [np.full((n, *quantity.shape), np.nan) for n in sizes]
        have = data.labels[name]
        rows = [gap if v is None else np.reshape(v, gap.shape).astype(float) for v, gap in zip(have, gaps, strict=True)]
        values = np.concatenate(rows)
        columns.append(Column(quantity, values, np.isfinite(values.reshape(len(values), -1)).all(1)))
    tags = [{} if k is None else {"kind": k} for k in data.labels["kind"]]
    small_cache.write(path.with_suffix(".h5"), structures=data.structures, columns=columns, tags=tags, stem=path.stem)
    frames = []
    for k, given in enumerate(data.structures):
        mine = {name: values[k] for name, values in data.labels.items() if values[k] is not None}
        atoms = given.copy()
        atoms.info = {n: mine[n] for n in ("gap", "formation", "spin", "kind") if n in mine} | {"id": f"new {k}"}
        atoms.set_array("moment", mine["moment"])
        atoms.calc = SinglePointCalculator(atoms, **{n: mine[n] for n in ("energy", "forces", "stress") if n in mine})
        frames.append(atoms)
    ase.io.write(path.with_suffix(".extxyz"), frames, format="extxyz")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("labels")
    write(home / "taught", made(30, 1))
    write(home / "new", made(N, 2))
    return home


MODELS = {
    "number": (["--target", "gap"], ["gap"]),
    "words": (["--target", "kind"], ["kind"]),
    "classes": (["--target", "spin", "--task", "classification"], ["spin"]),
    "sites": (["--target", "moment", "--head", "site"], ["moment"]),
    "potential": (["--target", "energy", "--target", "forces", "--target", "stress", "--head", "energy"],
                  ["energy", "forces", "stress"]),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def trained(request: pytest.FixtureRequest, home: Path) -> tuple[str, list[str], Path]:
    flags, targets = MODELS[request.param]
    folder = home / request.param
    assert run(["train", str(home / "taught.h5"), *flags, *SMALL, "-o", str(folder)]) == 0
    return request.param, targets, folder


Found = dict[str, list[Any]]
"""By ``NAME`` and ``NAME true``: of every structure the value, an array, a word, or none."""


def of_csv(text: str, targets: list[str]) -> Found:
    rows = list(csv.DictReader(io.StringIO(text)))
    by_id: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_id.setdefault(row["id"], []).append(row)
    found: Found = {}
    for name in targets:
        quantity = UNITS.get(name, Quantity(name))
        unit = f" [{quantity.unit}]" if quantity.unit else ""
        for word in ("", " true"):
            heads = [f"{name}{part}{word}{unit}" for part in quantity.components]
            for some in by_id.values():
                cells = [[row[h] for h in heads] for row in (some if quantity.level == "site" else some[:1])]
                found.setdefault(name + word, []).append(_read(cells, quantity, name))
    return found


def _read(cells: list[list[str]], quantity: Quantity, name: str) -> Any:
    if name in ("kind", "spin"):
        return cells[0][0].removeprefix("'") or None
    numbers = np.array([[float(c or "nan") for c in row] for row in cells])
    shape = (len(cells), *quantity.shape) if quantity.level == "site" else quantity.shape
    return None if np.isnan(numbers).all() else numbers.reshape(shape)


def of_jsonl(text: str, targets: list[str]) -> Found:
    return of_objects([json.loads(line) for line in text.splitlines()], targets)


def of_objects(objects: list[dict[str, Any]], targets: list[str]) -> Found:
    said = [o["predictions"] for o in objects]
    return {n: [s[n]["value"] for s in said] for n in targets} | {
        f"{n} true": [s[n].get("label") for s in said] for n in targets
    }


def of_extxyz(text: str, targets: list[str]) -> Found:
    frames = ase.io.read(io.StringIO(text), index=":", format="extxyz")
    found: Found = {}
    for name in targets:
        for key, word in ((f"predicted_{name}", name), (f"true_{name}", f"{name} true")):
            found[word] = [_text(f.arrays.get(key, f.info.get(key)), name) for f in frames]
    return found


def _text(value: Any, name: str) -> Any:
    return value if value is None or name not in ("kind", "spin") else str(value)


def of_pymatgen(text: str, targets: list[str]) -> Found:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # sites without a label
        structures = [Structure.from_dict(d) for d in json.loads(text)]
    found: Found = {}
    for name in targets:
        for key, word in ((f"predicted_{name}", name), (f"true_{name}", f"{name} true")):
            found[word] = [s.site_properties.get(key, s.properties.get(key)) for s in structures]
    return found


FORMATS: dict[str, Callable[[str, list[str]], Found]] = {
    "csv": of_csv,
    "jsonl": of_jsonl,
    "extxyz": of_extxyz,
    "pymatgen": of_pymatgen,
}


def same(a: Any, b: Any) -> bool:
    """Equal words, or numbers to what extended XYZ keeps, gaps at the same places."""
    if a is None or b is None or isinstance(a, str):
        return a == b if isinstance(a, str) or a is b else _blank(a) and _blank(b)
    mine, other = (np.array(x, dtype=float) for x in (a, b))
    return mine.shape == other.shape and np.allclose(mine, other, rtol=1e-6, atol=1e-6, equal_nan=True)


def _blank(value: Any) -> bool:
    return value is None or np.isnan(np.array(value, dtype=float)).all()


def true(name: str) -> list[Any]:
    words = made(N, 2).labels[name]
    return [None if v is None else str(int(v)) for v in words] if name == "spin" else words


def predicted(home: Path, folder: Path, source: str, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["predict", str(folder), str(home / source), "-j", "1", "--json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    return found


def test_every_format_has_the_same_values_and_truths(
    home: Path, trained: tuple[str, list[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    _, targets, folder = trained
    first = predicted(home, folder, "new.h5", capfd)
    expected = of_objects(first["rows"], targets)
    assert set(first["errors"]) == set(targets)
    for target in targets:
        assert len(expected[target]) == N
        assert all(same(a, b) for a, b in zip(expected[f"{target} true"], true(target), strict=True)), target
        labels = [v for v in true(target) if v is not None]
        known = len(labels) if isinstance(labels[0], str) else int(sum(np.isfinite(v).sum() for v in labels))
        assert first["errors"][target]["n"] == known
    for kind, read in FORMATS.items():
        assert run(["predict", str(folder), str(home / "new.h5"), "--format", kind, "-q"]) == 0, kind
        found = read(capfd.readouterr().out, targets)
        for key, values in expected.items():
            assert all(same(a, b) for a, b in zip(values, found[key], strict=True)), (kind, key)


def test_files_and_caches_are_the_same(
    home: Path, trained: tuple[str, list[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    _, targets, folder = trained
    a, b = (predicted(home, folder, source, capfd) for source in ("new.h5", "new.extxyz"))
    other = of_objects(b["rows"], targets)
    for key, values in of_objects(a["rows"], targets).items():
        assert all(same(x, y) for x, y in zip(values, other[key], strict=True)), key
    assert {t: e["n"] for t, e in a["errors"].items()} == {t: e["n"] for t, e in b["errors"].items()}


def test_calibration_takes_every_number(home: Path, trained: tuple[str, list[str], Path], tmp_path: Path) -> None:
    name, targets, folder = trained
    fits = []
    for source in ("new.h5", "new.extxyz"):
        out = tmp_path / f"{source}.safetensors"
        line = ["calibrate", str(folder), str(home / source), "-o", str(out), "--levels", "0.5", "-q"]
        code = run(line)
        assert code == (2 if name in ("words", "classes") else 0)
        if code:
            assert not out.exists()
            return
        fits.append(model_file.load(out)[0].sigma_fits)
        assert (
            run(["predict", str(out), str(home / source), "-o", str(tmp_path / f"{source}.csv"), "-q", "-j", "1"]) == 0
        )
        head = (tmp_path / f"{source}.csv").read_text().splitlines()[0]
        assert all(f"{t}" in head and "low_50" in head for t in targets)
    for target in targets:
        labels = [v for v in true(target) if v is not None]
        a, b = (f[target] for f in fits)
        assert a.n == b.n == int(sum(np.isfinite(v).sum() for v in labels))
        assert a.factor == pytest.approx(b.factor, rel=1e-5)


def test_a_screening_goes_past_labels_of_other_shapes(home: Path, tmp_path: Path) -> None:
    flags = ["--target", "formation", "--ensemble", "2"]
    assert run(["train", str(home / "taught.h5"), *flags, *SMALL, "-o", str(tmp_path / "e")]) == 0
    model = tmp_path / "e" / "model.safetensors"
    for source in ("new.h5", "new.extxyz"):
        assert run(["screen", str(home / source), "--model", str(model), "-o", str(tmp_path / source), "-q"]) == 0
        assert len((tmp_path / source / TABLE).read_text().splitlines()) >= N
