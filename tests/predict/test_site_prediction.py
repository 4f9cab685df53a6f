"""Values of sites on their way out: columns, properties, MAGMOM, vectors; and compared with partial labels."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from common import small_cache
from common.some_trainings import asked, train

from crystalcli.contracts.records import Recipe
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.model.latent import Latents, nearest
from crystalcli.engine.read.reading import read_file
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.errors import Compared
from crystalcli.prediction.output import Writer
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.prediction.sites import magmom_line, moment_of, similar_table
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity

MOMENT, CHARGE = Quantity("moment", "µB", "site"), Quantity("charge", "e", "site")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run with two labels of sites; the second is missing for the first atom of each crystal."""
    folder = tmp_path_factory.mktemp("sites")
    structures = small_cache.crystals(30)
    moments = np.concatenate([a.numbers / 10 for a in structures])
    known = np.tile([False, True], 30)
    columns = [Column(MOMENT, moments, np.ones(60, dtype=bool)), Column(CHARGE, moments - 1, known)]
    cache = small_cache.write(folder / "graphs.h5", columns=columns, structures=structures)
    plan = asked(
        arch="cgcnn",
        head="site",
        output=str(folder / "run"),
        caches=(str(cache),),
        target=("moment", "charge"),
        arch_options={"n_conv": 1, "width": 8},
        head_options={"hidden": 6},
        recipe=Recipe(batch_size=8, epochs=2),
        split="random",
        device="cpu",
        threads=1,
    )
    return train(plan).folder


STRUCTURES = [a.repeat((1, 1, 1 + k % 2)) for k, a in enumerate(small_cache.crystals(4, seed=5))]


def predicted(predictor: Predictor) -> list[Row]:
    found = list(predictor.of_entries(Entry(f"s{k}", a, f"{k}.cif") for k, a in enumerate(STRUCTURES)))
    assert all(isinstance(r, Row) for r in found)
    return found  # type: ignore[return-value]


def written(kind: str, predictor: Predictor, rows: list[Row]) -> str:
    writer = Writer(kind, predictor.quantities)
    return "".join(writer.text(r) for r in rows) + writer.end()


def test_csv_has_a_line_for_every_site(run: Path) -> None:
    predictor = Predictor(run)
    rows = predicted(predictor)
    table = list(csv.reader(io.StringIO(written("csv", predictor, rows))))
    assert table[0] == ["id", "site", "element", "moment [µB]", "charge [e]"]
    assert [r[:3] for r in table[1:]] == [
        [f"s{k}", str(i), s] for k, a in enumerate(STRUCTURES) for i, s in enumerate(a.symbols)
    ]
    np.testing.assert_array_equal([float(r[3]) for r in table[1:]], np.concatenate([r.values["moment"] for r in rows]))


def test_extxyz_has_a_column_for_every_target(run: Path) -> None:
    predictor = Predictor(run)
    rows = predicted(predictor)
    read = ase.io.read(io.StringIO(written("extxyz", predictor, rows)), index=":", format="extxyz")
    for atoms, row, given in zip(read, rows, STRUCTURES, strict=True):
        np.testing.assert_array_equal(atoms.numbers, given.numbers)
        for name in ("moment", "charge"):
            np.testing.assert_allclose(atoms.arrays[f"predicted_{name}"], row.values[name], rtol=1e-6, atol=1e-8)


def test_pymatgen_reads_its_structures_with_site_properties(run: Path, tmp_path: Path) -> None:
    from pymatgen.core import Molecule, Structure

    predictor = Predictor(run)
    rows = predicted(predictor)
    text = written("pymatgen", predictor, rows)
    for plain, row, given in zip(json.loads(text), rows, STRUCTURES, strict=True):
        structure = Structure.from_dict(plain)
        np.testing.assert_array_equal(structure.site_properties["predicted_moment"], row.values["moment"])
        np.testing.assert_allclose(structure.cart_coords, given.positions, atol=1e-9)
        np.testing.assert_allclose(structure.lattice.matrix, given.cell.array)
        assert structure.properties["id"] == row.id
    (tmp_path / "a.json").write_text(text)
    entries = list(read_file(tmp_path / "a.json"))
    assert [e.id for e in entries if isinstance(e, Entry)]
    np.testing.assert_array_equal(entries[0].labels["predicted_charge"], rows[0].values["charge"])
    assert json.loads(written("pymatgen", predictor, [])) == []
    molecule = Row("water", "", ase.build.molecule("H2O"), {"moment": np.zeros(3), "charge": np.ones(3)})
    found = Molecule.from_dict(json.loads(written("pymatgen", predictor, [molecule]))[0])
    assert found.site_properties["predicted_charge"] == [1.0, 1.0, 1.0]


def test_magmom_lines(run: Path) -> None:
    predictor = Predictor(run)
    rows = predicted(predictor)
    for line, row in zip(re.findall("^MAGMOM = (.*)$", written("magmom", predictor, rows), re.M), rows, strict=True):
        moments = []
        for word in line.split():
            times, _, value = word.rpartition("*")
            moments += [float(value)] * int(times or 1)
        np.testing.assert_allclose(moments, row.values["moment"], atol=5.1e-4)
    row = Row("a\nb", "", ase.Atoms("Fe2O3"), {"moment": np.array([4.0, 4.0, -0.0001, 0.1, 0.1])})
    assert magmom_line(row, MOMENT) == "# a\\nb (Fe2O3)\nMAGMOM = 2*4 0 2*0.1\n"


def test_moments_are_in_bohr_magnetons() -> None:
    assert moment_of([CHARGE, MOMENT]) == MOMENT
    unknown = Quantity("m", "", "site")
    assert moment_of([CHARGE, unknown]) == unknown
    for wrong in ([CHARGE], [unknown, Quantity("n", "", "site")], [Quantity("m", "µB")]):
        with pytest.raises(UsageError, match="MAGMOM"):
            Writer("magmom", wrong)


def test_labels_that_are_missing_are_null_in_json(run: Path) -> None:
    predictor = Predictor(run)
    (row, *_) = predicted(predictor)
    known = replace(row, labels={"charge": np.array([np.nan, 0.5])})
    (line,) = written("jsonl", predictor, [known]).splitlines()
    entry = json.loads(line)["predictions"]["charge"]
    assert entry["label"] == [None, 0.5]
    assert entry["value"] == row.values["charge"].tolist()


def test_partial_labels_of_a_cache_are_compared(run: Path) -> None:
    predictor = Predictor(run)
    rows = [r for r in predictor.predict([str(run.parent / "graphs.h5")]) if isinstance(r, Row)]
    compared = {q.name: Compared(q) for q in predictor.quantities}
    for c in compared.values():
        for row in rows:
            c.add(row)
    errors = {n: c.errors() for n, c in compared.items()}
    assert (errors["moment"].n, errors["charge"].n) == (60, 30)  # type: ignore[union-attr]
    assert np.isnan(rows[0].labels["charge"]).tolist() == [True, False]
    more = compared["charge"].more()
    assert sum(r["n"] for r in more["by_element"].values()) == 30
    assert more["macro_mae"] == pytest.approx(errors["charge"].mae)  # type: ignore[union-attr]


def test_vectors_are_what_the_last_layer_sees(run: Path) -> None:
    import torch

    predictor = Predictor(run, latent=True)
    head = predictor.model.head
    for row in predicted(predictor):
        assert row.latent is not None
        assert row.latent.shape == (len(row.atoms), 6)
        with torch.no_grad():
            out = head.layers[-1](torch.as_tensor(row.latent)).double() * head.scale + head.mean
        np.testing.assert_allclose(out[:, 0], row.values["moment"], atol=1e-5)
    assert predicted(Predictor(run))[0].latent is None


def test_similar_sites(run: Path, tmp_path: Path) -> None:
    rows = predicted(Predictor(run, latent=True))
    found = Latents.joined([(r.id, r.atoms.numbers, r.latent) for r in rows])
    found.save(tmp_path / "a.npz")
    again = Latents.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.vectors, found.vectors)
    distances, _ = nearest(again, found, 3)
    brute = np.linalg.norm(found.vectors[:, None].astype(float) - found.vectors[None].astype(float), axis=-1)
    np.testing.assert_allclose(distances, np.sort(brute, axis=1)[:, :3], atol=1e-6)
    np.testing.assert_allclose(distances[:, 0], 0, atol=1e-12)
    table = list(csv.DictReader(io.StringIO(similar_table(again, found))))
    assert len(table) == 5 * len(found.sites)
    assert table[0]["element"] == table[0]["similar element"]
    assert nearest(again, found, 1000)[1].shape == (len(found.sites),) * 2
    with pytest.raises(UsageError, match="one model"):
        nearest(again, Latents(found.ids, found.sites, found.numbers, found.vectors[:, :2]), 1)
    (tmp_path / "b.npz").write_bytes(b"no")
    with pytest.raises(InputError):
        Latents.load(tmp_path / "b.npz")
    with pytest.raises(UsageError):
        Latents.load(tmp_path / "none.npz")
    np.savez_compressed(tmp_path / "bomb.npz", ids=np.zeros(1 << 24, np.int64))
    with pytest.raises(InputError, match="is compressed"):
        Latents.load(tmp_path / "bomb.npz")


def npz(path: Path, packed: bool = False, **members: bytes | np.ndarray) -> Path:
    """An archive of arrays, or of bytes that pretend to be some."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, values in members.items():
            if isinstance(values, np.ndarray):
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, values)
                values = buffer.getvalue()  # noqa: PLW2901
            archive.writestr(f"{name}.npy", values)
    return path


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """Beginning of an array that has no numbers."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def test_vectors_that_the_file_cannot_hold(tmp_path: Path) -> None:
    good = {"ids": np.array(["a", "b"]), "sites": np.arange(2), "numbers": np.array([3, 9]), "vectors": np.ones((2, 4))}
    assert Latents.load(npz(tmp_path / "good.npz", **good)).ids.tolist() == ["a", "b"]
    bad: list[tuple[str, bool, dict[str, bytes | np.ndarray]]] = [
        ("implausible size", False, {"vectors": header((2 * 10**9, 4))}),
        ("implausible size", False, {"ids": header((2,), "<U500000000")}),
        ("compressed", True, {"vectors": np.zeros((2, 10**6))}),
        ("holds no latent vectors", False, {"sites": b"no array"}),
        ("do not go together", False, {"sites": np.arange(3)}),
        ("do not go together", False, {"vectors": np.full((2, 4), np.nan)}),
        ("do not go together", False, {"vectors": np.array([["x", "y"]] * 2)}),
        ("do not go together", False, {"vectors": np.ones(2)}),
    ]
    for said, packed, other in bad:
        with pytest.raises(InputError, match=said):
            Latents.load(npz(tmp_path / "bad.npz", packed, **{**good, **other}))


def test_a_folder_of_several_runs_says_so(run: Path) -> None:
    with pytest.raises(UsageError, match="several in it: run"):
        Predictor(run.parent)
