"""Columns and items of a CIF as labels: the values of every atom, against pymatgen's own and the orbits of a group."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from corpus.cif_columns import FCC, HEX, MOMENT, rows
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from crystalcli.nouns.structures.cif import Crystal, crystal_of
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read
from crystalcli.vocabulary.errors import InputError

SITES = {
    "charge": ("0.91", "-0.91"),
    "spin": ("'0'", "'1.5'"),
    "Bader_charge": ("1.2(1)", "-1.2e0"),
    "my_shift": ("+3", "?"),
}


def site(crystal: Crystal, name: str) -> np.ndarray:
    assert crystal.quantities[name].level == "site"
    values = crystal.labels[name]
    assert len(values) == len(crystal.atoms)
    return np.asarray(values)


@pytest.mark.parametrize(("name", "texts"), SITES.items())
def test_numeric_columns_are_labels(name: str, texts: tuple[str, str]) -> None:
    expected = [float(t.replace("(1)", "").replace("?", "nan").strip("'")) for t in texts]
    np.testing.assert_equal(site(crystal_of(rows(f"atom_site_{name}", *texts)), name), expected)
    expanded = crystal_of(rows(f"atom_site_{name}", *texts, symmetry=FCC))
    first, second = (expanded.atoms.numbers == z for z in (11, 17))
    np.testing.assert_equal(site(expanded, name)[first], expected[:1] * 4)
    np.testing.assert_equal(site(expanded, name)[second], expected[1:] * 4)


def test_the_file_says_its_own_name() -> None:
    found = crystal_of(rows("atom_site_CM5 my_ESP atom_site_u_ISO_or_equiv", "1 2 .01", "3 4 .02"))
    assert set(found.labels) == {"CM5", "my_ESP", "U_iso_or_equiv"}
    assert found.quantities["U_iso_or_equiv"].unit == "Å²"
    assert found.warnings == ()


def test_descriptions_are_no_labels() -> None:
    columns = "symmetry_multiplicity calc_flag refinement_flags attached_hydrogens Wyckoff_symbol fract_x_su"
    tags = " ".join(f"atom_site_{c}" for c in columns.split())
    assert crystal_of(rows(tags, "1 d . 0 a 0.1", "1 d . 0 b 0.1")).labels == {}
    items = """_cell_measurement_temperature 100
_refine_ls_R_factor_gt 0.03
_diffrn_reflns_number 3000
_exptl_crystal_F_000 8
_shelx_fab_checksum 123
_cod_database_code 9008678
_[local]_cod_duplicate_entry 1
_oqmd_space_group_IT_number 2
"""
    found = crystal_of(rows("", more=items))
    assert (found.labels, found.tags, found.left_out) == ({}, {}, {})


def test_types_of_atoms_and_items_of_the_crystal() -> None:
    types = "loop_\n_atom_type_symbol\n_atom_type_oxidation_number\n_atom_type_radius_bond\nCl -1 1\nNa 1 1\n"
    items = "_my_band_gap 5.0(1)\n_my_none ?\n_my_group 'rock salt'\n_my_story\n;\ntwo\nlines\n;\n"
    found = crystal_of(rows("", more=types + items))
    np.testing.assert_equal(site(found, "oxidation_number"), [1, -1])
    assert found.labels["my_band_gap"] == 5.0
    assert set(found.labels) == {"oxidation_number", "my_band_gap"}
    assert found.tags == {"my_group": "rock salt"}
    assert found.left_out == {"my_story": "a text"}


def test_loops_that_name_sites() -> None:
    more = "loop_\n_atom_site_ddec_label\n_atom_site_ddec_charge\nCl1 -0.8\nNa1 0.8\n"
    np.testing.assert_equal(site(crystal_of(rows("", more=more)), "ddec_charge"), [0.8, -0.8])
    twice = crystal_of(rows("", more=more.replace("Cl1", "Na1")))
    assert (twice.labels, twice.left_out) == ({}, {"ddec_charge": "2 values of a loop"})
    unknown = crystal_of(rows("", more="loop_\n_my_distance\n_my_g\n1 2\n2 3\n"))
    assert (unknown.labels, unknown.left_out) == (
        {},
        {"my_distance": "2 values of a loop", "my_g": "2 values of a loop"},
    )


@pytest.mark.parametrize("dot", ["_", "."])
def test_moments_become_cartesian(dot: str) -> None:
    text = rows("", cell=HEX, more=MOMENT.format(dot) + "Na1 1 1 0\n")
    np.testing.assert_allclose(site(crystal_of(text), "moment"), [[0.5, 3**0.5 / 2, 0], [np.nan] * 3], atol=1e-12)
    assert crystal_of(text).quantities["moment"].unit == "µB"


@pytest.mark.parametrize("angles", [(90, 90, 90), (90, 105, 90), (71, 95, 112)])
def test_moments_that_pymatgen_writes(angles: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(int(sum(angles)))
    plain = Structure(Lattice.from_parameters(5, 6, 7, *angles), ["Fe", "Co", "O"], rng.random((3, 3)))
    turned = Structure.from_str(plain.to(fmt="poscar"), fmt="poscar")
    turned.lattice = Lattice(crystal_of(str(CifWriter(plain))).atoms.cell.array)
    moments = rng.normal(size=(3, 3))
    turned.add_site_property("magmom", moments.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = str(CifWriter(turned, write_magmoms=True))
    np.testing.assert_allclose(site(crystal_of(text), "moment"), moments, atol=1e-6)


def test_what_symmetry_turns_is_left_out_with_a_word() -> None:
    fcc = crystal_of(rows("", symmetry=FCC, more=MOMENT.format("_") + "Na1 0 0 2\n"))
    assert (fcc.labels, len(fcc.atoms)) == ({}, 8)
    assert "moment: symmetry turns" in fcc.warnings[0]
    columns = "atom_site_force_x atom_site_force_y atom_site_force_z atom_site_charge"
    plain, turned = (crystal_of(rows(columns, "1 2 3 4", "5 6 7 8", symmetry=s)) for s in ("_my_x 1\n", FCC))
    assert set(plain.labels) == {"force_x", "force_y", "force_z", "charge", "my_x"}
    assert set(turned.labels) == {"charge"}
    assert "force_x, force_y, force_z: symmetry turns" in turned.warnings[0]


def test_labels_follow_the_orbits_of_a_group() -> None:
    sites = [[0, 0, 0], [0.625, 0.625, 0.625], [0.3874] * 3]
    spinel = Structure.from_spacegroup("Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], sites)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = str(CifWriter(spinel, symprec=1e-3)).splitlines()
        orbits = SpacegroupAnalyzer(spinel).get_symmetry_dataset().equivalent_atoms
    begin = next(k for k, line in enumerate(lines) if "_atom_site_occupancy" in line) + 1
    lines[begin:] = [" _atom_site_place", *(f"{line} {k}.5" for k, line in enumerate(lines[begin:]))]
    found = crystal_of("\n".join(lines) + "\n")
    place = dict(zip(found.atoms.numbers.tolist(), site(found, "place").tolist(), strict=True))
    assert sorted(place.values()) == [0.5, 1.5, 2.5]
    assert len(set(orbits.tolist())) == 3
    assert all(place[z] == v for z, v in zip(found.atoms.numbers.tolist(), site(found, "place"), strict=True))


def test_labels_follow_sites_that_pymatgen_merges() -> None:
    """Coordinates of three digits: images 0.003 Å apart are one atom, and it has the label of its site."""
    text = rows("atom_site_charge", "2", "-3", symmetry="_symmetry_space_group_name_H-M 'P 63/m m c'\n", cell=HEX)
    text = text.replace("Na 0 0 0", "Ga 0.333 0.667 0.25").replace("Cl 0.5 0.5 0.5", "N 0.333 0.667 0.75")
    found = crystal_of(text)
    assert "merged within 0.01" in found.warnings[0]
    assert [*zip(found.atoms.symbols, site(found, "charge"), strict=True)] == [("Ga", 2)] * 2 + [("N", -3)] * 2


@pytest.mark.parametrize(("second", "element"), [("0.334 0.666", "Ga"), ("0.333 0.667", "Ga"), ("0.334 0.667", "In")])
def test_two_sites_in_doubt_never_become_one(second: str, element: str) -> None:
    text = rows("", symmetry="_symmetry_space_group_name_H-M 'P 63/m m c'\n", cell=HEX)
    text = text.replace("Na 0 0 0", "Ga 0.333 0.667 0.25").replace("Cl 0.5 0.5 0.5", f"{element} {second} 0.25")
    with pytest.raises(InputError, match="neither one atom nor two"):
        crystal_of(text)


def test_numbers_written_otherwise_are_told() -> None:
    for text in ("0,91", "1e", "'0.9 e'"):
        found = crystal_of(rows("atom_site_charge", "0.5", text))
        assert found.labels == {}, text
        assert "charge of Cl1 is" in found.warnings[0], text
        assert found.left_out == {"charge": "words"}
        assert found.tags == {"charge": text.strip("'")}
    assert crystal_of(rows("atom_site_environment", "T4", "M1")).warnings == ()


def test_entries_of_files_and_tables(tmp_path: Path) -> None:
    text = rows("atom_site_charge", "0.91", "-0.91", more="_my_band_gap 5\n_my_group salt\n")
    (tmp_path / "x.cif").write_text(text)
    (tmp_path / "t.csv").write_text(f'id,my_band_gap,cif\na,6.5,"{text}"\n')
    (alone,), (row,) = (list(read(tmp_path / name)) for name in ("x.cif", "t.csv"))
    assert isinstance(alone, Entry)
    assert isinstance(row, Entry)
    for entry in (alone, row):
        np.testing.assert_equal(entry.labels["charge"], [0.91, -0.91])
        assert entry.quantities["charge"].level == "site"
        assert entry.tags == {"my_group": "salt"}
    assert alone.labels["my_band_gap"] == 5
    assert row.labels["my_band_gap"] == 6.5, "the table's own column counts"
