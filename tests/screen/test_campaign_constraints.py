"""Held atoms and tags of candidates: the same at every stage, and in every file that leaves a campaign."""

import io
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111
from ase.constraints import FixAtoms, FixBondLength, FixCartesian
from common import some_campaign
from screen.test_campaign import do

from crystalcli.contracts.host import Host
from crystalcli.nouns.structures.constraints import projections
from crystalcli.screen import inputs
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.reading import read
from crystalcli.screen.stage_results import Result, Structure, extxyz, misfit

STAGES = """
[[stages]]
name = "loose"
cost = 60
potential = "emt"
fmax = 0.3
steps = 5

[[stages]]
name = "tight"
cost = 540
potential = "emt"
fmax = 0.05
steps = 60
"""


def held() -> list[Atoms]:
    """Alloys of which the first atom cannot move at all, and the second not along z."""
    made = some_campaign.alloys(24)
    for atoms in made:
        atoms.set_constraint([FixAtoms([0]), FixCartesian([1], (False, False, True))])
        atoms.set_tags([2, 1, *[0] * (len(atoms) - 2)])
    return made


def write(folder: Path) -> Path:
    plan = some_campaign.write(folder, head='train = 12\nthreshold = "9sigma"', stages=STAGES)
    text = extxyz(Structure(a.info["id"], a) for a in held())
    (folder / "candidates.extxyz").write_text(text)
    return plan


def test_held_atoms_stay_where_they_are_through_all_stages(tmp_path: Path) -> None:
    do(write(tmp_path), tmp_path / "run")
    before = {a.info["id"]: a for a in held()}
    relaxed = ase.io.read(tmp_path / "run" / "relaxed.extxyz", ":")
    assert len(relaxed) > 12
    moved = []
    for atoms in relaxed:
        start = before[atoms.info["id"]]
        shift = atoms.positions - start.positions
        moved.append(np.abs(shift).max())
        np.testing.assert_allclose(shift[0], 0.0, atol=1e-9)
        np.testing.assert_allclose(shift[1, 2], 0.0, atol=1e-9)
        assert atoms.get_tags().tolist() == start.get_tags().tolist()
        np.testing.assert_array_equal(projections(atoms), projections(start))
    assert sum(m > 0.01 for m in moved) > 12


def test_files_of_stages_say_what_is_held() -> None:
    slab = fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab.set_constraint(FixAtoms([0]))
    axes = slab.copy()
    axes.set_constraint([FixAtoms([0]), FixCartesian([1], (False, False, True))])
    free = some_campaign.alloys(1)[0]
    text = extxyz([Structure("slab", slab), Structure("axes", axes), Structure("free", free)])
    found = ase.io.read(io.StringIO(text), ":", format="extxyz")
    assert [a.get_tags().tolist() for a in found] == [[3, 2, 1], [3, 2, 1], [0] * len(free)]
    for one, was in zip(found, (slab, axes, free), strict=True):
        np.testing.assert_array_equal(projections(one), projections(was))
        np.testing.assert_array_equal(one.positions, was.positions)
    assert "move_mask:L:1" in text.splitlines()[1]
    assert "move_mask" not in extxyz([Structure("free", free)])


def test_what_was_said_of_sites_goes_by_their_order() -> None:
    """Where atoms are held, another order is a problem; else labels of the sites are not given to the wrong ones."""
    atoms = Atoms("CuPd", [[0, 0, 0], [0, 0, 2.5]], cell=[4, 4, 6], pbc=True)
    turned = atoms[[1, 0]]
    one = Structure("x", atoms, {"energy": 1.0, "charge": np.array([0.5, -0.5])})
    assert misfit(Result("x", atoms=turned), one).problem == ""
    assert set(one.moved(turned).labels) == {"energy"}
    assert set(one.moved(atoms).labels) == {"energy", "charge"}
    for change in (lambda a: a.set_constraint(FixAtoms([0])), lambda a: a.set_tags([1, 0])):
        said = atoms.copy()
        change(said)
        assert misfit(Result("x", atoms=turned), Structure("x", said)).reason == "order"
        assert misfit(Result("x", atoms=atoms), Structure("x", said)).problem == ""


def test_a_constraint_that_is_not_known_costs_its_candidate_and_not_the_campaign(tmp_path: Path) -> None:
    plan = some_campaign.write(tmp_path)
    made = some_campaign.alloys(24)
    made[3].set_constraint(FixBondLength(0, 1))
    ase.io.write(tmp_path / "all.traj", made)
    found = inputs.read(read(plan, [str(tmp_path / "all.traj")], ScreenOptions()), Host().warn)
    assert len(found.candidates.amounts) == 23
    (failure,) = found.candidates.failures
    assert "constraint FixBondLengths is not known" in failure.reason


def test_labels_of_sites_are_there_for_the_potential_of_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crystalcli.screen import stages

    given = []

    def relaxed(_request: object, _worker: object, shards: object, *_more: object) -> list[object]:
        given.extend(entry for _, entries in shards for entry in entries)  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr(stages, "relaxed_shards", relaxed)
    worker = stages.worker(read(some_campaign.write(tmp_path), (), ScreenOptions()), 0, tmp_path, [])
    one = Structure("x", some_campaign.alloys(1)[0], {"spin": np.ones(4)})
    assert not list(worker.work("task", iter([("key", [one])]), None))  # type: ignore[arg-type]
    assert given[0].labels["spin"].sum() == 4
