"""Boxes: soft spheres are what their energy says, atoms come apart, volumes follow the lever rule, seeds give bytes."""

from __future__ import annotations

import csv
import gzip
import os
import re
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.data import chemical_symbols
from crystal_glass import PACK, packing
from crystal_glass.box_options import PackOptions
from crystal_glass.boxes import boxes_of, rounded
from crystal_glass.composition import MOST, grid, once, parse, reduced, spelled
from crystal_glass.crystals import COMPOUNDS, cell_volume, crystal_of, elemental
from crystal_glass.packing import APART, _Near, apart, box, diameters, pairs_nearer
from crystal_glass.packing import soft_spheres as soft_spheres_of_pairs
from crystal_glass.volumes import Phase, Volume, lever, volume_of
from mendeleev.fetch import fetch_table
from pymatgen.core import Element, Structure
from reference import soft_spheres as reference

from crystalcli.cli.main import run
from crystalcli.nouns.radii import COVALENT
from crystalcli.testing import WorkflowContract
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.units import AVOGADRO


class TestPack(WorkflowContract):
    """Workflow ``pack``."""

    part = PACK
    kills = 1


def some_spheres(n: int = 30, length: float = 7.0) -> tuple[np.ndarray, float, np.ndarray]:
    rng = np.random.default_rng(5)
    wide = rng.uniform(1.4, 2.6, (n, n))
    return rng.random((n, 3)) * length, length, 0.5 * (wide + wide.T)


def soft_spheres(places: np.ndarray, length: float, sigma: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Of (N, N) widths, all pairs listed."""
    i, j = pairs_nearer(places, length, length)
    assert len(i) == len(places) * (len(places) - 1) // 2
    return soft_spheres_of_pairs(places, length, i, j, sigma[i, j])


def test_soft_spheres_are_those_of_all_pairs() -> None:
    """Lists with a skin, in a walk far beyond it, across the walls of the box; σ differs from kind to kind."""
    rng = np.random.default_rng(2)
    length, kinds = 11.0, rng.integers(0, 3, 60)
    wide = np.array([[1.5, 2.6, 1.9], [2.6, 2.2, 2.4], [1.9, 2.4, 3.1]])
    places, near = (rng.random((60, 3)) * 3 - 1) * length, _Near(length, wide, kinds)
    for _ in range(12):
        push, energy, nearest = near.pushed(places)
        true = reference.soft_spheres(places, length, wide[kinds[:, None], kinds])
        assert np.abs(push - true[0]).max() < 1e-12
        assert energy == pytest.approx(true[1], rel=1e-12)
        assert nearest == pytest.approx(true[2], rel=1e-12)
        places = places + rng.normal(0.0, 0.12, places.shape)
    thin = _Near(40.0, wide, np.array([0, 2])).pushed(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 22.0]]))
    assert thin[2] == pytest.approx(19.0 / 1.9)
    assert _Near(40.0, wide, np.array([0])).pushed(np.zeros((1, 3)))[2] == np.inf
    edge = pairs_nearer(np.array([[-1e-18, 0.0, 0.0], [0.5, 0.0, 0.0]]), 9.0, 1.0)
    assert [k.tolist() for k in edge] == [[0], [1]]


def test_ten_thousand_atoms_take_little_memory() -> None:
    """A table of every two of them would have 2.4 GB."""
    tracemalloc.start()
    packed = box({"Al": 3000, "Ni": 7000}, 1.15 * 12.0 * 10_000, 0, "Al3000Ni7000", "covalent")
    assert tracemalloc.get_traced_memory()[1] < 2e8
    tracemalloc.stop()
    assert packed.nearest >= APART


def test_forces_of_soft_spheres_are_derivatives() -> None:
    places, length, sigma = some_spheres()
    push, energy, nearest = soft_spheres(places, length, sigma)
    assert energy > 0.1
    assert nearest < 0.5
    for atom, axis in ((0, 0), (7, 1), (29, 2)):
        at = [places.copy(), places.copy()]
        at[0][atom, axis] += 1e-6
        at[1][atom, axis] -= 1e-6
        slope = (soft_spheres(at[0], length, sigma)[1] - soft_spheres(at[1], length, sigma)[1]) / 2e-6
        assert -slope == pytest.approx(push[atom, axis], abs=1e-7)
    assert np.abs(push.sum(0)).max() < 1e-12


def test_atoms_go_down_as_fire_says() -> None:
    """The steps of Bitzek et al. with the numbers of JAX-MD, written out: 0.1 to 0.4, 5, 1.1, 0.5, 0.1, 0.99."""
    places, length, sigma = some_spheres()
    x, v, dt, alpha, downhill, turned = places, np.zeros_like(places), 0.1, 0.1, 0, 0
    force = soft_spheres(x, length, sigma)[0]
    for _ in range(40):
        x = x + dt * v + 0.5 * dt**2 * force
        old, force = force, soft_spheres(x, length, sigma)[0]
        v = v + 0.5 * dt * (old + force)
        power = (force * v).sum()
        v = (1 - alpha) * v + alpha * np.linalg.norm(v) * force / np.linalg.norm(force)
        if power > 0:
            downhill += 1
            if downhill > 5:
                dt, alpha = min(1.1 * dt, 0.4), 0.99 * alpha
        else:
            downhill, dt, alpha, v = 0, 0.5 * dt, 0.1, 0.0 * v
            turned += 1
    assert turned > 0
    found, _, steps = apart(places, length, sigma, np.arange(30), steps=40)
    assert steps == 40
    assert np.abs(found - x).max() < 1e-9


def test_spheres_that_touch_have_neither_energy_nor_force() -> None:
    sigma = np.full((2, 2), 2.0)
    for distance in (2.0, np.nextafter(2.0, 3.0), 2.5):
        push, energy, nearest = soft_spheres(np.array([[0.1, 0, 0], [0.1 - distance, 0, 0]]), 9.0, sigma)
        assert energy == 0.0
        assert not push.any()
        assert nearest == pytest.approx(distance / 2.0)
    push, energy, _ = soft_spheres(np.array([[0.1, 0, 0], [-1.4, 0, 0]]), 9.0, sigma)
    assert energy == pytest.approx(0.5 * 0.25**2)
    assert push[0].tolist() == pytest.approx([0.25 / 2.0, 0.0, 0.0])


@pytest.mark.parametrize(("formula", "limit"), [("Ti2O3", 200), ("Al0.3Ni0.7", 200), ("Cu", 500)])
def test_a_hundred_atoms_come_apart(formula: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 1.15 of the crystal's volume: 200 steps while spheres fill 0.42 of it or less, 500 of one metal at 0.64."""
    monkeypatch.setattr(packing, "TRIES", 1)  # the first beginning will do
    one = parse(formula)
    volume = 115.0 * volume_of(one, 0.0, []).per_atom
    for seed in range(4):
        packed = box(dict(sorted(one.counts(100).items())), volume, seed, formula, "published")
        sigma = diameters(packed.atoms.numbers, "published")
        distances = packed.atoms.get_all_distances(mic=True)
        np.fill_diagonal(distances, np.inf)
        assert packed.nearest == pytest.approx(float((distances / sigma).min()))
        assert packed.nearest >= APART
        assert packed.steps <= limit
    share = np.pi / 6 * 100 * float(sigma[0, 1]) ** 3 / volume
    assert share <= 0.42 or (formula == "Cu" and 0.6 < share < 0.7)


def test_published_widths() -> None:
    """Aykol: least sum of two unlike ionic radii (Ti 0.852, O 1.26 Å); twice the metallic radius, else the atomic."""
    for numbers, width in (([22, 8], 0.8517 + 1.26), ([29], 2 * 1.28), ([14], 2 * 1.10), ([13, 28, 29], 0.675 + 0.74)):
        assert diameters(np.array(numbers), "published").max() == pytest.approx(width, abs=1e-3)
    for numbers, symbol in (([22, 8, 18], "Ar"), ([1, 8], "H"), ([2], "He")):
        with pytest.raises(InputError, match=f"{symbol} has no published radius; use --spheres covalent"):
            diameters(np.array(numbers), "published")
    pairs = diameters(np.array([22, 8]), "covalent")
    assert pairs[0, 1] == pytest.approx(0.85 * (1.36 + 0.63))
    assert pairs[1, 1] == pytest.approx(0.85 * 1.26)


def test_radii_are_those_of_pyykko() -> None:
    table = fetch_table("elements")["covalent_radius_pyykko"].to_numpy()[:96] / 100.0
    assert COVALENT[1:97].tolist() == pytest.approx(table.astype(float).tolist())


def test_a_box_that_is_full_says_so() -> None:
    with pytest.raises(InputError, match=r"^atoms stay as near as 0\.\d\d of their diameters in 3\.00"):
        box({"Cu": 100}, 300.0, 0, "Cu100", "published")
    with pytest.raises(InputError, match=r"as near as 0\.9"):  # nearly, but not quite
        box({"Cu": 100}, 1220.0, 0, "Cu", "published")
    with pytest.raises(
        InputError, match=r"^a box of 2\.88 Å is too narrow for atoms 2\.56 Å wide; give --atoms 12 or more"
    ):
        box({"Cu": 2}, 24.0, 0, "Cu2", "published")
    box({"Cu": 12}, 144.0, 0, "Cu12", "covalent")
    places, length, sigma = some_spheres()
    assert apart(places, length, sigma, np.arange(30), steps=3)[2] == 3


@pytest.mark.parametrize("command", [["pack"], ["glass", "--potential", "emt"]])
def test_boxes_that_cannot_be_packed_are_refused_before_anything_begins(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text("Al\n")
    asked = [*command, "--compositions", str(tmp_path / "list.txt"), "-o", str(tmp_path / "made.xyz"), "--quiet"]
    said = "Al: a box of 3.37 Å is too narrow for atoms 2.14 Å wide; give --atoms 5 or more"
    assert run([*asked, "--atoms", "2"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/list.txt:1: {said}\n"
    assert run([*asked, "--atoms", "5", "--dry-run"]) == 0
    (tmp_path / "list.txt").write_text("ArO\n")
    assert run([*asked, "--atoms", "8", "--volume", "15", "--spheres", "published"]) == 2
    assert "list.txt:1: ArO: Ar has no published radius; use --spheres covalent" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["list.txt"]


def test_a_box_that_cannot_be_packed_is_named_while_others_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pack", "C", "Al", "--atoms", "2", "--expand", "1.9", "-o", str(tmp_path / "a.xyz")]) == 3
    assert "Al: a box of 3.98 Å is too narrow for atoms 2.14 Å wide; give --atoms 3 or more; the others" in (
        capsys.readouterr().err
    )


def test_a_box_that_is_too_full_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pack", "Cu", "--atoms", "30", "--volume", "3", "-o", str(tmp_path / "a.xyz"), "--quiet"]) == 4
    assert re.search(r"error: .*no box could be packed: Cu30: atoms stay as near as 0\.\d", capsys.readouterr().err)


def test_the_volume_of_an_immiscible_system_is_a_line() -> None:
    a, b = Phase("Cu", {"Cu": 1.0}, 11.8, -3.7), Phase("Ta", {"Ta": 1.0}, 18.0, -11.8)
    high = Phase("CuTa", {"Cu": 0.5, "Ta": 0.5}, 12.0, -7.0)  # above the line from −3.7 to −11.8
    for share in (0.1, 0.35, 0.5, 0.9):
        found = volume_of(parse(f"Cu{1 - share:.2f}Ta{share}"), 0.0, [a, high, b])
        assert found.per_atom == pytest.approx(11.8 + share * (18.0 - 11.8))
        assert "hull" in found.source


def test_the_lever_rule_counts_atoms_not_formulas() -> None:
    """TiO1.8 between Ti2O3 (5 atoms) and TiO2 (3 atoms): 0.2 and 0.8 units of each Ti, so 0.5 and 2.4 atoms."""
    phases = [
        Phase("Ti2O3", {"O": 0.6, "Ti": 0.4}, 10.45, -9.0),
        Phase("TiO2", {"O": 2 / 3, "Ti": 1 / 3}, 10.41, -8.8),
        Phase("Ti", {"Ti": 1.0}, 17.6, -7.8),
    ]
    o = 1.8 / 2.8
    mixed = lever({"Ti": 1 - o, "O": o}, phases)
    assert mixed is not None
    shares = {p.formula: x for p, x in mixed}
    x = (o - 0.6) / (2 / 3 - 0.6)
    assert shares == pytest.approx({"Ti2O3": 1 - x, "TiO2": x})
    assert lever({"Ti": 0.2, "O": 0.8}, phases) is None  # beyond the last phase there is no oxygen
    assert lever({"Cu": 1.0}, phases) is None


def test_volumes_come_in_order() -> None:
    one = parse("TiO2")
    assert volume_of(one, 9.5, []).source == "given"
    same = [Phase("TiO2", {"O": 2 / 3, "Ti": 1 / 3}, v, None) for v in (10.0, 11.0)]
    assert volume_of(one, 0.0, same) == Volume(10.5, "mean of the phases given: 2 of TiO2")
    other = [Phase("Ti", {"Ti": 1.0}, 17.0), Phase("TiO3", {"O": 0.75, "Ti": 0.25}, 9.0)]
    assert volume_of(one, 0.0, other).source.startswith("densest mixture of the phases given: ")
    known = [Phase("TiO2", {"O": 2 / 3, "Ti": 1 / 3}, v, e) for v, e in ((11.0, -9.0), (10.0, -8.0))]
    assert volume_of(one, 0.0, known) == Volume(11.0, "hull of the phases given: TiO2")
    said = volume_of(one, 0.0, [*known, same[1]])  # an energy is missing: none of them says what is stable
    assert said.per_atom == pytest.approx((11.0 + 10.0 + 11.0) / 3)
    assert volume_of(one, 0.0, []).per_atom == pytest.approx(62.43 / 6, rel=1e-3)
    assert volume_of(parse("Cu0.25Ni0.75"), 0.0, []).per_atom == pytest.approx(
        0.25 * 3.61**3 / 4 + 0.75 * 3.52**3 / 4, rel=1e-6
    )
    between = volume_of(parse("Al0.8O0.2"), 0.0, [])
    corundum, aluminium = cell_volume(COMPOUNDS["Al2O3"][1]) / 30, 4.05**3 / 4
    assert between.per_atom == pytest.approx(corundum / 3 + 2 * aluminium / 3, rel=1e-6)
    with pytest.raises(UsageError, match="no crystal of Fr is known; give --volume or --phases"):
        volume_of(parse("FrCl"), 0.0, [])


@pytest.mark.parametrize(
    ("formula", "density"),
    [
        *(("Al2O3", 3.99), ("SiO2", 2.65), ("TiO2", 4.25), ("Ti2O3", 4.57), ("ZrO2", 5.83), ("WO3", 7.16)),
        *(("V2O5", 3.36), ("Si3N4", 3.20), ("WC", 15.63), ("NaCl", 2.165), ("CuO", 6.51), ("MoO3", 4.69)),
        *(("In2O3", 7.18), ("La2O3", 6.51), ("BN", 2.28), ("CaF2", 3.18), ("HfO2", 10.1), ("B2O3", 2.55)),
        *(("Ga2O3", 5.95), ("GaN", 6.1), ("SnO2", 6.95)),
    ],
)
def test_densities_of_the_table_are_those_of_x_rays(formula: str, density: float) -> None:
    units, lengths = COMPOUNDS[formula]
    mass = sum(float(n) * ase.Atom(s).mass for s, n in parse(formula).amounts)
    assert 1.66053907 * units * mass / cell_volume(lengths) == pytest.approx(density, rel=0.02)


GROUPS = {
    225: ("MgO", "CaO", "SrO", "BaO", "CoO", "NiO", "Li2O", "Na2O", "CeO2", "TiN", "ZrN", "TiC", "LiF", "NaF", "CaF2",
          "LiCl", "NaCl", "KCl"), 224: ("Cu2O",), 186: ("ZnO", "AlN", "GaN"), 216: ("SiC", "ZnS", "GaAs"),
    167: ("Al2O3",), 154: ("SiO2", "GeO2"), 136: ("TiO2", "SnO2", "MgF2"), 14: ("ZrO2", "HfO2"), 206: ("In2O3",),
    164: ("La2O3",), 12: ("Ga2O3",), 176: ("Si3N4",), 187: ("WC",),
}  # fmt: skip
"""Compounds of the table of which the Materials Project's sets below have the same crystal, by space group."""


@pytest.mark.skipif("CRYSTAL_DATA" not in os.environ, reason="CRYSTAL_DATA is not set")
@pytest.mark.filterwarnings("ignore")  # of pymatgen and spglib
def test_volumes_of_the_table_are_a_little_less_than_those_of_pbe() -> None:
    """PBE makes crystals larger: by 0.5 to 6.5 % of the volume in all of them."""
    root = Path(os.environ["CRYSTAL_DATA"])
    groups = {formula: g for g, formulas in GROUPS.items() for formula in formulas}
    wanted = {reduced(parse(f).counts(int(sum(n for _, n in parse(f).amounts)))): f for f in groups}
    seen: dict[str, list[float]] = {f: [] for f in groups}
    sets = ("mp-elasticity-binaries", "phonon-peak", "mp-formation-energy")
    for file in (f for name in sets for f in root.glob(f"{name}/*.gz")):
        with gzip.open(file, "rt") as lines:
            for row in csv.DictReader(lines):
                words = re.findall(r"([A-Z][a-z]?)(\d*)", row.get("formula") or row["composition"])
                formula = wanted.get(reduced({s: int(n or 1) for s, n in words}))
                if formula and row.get("spacegroup", str(groups[formula])) == str(groups[formula]):
                    crystal = Structure.from_str(row["cif"], fmt="cif")
                    if crystal.get_space_group_info()[1] in (groups[formula], {154: 152}.get(groups[formula])):
                        seen[formula].append(crystal.volume / len(crystal))
    for formula, volumes in seen.items():
        units, lengths = COMPOUNDS[formula]
        mine = cell_volume(lengths) / (units * float(sum(n for _, n in parse(formula).amounts)))
        assert volumes, formula
        assert 1.004 < min(volumes) / mine < 1.066, formula


def test_volumes_of_elements_are_measured_ones() -> None:
    """Those of ASE's lattices beside pymatgen's molar volumes: uranium has four atoms in its cell, not one."""
    others = set()
    for symbol in chemical_symbols[1 : MOST + 1]:
        found, molar = elemental(symbol), Element(symbol).molar_volume
        if found is not None and molar and not 0.92 < found[0] / (float(molar) * 1e24 / AVOGADRO) < 1.08:
            others.add(symbol)
    assert others == {"C", "O", "F"}
    assert elemental("U") == (pytest.approx(20.7, abs=0.1), "molar volumes")
    assert crystal_of("U") is crystal_of("Ga") is crystal_of("At") is None
    copper = crystal_of("Cu")
    assert copper is not None
    assert len(copper) == 1


def test_formulas() -> None:
    assert parse("Ca(PO3)2").fractions == {"Ca": Fraction(1, 9), "P": Fraction(2, 9), "O": Fraction(6, 9)}
    assert parse("Ti2O3").counts(100) == {"Ti": 40, "O": 60}
    assert parse("SiO2").counts(100) == {"Si": 33, "O": 67}
    assert parse("AlNiCu").counts(100) == {"Al": 34, "Ni": 33, "Cu": 33}
    assert reduced({"O": 60, "Ti": 40}) == reduced({"Ti": 2, "O": 3}) == "O3Ti2"
    for wrong in ("", "ti2", "Ti2O3)", "Ca(PO3", "Ca()2", "Xx2", "Ti0", "Ti-2", "Fm2"):
        with pytest.raises(UsageError):
            parse(wrong)
    with pytest.raises(UsageError, match="no atom of Ti among 100"):
        parse("Al0.999Ti0.001").counts(100)


def test_grids_have_every_composition_once() -> None:
    found = list(grid("Al,Ti,Zr", 10.0, ends=False))
    assert len(found) == 27
    assert {tuple(c.counts(100).items()) for c in found} >= {(("Al", 90), ("Ti", 10)), (("Ti", 10), ("Zr", 90))}
    assert len(list(grid("Al,Ti,Zr", 10.0, ends=True))) == 30
    same = [parse(text) for text in ("CuNi", "Ni2Cu2", "Cu", "Cu0.501Ni0.499", "Ni0.499Cu0.501")]
    kept = [(c.text, also) for c, also in once(same, 100)]
    assert kept == [("CuNi", ("Cu0.501Ni0.499", "Ni0.499Cu0.501")), ("Cu", ())]
    orders = [parse(text) for text in ("AlCu", "CuAl", "Cu0.5Al0.5", "(CuAl)2")]
    assert [(c.text, also) for c, also in once(orders, 15)] == [("AlCu", ())]
    assert [one.counts(15) for one in orders] == 4 * [{"Al": 8, "Cu": 7}]
    assert parse("NiCuAl").counts(100) == {"Al": 34, "Cu": 33, "Ni": 33}
    for wrong in (("Al", 10.0), ("Al,Al", 10.0), ("Al,Q", 10.0), ("Al,Ti", 30.0)):
        with pytest.raises(UsageError):
            list(grid(*wrong, ends=False))


def test_a_box_is_known_by_its_id_in_any_order_of_elements() -> None:
    assert spelled("Cu8Al7-2") == spelled("Al7Cu8-2") != spelled("Al8Cu7-2")
    assert spelled("O8SiC") == spelled("CO8Si")
    assert spelled("CO8Si") != spelled("COSi8")
    for other in ("of mine", "Cu8Al7#2", "", "x", "-1"):
        assert spelled(other) == other


def test_seeds_give_bytes(tmp_path: Path) -> None:
    def packed(name: str, *words: str) -> bytes:
        assert run(["pack", *words, "--atoms", "30", "-o", str(tmp_path / name), "--quiet"]) == 0
        return (tmp_path / name).read_bytes()

    one = packed("a", "Ti2O3")
    assert packed("b", "Ti2O3") == one
    assert packed("c", "CuNi", "Ti2O3").endswith(one)
    assert packed("d", "Ti2O3", "--seed", "1") != one
    first, second = ase.io.read(tmp_path / "a"), ase.io.read(tmp_path / "d")
    assert (first.numbers == second.numbers).all()
    assert np.abs(first.positions - second.positions).max() > 1.0
    assert first.get_volume() / 30 == pytest.approx(1.15 * first.info["crystal_volume"])
    (tmp_path / f".e.{'0' * 16}.tmp").write_text("of a program that was killed")
    (tmp_path / ".e.mine").write_text("of the user")
    packed("e", "Ti2O3")
    assert {p.name for p in tmp_path.iterdir()} == {*"abcde", ".e.mine"}
    assert run(["pack", "Cu", "-o", str(tmp_path / "a"), "--quiet"]) == 2
    assert (tmp_path / "a").read_bytes() == one


def test_phases_of_files_say_the_volume(tmp_path: Path) -> None:
    crystals = [ase.build.bulk("Cu", a=3.7), ase.build.bulk("Ni", a=3.6)]
    for atoms, energy in zip(crystals, (-3.0, -4.0), strict=True):
        atoms.info["energy"] = energy
    ase.io.write(tmp_path / "phases.extxyz", crystals)
    words = [
        "pack",
        "CuNi",
        "--atoms",
        "10",
        "--phases",
        str(tmp_path / "phases.extxyz"),
        "-o",
        str(tmp_path / "a.xyz"),
    ]
    assert run([*words, "--quiet"]) == 0
    info = ase.io.read(tmp_path / "a.xyz").info
    assert info["crystal_volume"] == pytest.approx(0.5 * (3.7**3 + 3.6**3) / 4)
    assert info["volume_source"].startswith("hull of the phases given: 0.5 Cu + 0.5 Ni")


def test_the_volume_is_that_of_the_atoms_in_the_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten atoms of Cu 0.26 Ni 0.74 are Cu3Ni7; and what other words ask for the same box are told."""
    assert run(["pack", "Cu0.26Ni0.74", "Cu0.3Ni0.7", "--atoms", "10", "-o", str(tmp_path / "a.xyz")]) == 0
    said = capsys.readouterr().err
    assert "Cu0.3Ni0.7: 10 atoms make Cu3Ni7, as of Cu0.26Ni0.74; that is one box" in said
    assert ase.io.read(tmp_path / "a.xyz").info["crystal_volume"] == pytest.approx(
        0.3 * 3.61**3 / 4 + 0.7 * 3.52**3 / 4
    )


def test_phases_of_the_formula_alone_do_for_whole_numbers_near_it() -> None:
    phases = [Phase("TiO2", {"O": 2 / 3, "Ti": 1 / 3}, 10.0)]
    asked = parse("TiO2")
    assert volume_of(asked.rounded(100), 0.0, phases, asked) == Volume(10.0, "mean of the phases given: 1 of TiO2")
    assert volume_of(asked.rounded(100), 0.0, phases).source.startswith("measured")


@pytest.mark.parametrize("text", ["", "no crystal\n"])
def test_phases_that_cannot_be_read_end_the_program(tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / "p.cif").write_text(text)
    words = ["pack", "Cu", "--phases", "p.cif", "-o", "a.xyz"]
    program = "import sys; from crystalcli.cli.main import run; sys.exit(run(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 4
    assert ended.stderr.startswith("error: p.cif")
    assert len(ended.stderr.splitlines()) == 1


def test_fractions_that_do_not_sum_to_one_are_told() -> None:
    texts = ("Al0.3Cu0.8", "Al0.33Cu0.66", "Al0.3Cu0.7", "Al2Cu3", "Al0.5")
    boxes = boxes_of(PackOptions(formulas=texts, atoms=1100, volume="15", replicas=2), [])
    said = [line for line in rounded(boxes) if "sum to" in line]
    assert said == ["Al0.3Cu0.8: the amounts sum to 1.1, not 1; taken as parts of that"]
