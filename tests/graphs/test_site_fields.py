"""Fields of sites, from the files through the cache into training, prediction, relaxation and dynamics."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import asked
import numpy as np
import pytest
import torch
import toy_slabs
from common import some_trainings
from common.some_trainings import changed, train

from crystalcli import load_model, load_potential
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.places import Place
from crystalcli.graphs import caches
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan, BuildReport
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import InputError, UsageError

FIELDS = ("fixed", "tags")


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(toy_slabs.PLUGIN))
        registry.cache_clear()
        yield
    registry.cache_clear()


def built(folder: Path, name: str, structures: list[ase.Atoms], **changes: Any) -> BuildReport:
    source = toy_slabs.write(folder / f"{name}.extxyz", structures)
    return build(replace(PLAN, inputs=(str(source),), output=folder / f"{name}.h5", **changes))


PLAN = BuildPlan((), Path(), "radius", {"cutoff": 4.0}, ("energy",), place=Place(0), fields=FIELDS)


def with_energies(structures: list[ase.Atoms]) -> list[ase.Atoms]:
    """Energies that hang on what is fixed, so that it is worth knowing."""
    for atoms in structures:
        (held,) = (c.index for c in atoms.constraints)
        atoms.info["energy"] = -2.0 * len(atoms) + 3.0 * len(held) + 0.1 * atoms.get_tags().sum()
    return structures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held")
    built(folder, "train", with_energies(toy_slabs.slabs(18)))
    train(plan(folder, "train.h5"))
    return folder / "run"


def plan(folder: Path, cache: str, **changes: Any) -> Request:
    made = some_trainings.asked(
        arch="held",
        head="energy",
        output=str(folder / "run"),
        caches=(str(folder / cache),),
        recipe=Recipe(batch_size=4, epochs=3, lr=1e-2, loss="l1"),
        split="random",
        fractions="0.6,0.2,0.2",
        device="cpu",
        threads=1,
    )
    return changed(made, **changes)


def test_a_cache_holds_them_atom_by_atom_and_says_so(tmp_path):
    structures = with_energies(toy_slabs.slabs(7))
    report = built(tmp_path, "a", structures, fields=("tags", "depth,fixed"))
    assert report.fields == {"depth": 7, "fixed": 7, "tags": 7}
    assert report.labels == ("energy",)
    cache = GraphCache(report.output)
    assert cache.recipe.fields == ("depth", "fixed", "tags")
    assert caches.info(report.output)["fields"] == ["depth", "fixed", "tags"]
    data = GraphDataset([cache])
    order = np.array([4, 0, 6])
    graph = data.batch(order, dtype=torch.float64).graph
    chosen = [structures[[a.info["id"] for a in structures].index(data.ids[k])] for k in order]
    held = [np.isin(np.arange(len(a)), a.constraints[0].index) for a in chosen]
    assert graph.fields["fixed"].tolist() == np.concatenate(held).astype(float).tolist()
    assert graph.fields["tags"].tolist() == np.concatenate([a.get_tags() for a in chosen]).tolist()
    np.testing.assert_allclose(graph.fields["depth"], np.concatenate([a.arrays["depth"] for a in chosen]), atol=1e-7)


def test_a_field_is_no_label_unless_asked_for(tmp_path):
    structures = toy_slabs.slabs(4)
    for atoms in structures:
        del atoms.arrays["relaxed_positions"]
    assert built(tmp_path, "a", structures, targets=(), fields=("depth",)).labels == ()
    both = built(tmp_path, "b", structures, targets=("depth",), fields=("depth",))
    assert both.labels == ("depth",)
    assert both.fields == {"depth": 4}


def test_a_structure_without_one_costs_itself_only(tmp_path):
    structures = with_energies(toy_slabs.slabs(4))
    del structures[2].arrays["depth"]
    report = built(tmp_path, "a", structures, fields=("depth",))
    assert report.n_structures == 3
    (failure,) = report.failures
    assert failure.id == "slab2"
    assert "no per-site field 'depth'" in failure.reason
    assert failure.code == "field"


def test_what_a_cache_holds_is_part_of_its_recipe(tmp_path):
    structures = with_energies(toy_slabs.slabs(4))
    one, other = built(tmp_path, "a", structures), built(tmp_path, "b", structures[:2], fields=("fixed",))
    assert GraphCache(one.output).recipe.fingerprint != GraphCache(other.output).recipe.fingerprint
    with pytest.raises(UsageError, match=r"per-site fields fixed \(here fixed,tags\)"):
        GraphDataset.open([one.output, other.output])
    with pytest.raises(UsageError, match=r"per-site fields fixed,tags \(here fixed\)"):
        built(tmp_path, "a", structures, fields=("fixed",))
    again = built(tmp_path, "c", structures[2:])
    whole = caches.merge([one.output, again.output], tmp_path / "all.h5").cache
    fields = GraphDataset([whole]).batch(np.arange(6)).graph.fields
    parts = [GraphDataset.open([p.output]).batch(np.arange(p.n_structures)).graph.fields for p in (one, again)]
    for name in FIELDS:
        assert torch.equal(fields[name], torch.cat([p[name] for p in parts]))
    both = GraphDataset.open([one.output, again.output])  # structures of several caches, one after the other
    order = np.array([5, 0, 4, 2, 1])
    mixed, alone = both.batch(order).graph.fields, [both.batch(order[[k]]).graph.fields for k in range(len(order))]
    for name in FIELDS:
        assert torch.equal(mixed[name], torch.cat([a[name] for a in alone]))


def test_a_build_in_pieces_has_the_same_bytes(tmp_path):
    from crystalcli.engine.read import reading
    from crystalcli.graphs.codec import from_bytes, to_bytes
    from crystalcli.graphs.packing import Built, GraphWork, outcomes

    source = toy_slabs.write(tmp_path / "a.extxyz", toy_slabs.slabs(3))
    work = GraphWork("radius", {"cutoff": 4.0}, fields=("fixed", "relaxed_positions:3", "tags"))
    found = [o for _, o in outcomes(work, reading.plan([source]).items, Place(0))]
    for one, other in zip(found, from_bytes(to_bytes(found)), strict=True):
        assert isinstance(one, Built)
        assert isinstance(other, Built)
        assert one.graph.fields.keys() == other.graph.fields.keys() == {"fixed", "relaxed_positions", "tags"}
        assert all(np.array_equal(one.graph.fields[k], other.graph.fields[k]) for k in one.graph.fields)
        assert "relaxed_positions" not in other.entry.labels


def test_training_refuses_a_cache_without_them_with_the_command(tmp_path):
    built(tmp_path, "plain", with_energies(toy_slabs.slabs(12)), fields=())
    with pytest.raises(UsageError, match=r"per-site fields none \(here fixed,tags\); .*--fields fixed,tags"):
        train(plan(tmp_path, "plain.h5"))
    with pytest.raises(UsageError, match=r"--fields depth,fixed,tags"):
        train(plan(tmp_path, "plain.h5", arch_options={"depth": True}))
    assert not (tmp_path / "run").exists()


def test_files_caches_and_structures_in_memory_say_the_same(run, tmp_path):
    structures = with_energies(toy_slabs.slabs(5, seed=3))
    report = built(tmp_path, "a", structures, fields=("depth", *FIELDS))  # one more does no harm
    predictor = Predictor(run)
    values = {}
    for source in (report.output, tmp_path / "a.extxyz"):
        rows = list(predictor.predict([str(source)]))
        assert all(isinstance(r, Row) for r in rows), rows
        values[source] = {r.id: r.values["energy"] for r in rows}
        for row in rows:
            known = next(a for a in structures if a.info["id"] == row.id)
            assert row.atoms.constraints[0].index.tolist() == known.constraints[0].index.tolist()
            assert row.atoms.get_tags().tolist() == known.get_tags().tolist()
    in_memory = load_model(run).predict(structures)
    for atoms, found in zip(structures, in_memory, strict=True):
        for known in values.values():
            np.testing.assert_allclose(found["energy"].value, known[atoms.info["id"]], atol=1e-4)
    free = [a.copy() for a in structures]
    for atoms in free:
        atoms.set_constraint()
    other = load_model(run).predict(free)
    assert all(abs(a["energy"].value - b["energy"].value) > 1e-3 for a, b in zip(in_memory, other, strict=True))


def test_potentials_relaxations_and_dynamics_have_them(run, tmp_path):
    structures = with_energies(toy_slabs.slabs(3, seed=5))
    expected = [f["energy"].value for f in load_model(run).predict(structures)]
    potential = load_potential(str(run))
    found = potential.evaluate(structures)
    np.testing.assert_allclose([f["energy"] for f in found], expected, atol=1e-4)
    inputs = (str(toy_slabs.write(tmp_path / "a.extxyz", structures)),)
    asked.relax(inputs, run, tmp_path / "relaxed", steps=0)
    relaxed = ase.io.read(tmp_path / "relaxed" / "relaxed.extxyz", ":")
    np.testing.assert_allclose([a.get_potential_energy() for a in relaxed], expected, atol=1e-4)
    asked.relax(inputs, run, tmp_path / "held", steps=0, fix_elements="H,O")
    more = ase.io.read(tmp_path / "held" / "relaxed.extxyz", ":")
    assert all(abs(a.get_potential_energy() - e) > 1e-3 for a, e in zip(more, expected, strict=True))
    asked.md(inputs, run, tmp_path / "md", sampler="nve", temperature="10", steps=2, dt=0.5, frame_every=1)
    frames = [ase.io.read(p, 0) for p in sorted((tmp_path / "md").rglob("trajectory.extxyz"))]
    np.testing.assert_allclose(sorted(a.get_potential_energy() for a in frames), sorted(expected), atol=1e-4)


def test_whoever_gives_none_is_told(run):
    from crystalcli.nouns.systems import Systems

    potential = load_potential(str(run)).potential
    with pytest.raises(InputError, match="reads the per-site field 'fixed'"):
        potential.evaluate(Systems.of(toy_slabs.slabs(1)))


def test_systems_keep_them_when_some_are_taken_and_through_files():
    from crystalcli.nouns.structures.site_fields import of_atoms
    from crystalcli.nouns.systems import Systems

    structures = toy_slabs.slabs(3)
    systems = Systems.of(structures, fields=[of_atoms(a, FIELDS) for a in structures])
    some = systems.take(torch.tensor([0, 2]))
    expected = np.concatenate([structures[k].get_tags() for k in (0, 2)])
    assert some.fields["tags"].tolist() == expected.tolist()
    assert some.places.tolist() == [0, 2]
    assert some.take(torch.tensor([1])).places.tolist() == [2]
    again = Systems.of_tensors(some.tensors())
    assert torch.equal(again.fields["fixed"], some.fields["fixed"])
    assert torch.equal(again.places, some.places)
