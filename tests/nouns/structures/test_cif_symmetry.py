"""Operations of a CIF: listed, by a Hall symbol, by names, numbers and codes; and what contradicts them or the cell."""

import gemmi
import numpy as np
import pytest
from ase.cell import Cell
from corpus.cif_settings import BADDELEYITE, BISMUTH, SILICON, SPINEL, Crystal, described, row, said, text_of, whole
from gemmi import cif

from crystalcli.nouns.structures.cif import from_text
from crystalcli.nouns.structures.cif_groups import label, operations_of, rows_of_number, table
from crystalcli.nouns.structures.cif_images import misfits, squared
from crystalcli.nouns.structures.cif_sites import Sites
from crystalcli.nouns.structures.cif_symmetry import operations
from crystalcli.vocabulary.errors import InputError

GROUPS = list(gemmi.spacegroup_table())
TWO_ORIGINS = sorted({g.number for g in GROUPS if g.ext in "12"})
ONE = Sites(np.array([29]), np.array([[0.1, 0.2, 0.3]]), ("Cu1",), {}, ())
SYSTEMS = (
    (2, (5, 6, 7, 80, 95, 107)),
    (15, (5, 6, 7, 90, 95, 90)),
    (74, (5, 6, 7, 90, 90, 90)),
    (142, (5, 5, 7, 90, 90, 90)),
    (194, (5, 5, 7, 90, 90, 120)),
    (230, (5, 5, 5, 90, 90, 90)),
)


def cell_of(group: gemmi.SpaceGroup) -> np.ndarray:
    """A cell that the group can have, with nothing else in common between its axes."""
    parameters = list(next(p for last, p in SYSTEMS if group.number <= last))
    if group.ext == "R":
        parameters = [5, 5, 5, 80, 80, 80]
    if 3 <= group.number <= 15:
        parameters[3:] = [95 if axis in group.qualifier else 90 for axis in "abc"]
    return np.array(Cell.fromcellpar(parameters))


def listed(texts: list[str]) -> cif.Block:
    rows = "\n".join(f"'{t}'" for t in texts)
    return cif.read_string(f"data_x\nloop_\n_space_group_symop_operation_xyz\n{rows}\n").sole_block()


def stated(symmetry: str) -> cif.Block:
    return cif.read_string("data_x\n" + symmetry).sole_block()


def triplets(group: gemmi.SpaceGroup) -> list[str]:
    return [op.triplet() for op in group.operations()]


def key(rotation: object, translation: object) -> bytes:
    """One operation in twenty-fourths, its translation in the cell."""
    r, t = np.rint(np.array(rotation)).astype(int), np.rint(np.array(translation)).astype(int)
    return r.tobytes() + (t % gemmi.Op.DEN).tobytes()


def as_set(block: cif.Block, group: gemmi.SpaceGroup) -> set[bytes]:
    ops, _ = operations(block, cell_of(group), ONE)
    rotations, translations = ops if ops is not None else (np.eye(3)[None], np.zeros((1, 3)))
    den = gemmi.Op.DEN
    return {key(den * r, den * t) for r, t in zip(rotations, translations, strict=True)}


def meant(group: gemmi.SpaceGroup) -> set[bytes]:
    return {key(op.rot, op.tran) for op in group.operations()}


def test_every_group_is_one() -> None:
    assert len({g.number for g in GROUPS}) == 230
    for group in GROUPS:
        assert as_set(listed(triplets(group)), group) == meant(group), group.xhm()


def test_a_group_without_one_operation_is_none() -> None:
    for group in GROUPS:
        texts = triplets(group)
        if len(texts) > 2:  # what is left of two is the identity, a group of its own
            with pytest.raises(InputError, match="make no group"):
                operations(listed([t for t in texts if t != texts[-1]]), cell_of(group), ONE)


def test_hall_symbols_say_the_same() -> None:
    for group in GROUPS:
        block = stated(f"_space_group_name_Hall '{group.hall}'\n")
        assert as_set(block, group) == meant(group), group.xhm()


def test_names_with_their_choice_say_the_same() -> None:
    for group in GROUPS:
        if "a)" in group.hm:  # gemmi's own
            continue
        for name in (group.xhm(), group.xhm().replace(" ", "").upper()):
            block = stated(f"_space_group_name_H-M_alt '{name}'\n")
            assert as_set(block, group) == meant(group), name


def test_numbers_with_their_code_say_the_same() -> None:
    """International Tables' own codes: b1, -c2, cab, 2ba-c, h."""
    for group in GROUPS[: max(k for k, g in enumerate(GROUPS) if g.number == 230) + 1]:
        code = group.ext.strip("\0") + (group.qualifier or ("abc" if group.number < 75 else ""))
        block = stated(f"_space_group_IT_number {group.number}\n_space_group_IT_coordinate_system_code '{code or 1}'\n")
        assert as_set(block, group) == meant(group), (group.xhm(), code)


def test_there_are_24_groups_with_two_origins() -> None:
    assert len(TWO_ORIGINS) == 24


@pytest.mark.parametrize("number", TWO_ORIGINS)
def test_either_origin_is_found(number: int) -> None:
    """By code or suffix; where nothing says it, by the formula, else with a warning."""
    one, two = (next(g for g in GROUPS if g.number == number and g.ext == ext) for ext in "12")
    a, b, c, *angles = Cell(3 * cell_of(one)).cellpar()
    # a centre of inversion of the second choice: half as many images there as in the first
    crystal = Crystal(two.xhm(), (a, b, c, *angles), (("Fe", 0.0, 0.0, 0.0), ("O", 0.13, 0.29, 0.41)), "", 0)
    for group, suffix, code in ((one, "S", "1"), (two, "Z", "2")):
        there = described(crystal, group.xhm())
        atoms_meant = whole(there)
        names = (
            f"_symmetry_space_group_name_H-M '{group.hm}:{code}'\n",
            f"_symmetry_space_group_name_H-M '{group.hm} {suffix}'\n_symmetry_Int_Tables_number {number}\n",
            f"_space_group_name_H-M_alt '{group.hm}'\n_space_group_IT_coordinate_system_code {code}\n",
            f"_chemical_formula_sum '{whole(there).symbols}'\n_symmetry_space_group_name_H-M '{group.hm}'\n",
        )
        undecided = number == 138  # where this site has as many images about either origin
        for symmetry in names[: 3 if undecided else 4]:
            atoms, warned = from_text(text_of(there, symmetry))
            assert atoms.get_chemical_formula() == atoms_meant.get_chemical_formula(), symmetry
            assert warned == (), symmetry
        atoms, warned = from_text(text_of(there, f"_symmetry_space_group_name_H-M '{group.hm}'\n"))
        assert any("does not say which" in w for w in warned)


@pytest.mark.parametrize(
    ("symmetry", "reason"),
    [
        (said("P 21/c", number=15), "'P 21/c' and group 15 contradict"),
        (said("P 21/c", alt="P 21/n"), "'P 21/n' and 'P 21/c' contradict"),
        (said("P 21/c", code="b2"), "no setting of the code 'b2'"),
        (said(number=14, code="r"), "no setting of the code 'r'"),
        (said("P 21/c (15)", number=14), "'P 21/c (15)' not understood; group 14 does not tell"),
        (said("P 21/q", number=14), "'P 21/q' not understood; group 14 does not tell"),
        (said("B 21/n", number=14), "'B 21/n' not understood"),
        (said("C12/c1:-b1"), "unknown space group"),
        (said(hall="-P 2 2 2 2 2 y", number=14), "unknown space group"),
        (said("0"), "unknown space group '0'"),
        ("_space_group_name_Schoenflies D2h^16\n_space_group_IT_number 61\n", "contradict"),
        ("_space_group_name_H-M_ref 'P n m a'\n_space_group_IT_number 61\n", "contradict"),
    ],
)
def test_what_contradicts_itself_or_is_not_understood_is_refused(symmetry: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason.replace("(", r"\(").replace(")", r"\)")):
        from_text(text_of(BADDELEYITE, symmetry))


def other_cell(crystal: Crystal, *cell: float) -> Crystal:
    return Crystal(crystal.setting, cell, crystal.sites, crystal.formula, crystal.z)


GAMMA = other_cell(BADDELEYITE, 5.15, 5.212, 5.317, 90, 90, 99.23)
RHOMBIC = other_cell(BISMUTH, 4.75, 4.75, 4.75, 57.2, 57.2, 57.2)
TETRAGONAL = other_cell(SPINEL, 8.083, 8.083, 8.38, 90, 90, 90)
PRIMITIVE = other_cell(SILICON, 3.84, 3.84, 3.84, 60, 60, 60)


@pytest.mark.parametrize(
    ("crystal", "symmetry"),
    [
        (GAMMA, said(ops="P 1 21/c 1")),
        (GAMMA, said("P 1 21/c 1")),
        (GAMMA, said("P 21/c")),  # no glide plane across c glides along c
        (GAMMA, said(hall="-P 2ybc")),
        (RHOMBIC, said("R -3 m", ops="R -3 m:H")),
        (RHOMBIC, said("R -3 m:H")),
        (BISMUTH, said("R -3 m", code="R")),
        (TETRAGONAL, said("F d -3 m:2")),
        (TETRAGONAL, said(number=227, code="2", ops="F d -3 m:2")),
        (PRIMITIVE, said("F d -3 m:2", ops="F d -3 m:2")),
        (other_cell(SPINEL, 8.083, 8.803, 8.083, 90, 90, 90), said(ops="F d -3 m:2")),  # two digits exchanged
        (other_cell(BADDELEYITE, 5.15, 5.212, 5.317, 90.8, 99.23, 90), said("P 21/c")),
    ],
)
def test_a_symmetry_that_the_cell_cannot_have_is_refused(crystal: Crystal, symmetry: str) -> None:
    with pytest.raises(InputError, match="does not fit the cell"):
        from_text(text_of(crystal, symmetry))


def test_a_symmetry_that_the_cell_nearly_has_is_warned_of() -> None:
    for cell, warned in ((8.084, 0), (8.086, 0), (8.1, 1), (8.12, 1)):
        crystal = other_cell(SPINEL, 8.083, 8.083, cell, 90, 90, 90)
        for symmetry in (said("F d -3 m:2"), said(ops="F d -3 m:2")):
            _, said_of_it = from_text(text_of(crystal, symmetry))
            assert len(said_of_it) == warned, (cell, said_of_it)
            assert all("only within" in w for w in said_of_it)


def test_every_setting_fits_its_own_cell_alone() -> None:
    """Of one group no setting of another unique axis, and none on other axes of three, fits."""
    for number in range(1, 231):
        rows = rows_of_number(number)
        cell = cell_of(table()[rows[0]])
        for k in rows:
            group = table()[k]
            same = group.qualifier.lstrip("-")[:1] == table()[rows[0]].qualifier.lstrip("-")[:1] or number > 15
            fits = bool(misfits(squared(operations_of(k)[0]), cell).max() < 1e-9)
            assert fits == (same and group.ext != "R"), label(k)


def test_a_number_whose_axis_the_cell_leaves_open_is_refused() -> None:
    with pytest.raises(InputError, match=r"group 14 has settings .*P 1 1 21/a, P 1 1 21/n, P 1 1 21/b.*name one"):
        from_text(text_of(GAMMA, said(number=14)))


@pytest.mark.parametrize(
    ("setting", "name", "open_"),
    [
        ("P 1 1 21/b", "P 21/b", True),  # of unique axis c or a
        ("P 21/b 1 1", "P 21/b", True),
        ("P 1 21/n 1", "P 21/n", False),  # of a, b or c: means b
        ("P 1 21/a 1", "P 21/a", False),
        ("P 1 21/c 1", "P 21/c", False),
    ],
)
def test_a_short_name_in_a_cell_of_right_angles(setting: str, name: str, open_: bool) -> None:
    """The cell tells nothing; such a name means the axis b; between others the contacts choose, and it is said."""
    a, b, c, *_ = described(BADDELEYITE, setting).cell
    crystal = other_cell(described(BADDELEYITE, setting), a, b, c, 90, 90, 90)
    atoms, warned = from_text(text_of(crystal, said(name)))
    assert ["does not say which" in w for w in warned] == [True] * open_
    delta = atoms.get_scaled_positions()[:, None] - whole(crystal).get_scaled_positions()[None]
    assert np.abs(delta - np.rint(delta)).max(-1).min(1).max() < 1e-6


def test_a_setting_in_which_images_nearly_fall_together_is_not_the_one_meant() -> None:
    """Ba4Pd: about origin 1 images of barium are 0.13 Å apart; taken as one, they leave all atoms far apart."""
    sites = (("Ba", 0.7465, 0.2465, 0.2465), ("Pd", 0.375, 0.375, 0.375))
    crystal = Crystal("F d -3 m:2", (13.405, 13.405, 13.405, 90, 90, 90), sites, "Ba4 Pd", 8)
    atoms, warned = from_text(text_of(crystal, said("F d -3 m")))
    assert atoms.get_chemical_formula() == "Ba32Pd8"
    assert "'F d -3 m:2' taken" in warned[0]


def test_an_unknown_hall_symbol_leaves_the_name() -> None:
    block = stated("_space_group_name_Hall 'Q 9'\n_space_group_name_H-M_alt 'P -1'\n")
    assert as_set(block, row("P -1")) == meant(row("P -1"))
    _, warned = operations(block, cell_of(row("P -1")), ONE)
    assert warned == ["Hall symbol 'Q 9' not understood"]


@pytest.mark.parametrize(
    ("names", "ops", "says"),
    [
        (said("P 21/c"), "P 1 21/n 1", "are those of 'P 1 21/n 1', not of 'P 21/c'"),
        (said(number=15), "P 1 21/c 1", "are those of 'P 1 21/c 1', not of group 15"),
        (said("P 1"), "P 1 21/c 1", "not of 'P 1'"),
        (said("P 21/c", hall="-P 2yn"), "", "Hall symbol '-P 2yn' is that of 'P 1 21/n 1', not of 'P 21/c'"),
        (said("P 21/c", code="b1"), "P 1 21/c 1", ""),
        (said("P 21/c", number=14), "P 1 21/c 1", ""),
        (said("?", number=14), "P 1 21/n 1", ""),
    ],
)
def test_operations_that_contradict_the_name_count_and_are_warned_of(names: str, ops: str, says: str) -> None:
    setting = ops or "P 1 21/n 1"
    crystal = described(BADDELEYITE, setting)
    listing = said(ops=ops) if ops else ""
    atoms, warned = from_text(text_of(crystal, names + listing))
    assert atoms.get_chemical_formula() == "O8Zr4"
    assert bool(warned) == bool(says)
    assert says in " ".join(warned)


@pytest.mark.parametrize("name", ["I 41/a m d", "P 4/n m m", "F d d d", "P n -3", "P 42/m n m", "R 3 2", "P 31 2 1"])
@pytest.mark.parametrize("shift", [(0.125, 0.25, 0.375), (0.25, 0.0, 0.5)])
def test_operations_about_another_origin_contradict_no_name(name: str, shift: tuple[float, ...]) -> None:
    """They are those of the group, though of no setting in the tables; another group's are not."""
    group = next(g for g in GROUPS if g.hm == name)
    there = gemmi.Op("x,y,z")
    there.tran = [round(s * gemmi.Op.DEN) for s in shift]
    moved = [there.combine(op).combine(there.inverse()).wrap().triplet() for op in group.operations()]
    cell, rows = cell_of(group), "\n".join(f"'{t}'" for t in moved)
    text = f"_space_group_name_H-M_alt '{{}}'\nloop_\n_space_group_symop_operation_xyz\n{rows}\n"
    _, warned = operations(stated(text.format(name)), cell, ONE)
    assert warned == []
    _, warned = operations(stated(text.format("P 2 3")), cell, ONE)
    assert len(warned) == 1
    assert "those of 'P 2 3'; the list counts" in warned[0] or "not of 'P 2 3'; the list counts" in warned[0]


def test_a_site_in_doubt_is_expanded_about_the_origin_that_is_meant() -> None:
    """0.1251 is 0.002 Å beside a special position; pymatgen, which merges it, would take origin 1 of the bare name."""
    text = text_of(SPINEL, said("F d -3 m", code="2")).replace("Mg 0.125000000", "Mg 0.1251")
    assert "0.1251" in text
    atoms, _ = from_text(text)
    assert atoms.get_chemical_formula() == "Al16Mg8O32"
