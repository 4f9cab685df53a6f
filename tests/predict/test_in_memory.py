"""A model in a Python program: values with units, one structure or many, bad structures named."""

import math
import subprocess
import sys
from pathlib import Path

import ase
import numpy as np
import pytest
from common import small_cache
from common.some_trainings import asked, train

import crystalcli
from crystalcli.contracts.records import Recipe
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import InputError, UsageError

ENERGY = small_cache.ENERGY.name


def trained(folder: Path, **changes: object) -> Path:
    cache = small_cache.write(folder / "graphs.h5")
    plan = asked(
        arch="cgcnn",
        head="crystal",
        output=str(folder / "run"),
        caches=(str(cache),),
        arch_options={"n_conv": 1, "width": 8},
        recipe=Recipe(batch_size=8, epochs=2, **changes),  # type: ignore[arg-type]
        split="random",
        device="cpu",
        threads=1,
    )
    return train(plan).folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    return trained(tmp_path_factory.mktemp("memory"))


def test_values_have_units_and_are_those_of_the_program(run: Path) -> None:
    structures = small_cache.crystals(5)
    model = crystalcli.load_model(run)
    assert [q.name for q in model.quantities] == [ENERGY]
    found = model.predict(structures)
    rows = Predictor(run).of_entries(Entry(str(k), a, str(k)) for k, a in enumerate(structures))
    assert [f[ENERGY].value for f in found] == [r.values[ENERGY] for r in rows if isinstance(r, Row)]
    assert {f[ENERGY].unit for f in found} == {"eV/atom"}
    alone = crystalcli.predict(model, structures[0])
    assert alone[ENERGY].value == pytest.approx(found[0][ENERGY].value, abs=1e-6)
    assert crystalcli.predict(run / "model.safetensors", structures[:1])[0] == alone
    assert model.predict([]) == []


def test_pymatgen_structures_are_taken(run: Path) -> None:
    from pymatgen.io.ase import AseAtomsAdaptor

    (atoms,) = small_cache.crystals(1)
    model = crystalcli.load_model(run)
    structure = AseAtomsAdaptor.get_structure(atoms)
    assert model.predict(structure)[ENERGY].value == pytest.approx(model.predict(atoms)[ENERGY].value, abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda a: a.positions.__setitem__((1, 2), math.nan), "structure 1: position of atom 1"),
        (lambda a: a.positions.__setitem__((0, 0), math.inf), "structure 1: position of atom 0"),
        (lambda a: a.cell.__setitem__((0, 0), math.nan), "structure 1: cell is not finite"),
        (lambda a: a.numbers.__setitem__(0, 0), "structure 1: atom 0 is no element"),
        (lambda a: a.numbers.__setitem__(0, 92), "structure 1: the model has never seen U"),
        (lambda a: a.__delitem__([0, 1]), "structure 1: has no atoms"),
        (lambda a: a.positions.__setitem__(1, a.positions[0]), "structure 1: duplicate atoms: K 0 and Cl 1"),
        (
            lambda a: a.positions.__setitem__(1, a.positions[0] + a.cell[2]),
            "structure 1: duplicate atoms: K 0 and Cl 1",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:elements that the model has never seen")
def test_a_structure_that_cannot_be_predicted_is_named(run: Path, spoil: object, said: str) -> None:
    good, bad = small_cache.crystals(2)
    spoil(bad)  # type: ignore[operator]
    with pytest.raises(InputError, match=said):
        crystalcli.load_model(run).predict([good, bad])


def test_numbers_that_are_none_never_reach_the_basis(run: Path) -> None:
    (atoms,) = small_cache.crystals(1)
    atoms.positions[0, 0] = math.nan
    (found,) = Predictor(run).of_entries([Entry("x", atoms, "x.cif")])
    assert isinstance(found, Failure)
    assert found.stage == "graph"


def test_what_is_no_structure_is_a_usage_error(run: Path) -> None:
    with pytest.raises(UsageError, match="of type str, not ase"):
        crystalcli.load_model(run).predict(["NaCl"])
    with pytest.raises(UsageError, match="no such model"):
        crystalcli.load_model(run / "nothing")
    with pytest.raises(AttributeError, match="lood_model"):
        _ = crystalcli.lood_model


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import crystalcli, sys; print([m for m in ('torch', 'ase', 'numpy', 'h5py') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_distances_that_the_zeroth_term_never_met_are_said_once_with_their_number(tmp_path: Path) -> None:
    folder = trained(tmp_path, residual_of="pairs")
    heard: list[str] = []
    predictor = Predictor(folder, warn=heard.append, batch_size=2)
    list(predictor.predict([str(tmp_path / "graphs.h5")]))
    known = [h for h in heard if "distances" in h]
    unknown = [ase.Atoms("NaCl", [[0, 0, 0], [0, 0, d]], cell=[9, 9, 9], pbc=True) for d in (1.5, 1.6, 1.7)]
    with pytest.warns(UserWarning, match="3 structures have distances between atoms that training never has"):
        found = crystalcli.load_model(folder).predict(unknown)
    assert np.isfinite([f[ENERGY].value for f in found]).all()
    assert len(known) <= 1
