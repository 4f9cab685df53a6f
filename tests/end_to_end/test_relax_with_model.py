"""``crystal relax`` with a model as the potential: energies of the file are those of the model."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from reference.some_potentials import model_of

from crystalcli.cli.main import run
from crystalcli.engine.model import model_file
from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.systems import Systems
from crystalcli.testing import crystals


@pytest.mark.parametrize("cell", ["none", "full"])
def test_relax(tmp_path: Path, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model_file.save(Path("model.safetensors"), model_of(), {})
    frames = [crystals.rattled(seed) for seed in range(3)]
    for k, atoms in enumerate(frames):
        atoms.info["id"] = f"p{k}"
    unknown = ase.Atoms("Cu", cell=np.eye(3) * 4, pbc=True)
    ase.io.write("in.extxyz", [*frames, unknown])
    words = ["relax", "in.extxyz", "--potential", "model.safetensors", "--cell", cell, "--steps", "15"]
    assert run([*words, "-o", "one", "--quiet"]) == 3
    found = ase.io.read("one/relaxed.extxyz", ":")
    assert [a.info["id"] for a in found] == ["p0", "p1", "p2"]
    potential = named("model.safetensors", device="cpu")
    for atoms in found:
        again = potential.evaluate(Systems.of([atoms]), stress=True)
        assert float(again.energy) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(again.forces, atoms.get_forces(), atol=1e-9)
        np.testing.assert_allclose(again.stress[0], atoms.get_stress(voigt=False), atol=1e-10)
    text = Path("one/relaxation.csv").read_text()
    assert "Cu not in the training of" in text
    assert run([*words, "-o", "two", "--batch-size", "1", "--quiet"]) == 3
    for a, b in zip(found, ase.io.read("two/relaxed.extxyz", ":"), strict=True):
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-6)
