"""Energies of known phases: totals refused or divided, units made eV/atom, the same from files and from caches."""

from collections.abc import Callable, Sequence
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from common import small_cache, some_campaign

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.screen.known_phases import KnownEnergies
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.run import Screening
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

TARGET = Quantity("formation_energy_per_atom", "eV/atom")
PER_ATOM = -0.75 + 0.125 * np.cos(2.0 * np.arange(10))
SIZES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16])


def of_files(
    key: str, values: Sequence[float], unit: str, extensive: bool, path: Path, warn: Callable
) -> KnownEnergies:
    """As structure files have them, whose format may know the quantity."""
    known = {key: Quantity(key, unit, extensive=extensive)} if unit or extensive else {}
    return KnownEnergies.of_entries(
        [
            Labelled.of(Entry(f"p{k}", crystal(int(n)), f"{path.name}:{k}", {key: float(v)}, quantities=known))
            for k, (n, v) in enumerate(zip(SIZES, values, strict=True))
        ],
        "--reference-label {}",
        warn,
    )


def of_cache(
    key: str, values: Sequence[float], unit: str, extensive: bool, path: Path, warn: Callable
) -> KnownEnergies:
    """As the columns of a cache have them."""
    structures = [crystal(int(n)) for n in SIZES]
    column = Column(Quantity(key, unit, extensive=extensive), np.asarray(values), np.ones(len(SIZES), dtype=bool))
    made = small_cache.write(path / "known.h5", structures=structures, columns=[column])
    return KnownEnergies.of_caches(GraphDataset.open([made]), "--reference-label {}", warn)


def crystal(n: int) -> ase.Atoms:
    return ase.build.bulk("Cu", "fcc", a=3.6).repeat((1, 1, n))


SOURCES = pytest.mark.parametrize("source", [of_files, of_cache])


@SOURCES
@pytest.mark.parametrize(
    ("key", "unit", "extensive", "per_atom", "factor", "label"),
    [
        ("e", "", False, False, 1.0, "e/atom"),
        ("e", "", False, False, 1.0, "e/atom:eV"),
        ("e", "", False, False, 1e-3, "e/atom:meV"),
        ("e", "", False, True, 1e-3, "e:meV/atom"),
        ("e", "meV/atom", False, True, 1e-3, "e"),
        ("energy", "eV", True, False, 1.0, "energy/atom"),
        ("energy", "eV", True, True, 1.0, "energy:eV/atom"),
        ("e_per_atom", "eV/atom", False, True, 1.0, "e/atom"),  # divided before
        (TARGET.name, "", False, True, 1.0, ""),
        (TARGET.name, "", False, True, 1.0, TARGET.name),
        ("formation_energy", "", False, True, 1.0, "formation_energy"),
    ],
)
def test_energies_are_taken_per_atom(
    source: Callable, key: str, unit: str, extensive: bool, per_atom: bool, factor: float, label: str, tmp_path: Path
) -> None:
    values = PER_ATOM / factor * (1 if per_atom else SIZES)
    found = source(key, values, unit, extensive, tmp_path, lambda _: None).under(label, TARGET)
    np.testing.assert_allclose(found, PER_ATOM, rtol=1e-12)


@SOURCES
@pytest.mark.parametrize(
    ("key", "unit", "extensive", "factor", "label", "said"),
    [
        (
            "energy",
            "eV",
            True,
            1.0,
            "energy",
            "'energy' is a total in eV, and a hull needs eV/atom; say --reference-label energy/atom if it is of all "
            "atoms together, --reference-label energy:eV/atom if",
        ),
        (
            "formation_energy",
            "eV",
            False,
            1.0,
            "formation_energy",
            "is in eV, and a hull needs eV/atom; say .*/atom if",
        ),
        ("e", "", False, 1.0, "e:eV", "is in eV, and a hull needs eV/atom"),
        (
            "e",
            "",
            False,
            1.0,
            "e",
            r"follows the number of atoms .*: looks like a total, not a value per atom; say --reference-label e/atom",
        ),
        (
            TARGET.name,
            "",
            False,
            1.0,
            "",
            r"follows the number of atoms .*: looks like a total, not a value per atom; say",
        ),
        ("e", "", False, 1.0, "e*atoms", "'e.atoms' is a total"),
        ("e", "eV/atom", False, 1.0, "e/atom", "is in eV/atom, per atom already: nothing to divide"),
        ("e", "", False, 1.0, "e:eV/Å", "no unit of energy that is known"),
        ("e", "", False, 1.0, "f", "has no label 'f'; it has e"),
        (
            "formation_energy",
            "",
            False,
            1.0,
            "",
            f"has no label '{TARGET.name}'; it has formation_energy; say --reference-label formation_energy/atom if",
        ),
    ],
)
def test_what_is_no_energy_per_atom_is_refused(
    source: Callable, key: str, unit: str, extensive: bool, factor: float, label: str, said: str, tmp_path: Path
) -> None:
    labels = source(key, PER_ATOM * SIZES * factor, unit, extensive, tmp_path, lambda _: None)
    with pytest.raises(UsageError, match=said):
        labels.under(label, TARGET)


def test_a_column_may_be_called_as_if_it_were_divided(tmp_path: Path) -> None:
    found = of_files("e/atom", PER_ATOM, "", False, tmp_path, lambda _: None).under("e/atom", TARGET)
    np.testing.assert_allclose(found, PER_ATOM, rtol=1e-12)


def test_what_is_taken_for_granted_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    of_files("e", PER_ATOM, "", False, tmp_path, said.append).under("e", TARGET)
    assert said == ["label 'e' has no unit; taken as in eV/atom"]
    far = [*PER_ATOM[:-1], -91.0]
    with pytest.raises(UsageError, match="makes -91 eV/atom of 'p9', which no formation energy is; say"):
        of_files("e", far, "", False, tmp_path, said.append).under("e", TARGET)
    of_files("e", far, "eV/atom", False, tmp_path, said.append).under("e", TARGET)
    assert said[1:] == ["label 'e' makes -91 eV/atom of 'p9', which no formation energy is"]


def test_files_that_contradict_each_other_are_refused() -> None:
    known = [{"e": Quantity("e", u)} for u in ("eV/atom", "meV/atom")]
    entries = [Entry(f"{k}", crystal(1), f"{k}.json", {"e": -1.0}, quantities=q) for k, q in enumerate(known)]
    labels = KnownEnergies.of_entries([Labelled.of(e) for e in entries], "", str)
    with pytest.raises(UsageError, match=r"is in 'eV/atom' in 0.json and in 'meV/atom' in 1.json"):
        labels.under("e", TARGET)


def test_labels_of_candidates_that_are_totals_are_not_compared_with(tmp_path: Path) -> None:
    said: list[str] = []
    energy = Quantity("energy", "eV/atom")  # a model that was taught energies per atom under this name
    assert ASE_QUANTITIES["energy"].extensive
    for source in (of_files, of_cache):
        found = source("energy", PER_ATOM * SIZES, "eV", True, tmp_path, said.append)
        found.say = ""
        assert np.isnan(found.compared(energy)).all()
    assert set(said) == {"candidates: label 'energy' is a total in eV, and a hull needs eV/atom; not compared"}
    said.clear()
    found = of_files("formation_energy", PER_ATOM, "", False, tmp_path, said.append)
    assert np.isnan(found.compared(TARGET)).all()
    assert "may be 'formation_energy_per_atom' or the total of all atoms, and is not compared" in said[0]


@pytest.mark.parametrize("label", ["energy", "energy/atom"])
def test_phases_of_a_plan_are_looked_at_as_well(label: str, tmp_path: Path) -> None:
    plan = some_campaign.write(tmp_path)
    known = [crystal(n) for n in (1, 4)]
    for atoms in known:
        atoms.symbols[0] = "Pd"
        atoms.info["energy"] = -0.5 * len(atoms)
    ase.io.write(tmp_path / "known.extxyz", known, columns=["symbols", "positions"])
    more = f'phases = "{tmp_path / "known.extxyz"}"\nlabel = "{label}"\n'
    plan.write_text(plan.read_text().replace("[references]\n", f"[references]\n{more}"))
    request = Request(ScreenOptions(campaign=plan), path=tmp_path / "run")
    if label == "energy":
        with pytest.raises(UsageError, match=r"known.extxyz: .* is a total in eV, .*; say label = \"energy/atom\" if"):
            Screening(request, Host())
    else:
        assert [p.energy for p in Screening(request, Host()).found.phases] == pytest.approx([-0.5, -0.5])
