"""The alumina reader: a small file made here, damage, links, and the real files where they are at hand."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ase import units

from crystalcli.engine.read.reading import Failure, read_file
from crystalcli.nouns.structures.entry import Entry

N, FRAMES = 5, 4


def make(path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    data = {
        "numbers": np.array([13, 13, 8, 8, 8], dtype=np.int8),
        "cell": np.diag([4.0, 5.0, 6.0]),
        "reference_positions": np.array([[0, 0, 0], [2, 0, 0], [0, 2.5, 0], [0, 0, 3], [2, 2.5, 3]], dtype=float),
        "displacement": rng.integers(-900, 900, (FRAMES, N, 3)).astype(np.int16),
        "energy": rng.normal(-30, 1, FRAMES),
        "temperature": np.full(FRAMES, 300, dtype=np.float32),
        "pressure_bar": np.zeros(FRAMES, dtype=np.float32),
        "step": np.arange(FRAMES, dtype=np.int32),
        "force_index": np.array([1, 3], dtype=np.int32),
        "force": rng.integers(-3000, 3000, (2, N, 3)).astype(np.int16),
    }
    with h5py.File(path, "w") as h:
        for name, values in data.items():
            h[name] = values
    return data


def test_frames_labels_and_forces(tmp_path: Path) -> None:
    data = make(tmp_path / "run.h5")
    entries = list(read_file(tmp_path / "run.h5"))
    assert [e.id for e in entries] == [f"run:{k}" for k in range(FRAMES)]
    for k, entry in enumerate(entries):
        assert isinstance(entry, Entry)
        assert entry.source == f"{tmp_path / 'run.h5'}:{k}"
        expected = data["reference_positions"] + 1e-4 * data["displacement"][k]
        assert np.allclose(entry.atoms.positions, expected, atol=1e-12)
        assert entry.labels["energy"] == data["energy"][k]
        assert entry.quantities["energy"].extensive
        assert entry.quantities["energy"].unit == "eV"
        assert ("forces" in entry.labels) == (k in (1, 3))
    assert np.allclose(entries[3].labels["forces"], 1e-3 * data["force"][1])


def test_the_pressure_is_that_of_the_potential(tmp_path: Path) -> None:
    """1 GPa with the ideal gas of N − 1 atoms at 300 K in it."""
    data = make(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "a") as h:
        h["pressure_bar"][:] = 1e4
    (first, *_) = read_file(tmp_path / "run.h5")
    assert isinstance(first, Entry)
    gas = (N - 1) * units.kB * 300.0 / np.linalg.det(data["cell"])
    assert first.labels["pressure"] == pytest.approx(units.GPa - gas, rel=1e-6)
    assert first.quantities["pressure"].unit == "eV/Å³"


def failure(path: Path) -> Failure:
    (item,) = read_file(path)
    assert isinstance(item, Failure)
    return item


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    data = make(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "a") as h:
        del h["energy"]
        h["energy"] = data["energy"][:2]
    assert "shape" in failure(tmp_path / "run.h5").reason


def test_links_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "secret.h5")
    make(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "a") as h:
        del h["energy"]
        h["energy"] = h5py.ExternalLink("secret.h5", "energy")
    found = failure(tmp_path / "run.h5")
    assert (found.code, "is a link" in found.reason) == ("unsafe", True)


def group(h: h5py.File) -> None:
    del h["energy"]
    h.create_group("energy")


def reference(h: h5py.File) -> None:
    del h["numbers"]
    h.create_dataset("numbers", (N,), dtype=h5py.ref_dtype)[0] = h["cell"].ref


def virtual(h: h5py.File) -> None:
    del h["cell"]
    layout = h5py.VirtualLayout((3, 3), "f8")
    layout[...] = h5py.VirtualSource("secret.h5", "cell", (3, 3))
    h.create_virtual_dataset("cell", layout)


def soft(h: h5py.File) -> None:
    del h["step"]
    h["step"] = h5py.SoftLink("/energy")


@pytest.mark.parametrize("change", [group, reference, virtual, soft])
def test_what_is_no_plain_array_is_refused_before_it_is_read(tmp_path: Path, change: Callable) -> None:
    make(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "a") as h:
        change(h)
    assert failure(tmp_path / "run.h5").code in ("damaged", "unsafe")


PACKED = {"chunks": True, "compression": "gzip"}


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("energy", {"shape": (2 * 10**9,), **PACKED}),
        ("energy", {"shape": (2 * 10**9,)}),
        ("numbers", {"shape": (10**10,), **PACKED}),
        ("temperature", {"shape": (4,), "maxshape": (None,), "chunks": (10**8,), "compression": "gzip"}),
        ("displacement", {"shape": (FRAMES, N, 3, 10**9), **PACKED}),
        ("more", {"shape": (10**9,), **PACKED}),
    ],
)
def test_data_that_the_file_cannot_hold(tmp_path: Path, name: str, declared: dict[str, Any]) -> None:
    make(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "a") as h:
        if name in h:
            del h[name]
        h.create_dataset(name, dtype="f8", **declared)
    found = failure(tmp_path / "run.h5")
    assert found.code == "damaged"
    assert "implausible size" in found.reason


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("numbers", np.array([b"Al", b"Al", b"O", b"O", b"O"])),
        ("energy", np.array(1.0)),
        ("energy", h5py.Empty("f8")),
        ("numbers", np.array(13)),
        ("cell", np.diag([4j, 5j, 6j])),
        ("force_index", np.array([[1, 3]])),
        ("temperature", np.zeros((FRAMES, 1))),
    ],
)
def test_data_of_another_kind(tmp_path: Path, name: str, values: Any) -> None:
    make(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "a") as h:
        del h[name]
        h[name] = values
    found = failure(tmp_path / "run.h5")
    assert found.code == "damaged"
    assert "not numbers of shape" in found.reason


def test_a_run_packed_small_is_read(tmp_path: Path) -> None:
    """Constant columns shrink a hundredfold; the whole file does not."""
    data = make(tmp_path / "run.h5")
    many = 5000
    rng = np.random.default_rng(0)
    data |= {"displacement": rng.integers(-900, 900, (many, N, 3)).astype(np.int16), "energy": rng.normal(size=many)}
    data |= {"temperature": np.full(many, 300.0), "pressure_bar": np.zeros(many), "step": np.zeros(many, np.int64)}
    with h5py.File(tmp_path / "run.h5", "w") as h:
        for name, values in data.items():
            h.create_dataset(name, data=values, compression="gzip", chunks=True)
    assert isinstance(next(iter(read_file(tmp_path / "run.h5"))), Entry)


def test_other_hdf5_is_not_claimed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "run.h5", "w") as h:
        h["something"] = 1
    assert "unknown format" in failure(tmp_path / "run.h5").reason
    make(tmp_path / "cut.h5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "cut.h5").read_bytes()[:700])
    assert failure(tmp_path / "cut.h5").path.endswith("cut.h5")


@pytest.mark.skipif("CRYSTAL_DATA" not in os.environ, reason="needs the data of CRYSTAL_DATA")
def test_real_file() -> None:
    first = next(iter(islice(read_file(Path(os.environ["CRYSTAL_DATA"]) / "alumina" / "alpha-240-300K.h5"), 1)))
    assert isinstance(first, Entry)
    assert first.atoms.get_chemical_formula() == "Al96O144"
    assert -6.38 < first.labels["energy"] / 240 < -6.35
