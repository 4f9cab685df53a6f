"""A model is trained on with more, fewer, other elements: the rows of an element stay with it, in every part."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.data import chemical_symbols
from common import small_cache
from common.some_trainings import asked, changed, train
from train.test_training import RECIPE

from crystalcli.contracts.element_tables import tables_of
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Statistics
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.cache.cache_writer import write_cache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.train.setup import prepare
from crystalcli.train.transfer import kept_statistics, refitted_statistics
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity

SALTS = {"NaCl": 5.64, "KCl": 6.29, "NaBr": 5.97, "LiF": 4.03, "MgO": 4.21, "KF": 5.34, "KBr": 6.6}
BASE = ("NaCl", "KCl")
CHANGES = {
    "more": ("NaCl", "KCl", "LiF", "NaBr"),  # Li, F before, Br behind
    "fewer": ("NaCl",),
    "shifted": ("KCl", "KBr"),
    "one in common, none in its place": ("KF",),
    "none in common": ("LiF", "MgO"),
}
KNN = ("cgcnn", {"cutoff": 8.0, "max_neighbors": 12, "ties": "cut"})
RADIUS = ("radius", {"cutoff": 4.5})
ENERGY, TOTAL = small_cache.ENERGY, Quantity("energy", "eV", extensive=True)
CHARGE = Quantity("charge", "e", "site")
PLUGIN = """
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Architecture

def build(options, node_dim, edge_dim, statistics):
    import torch
    from torch import nn
    from crystalcli.contracts.element_tables import ElementTable
    from crystalcli.contracts.modules import Embedding

    class Species(nn.Module):
        SAID
        def __init__(self):
            super().__init__()
            self.embedding_dim, n = 6, len(statistics.elements)
            self.register_buffer("place", torch.full((120,), -1), persistent=False)
            self.place[list(statistics.elements)] = torch.arange(n)
            self.rows = nn.Linear(6, n, bias=False)

        def forward(self, graph, features):
            return Embedding(self.rows.weight.index_select(0, self.place.index_select(0, graph.atomic_numbers)))

    return Species()

@hookimpl
def crystal_parts():
    partners = {"featurizer": "cgcnn", "head": "crystal", "provides": frozenset({"nodes"})}
    return [Architecture(name="species", summary="a row per element", build=build, **partners)]
"""
KINDS = {
    "cgcnn": (KNN, {}, ENERGY),
    "lcgcn": (KNN, {"featurizer_options": {"atom_features": "learned"}}, ENERGY),
    "sites": (KNN, {"head": "site", "featurizer_options": {"atom_features": "learned"}}, CHARGE),
    "pair-moments": (RADIUS, {"head": "energy", "arch_options": {"width": 8, "pair_channels": 4}}, TOTAL),
    "cgcnn-ff": (RADIUS, {"head": "energy", "head_options": {"wall": True}}, TOTAL),
    "species": (KNN, {"arch_options": {}}, ENERGY),
}
ARCHITECTURES = {"sites": "cgcnn", "cgcnn-ff": "cgcnn"}


def crystals(names: tuple[str, ...], n: int = 16) -> list[ase.Atoms]:
    rng = np.random.default_rng(len(names))
    made = []
    for k in range(n):
        name = names[k % len(names)]
        atoms = ase.build.bulk(name, "rocksalt", a=SALTS[name] * (0.95 + 0.1 * rng.random())).repeat((2, 1, 1))
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        made.append(atoms)
    return made


def written(path: Path, kind: str, names: tuple[str, ...]) -> Path:
    (featurizer, options), _, quantity = KINDS[kind]
    structures = crystals(names)
    values = small_cache.energies(structures)
    if quantity is TOTAL:
        values = np.array([sum(-0.1 * a.numbers) + len(a) * v for a, v in zip(structures, values, strict=True)])
    if quantity is CHARGE:
        values = np.concatenate([np.sin(a.numbers) for a in structures])
    graphs = [build_graph(a, cutoff=options["cutoff"], max_neighbors=options.get("max_neighbors")) for a in structures]
    column = Column(quantity, values, np.ones(len(values), dtype=bool))
    ids = [f"{k} {a.symbols}" for k, a in enumerate(structures)]
    write_cache(path, GraphRecipe(featurizer, options), ids, ids, graphs, [column])
    return path


@pytest.fixture(scope="module", autouse=True)
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("plugins") / "species.py"
    file.write_text(PLUGIN.replace("SAID", 'element_tables = {"rows.weight": ElementTable(0)}'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(file))
        registry.cache_clear()
        yield
    registry.cache_clear()


def plan(kind: str, cache: Path, output: Path, **changes: object) -> Request:
    _, parts, _ = KINDS[kind]
    made = asked(
        arch=ARCHITECTURES.get(kind, kind),
        head="crystal",
        output=str(output),
        caches=(str(cache),),
        arch_options={"n_conv": 1, "width": 8},
        recipe=replace(RECIPE, epochs=1, schedule="constant", lr=1e-3, ema=0.0),
        split="random",
        fractions="0.6,0.2,0.2",
        device="cpu",
        threads=1,
    )
    return changed(made, **(parts | changes))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    found = {}
    for kind in KINDS:
        cache = written(folder / f"{kind}.h5", kind, BASE)
        found[kind] = train(plan(kind, cache, folder / kind)).folder
    return found


def loaded(folder: Path) -> CrystalModel:
    model = model_file.load(folder / "model.safetensors")[0]
    assert isinstance(model, CrystalModel)
    return model.double()


def grown(kind: str, source: Path, cache: Path, said: list[str] | None = None, **how: object) -> CrystalModel:
    listener = Host(say=(said if said is not None else []).append, warn=(said if said is not None else []).append)
    made = plan(kind, cache, cache.with_suffix(""), from_=source, **how, seed=5)
    return prepare(made, listener).model.double().eval()


def shared(names: tuple[str, ...]) -> list[int]:
    old, new = ({z for a in crystals(n) for z in a.numbers.tolist()} for n in (BASE, names))
    return sorted(old & new)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_rows_stay_with_their_element(kind: str, change: str, sources: dict[str, Path], tmp_path: Path) -> None:
    cache = written(tmp_path / "new.h5", kind, CHANGES[change])
    before = loaded(sources[kind])
    base = GraphDataset.open([sources[kind].with_suffix(".h5")])
    graph = base.batch(np.arange(len(base)), dtype=torch.float64).graph
    with torch.no_grad():
        expected, embedding = before(graph), before.embed(graph).nodes
    common = torch.isin(graph.atomic_numbers, torch.tensor(shared(CHANGES[change])))
    known = [int(s) for s in range(graph.n_structures) if common[graph.structure_index == s].all()]
    atoms = torch.isin(graph.structure_index, torch.tensor(known, dtype=torch.int64))

    kept = grown(kind, sources[kind], cache)
    assert set(kept.spec.statistics.elements) == {11, 17, 19} | set(GraphDataset.open([cache]).elements(np.arange(16)))
    with torch.no_grad():
        for name, value in kept(graph).items():
            torch.testing.assert_close(value.value, expected[name].value, rtol=1e-6, atol=1e-6)
    for how in ({"new_head": True}, {"refit_normaliser": True}):
        other = grown(kind, sources[kind], cache, **how)
        assert not set(other.spec.statistics.elements) - set(GraphDataset.open([cache]).elements(np.arange(16)))
        for name, table in tables_of(other).items():
            if not table.by_number:
                assert other.state_dict()[name].shape[table.axes[0]] == len(other.spec.statistics.elements)
        if known:
            graph_of_known = base.batch(np.array(known), dtype=torch.float64).graph
            with torch.no_grad():
                found = other.embed(graph_of_known).nodes
            torch.testing.assert_close(found, embedding[atoms], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["pair-moments", "species"])
def test_row_by_row(kind: str, sources: dict[str, Path], tmp_path: Path) -> None:
    """{Na, Cl, K} and {K, Cl, Br, Na…}: by place chlorine would get the row of sodium."""
    name, axes = {"pair-moments": ("architecture.pairs.weight", 2), "species": ("architecture.rows.weight", 1)}[kind]
    before = loaded(sources[kind])
    cache = written(tmp_path / "new.h5", kind, ("KCl", "LiF"))
    after = grown(kind, sources[kind], cache, new_head=True)
    old, new = before.spec.statistics.elements, after.spec.statistics.elements
    assert (old, new) == ((11, 17, 19), (3, 9, 17, 19))
    was, now = before.state_dict()[name], after.state_dict()[name]
    for z in new:
        for other in new if axes == 2 else (z,):
            row = now[(new.index(z), new.index(other))[:axes]]
            if z in old and other in old:
                assert torch.equal(row, was[(old.index(z), old.index(other))[:axes]])
            else:
                assert not any(torch.equal(row, r) for r in was.flatten(0, axes - 1))


def test_what_is_said(sources: dict[str, Path], tmp_path: Path) -> None:
    cache = written(tmp_path / "new.h5", "pair-moments", ("KCl", "LiF"))
    said: list[str] = []
    grown("pair-moments", sources["pair-moments"], cache, said, new_head=True)
    assert "elements: Cl, K kept from the model; Li, F new, from nothing; Na dropped, not in the training part" in said
    said.clear()
    grown("pair-moments", sources["pair-moments"], cache, said, freeze=("architecture.*",))
    assert "elements: Na, Cl, K kept from the model; Li, F new, from nothing" in said
    assert "architecture.pairs.weight frozen: the rows of Li, F stay as they are drawn, and learn nothing" in said
    said.clear()
    grown("pair-moments", sources["pair-moments"], sources["pair-moments"].with_suffix(".h5"), said)
    assert not [line for line in said if "elements" in line]


def test_references_of_new_elements_go_with_those_that_stay(sources: dict[str, Path], tmp_path: Path) -> None:
    """K is known, so all that KBr has beside it is bromine's."""
    cache = written(tmp_path / "new.h5", "pair-moments", ("KBr",))
    before, after = (
        loaded(sources["pair-moments"]).spec.statistics,
        grown("pair-moments", sources["pair-moments"], cache).spec,
    )
    known = dict(zip(after.statistics.elements, after.statistics.references, strict=True))
    assert [known[z] for z in before.elements] == list(before.references)
    data = GraphDataset.open([cache])
    per_atom = data.columns["energy"].values / data.atom_counts() - before.target_mean["energy"]
    assert (known[35] + known[19]) / 2 == pytest.approx(float(per_atom.mean()), abs=0.02)


def test_forces_keep_their_scale_where_references_are_fitted_anew(sources: dict[str, Path], tmp_path: Path) -> None:
    """Another code has another zero of energies, but no other eV."""
    kind, cache = "pair-moments", written(tmp_path / "new.h5", "pair-moments", CHANGES["shifted"])
    before = loaded(sources[kind])
    refitted, fresh = (grown(kind, sources[kind], cache, **{how: True}) for how in ("refit_normaliser", "new_head"))
    assert float(refitted.head.scale) == float(before.head.scale)
    assert abs(float(fresh.head.scale / before.head.scale) - 1) > 0.01
    assert not torch.equal(refitted.head.references, before.head.references)


def test_references_fitted_anew_are_those_of_another_code(sources: dict[str, Path], tmp_path: Path) -> None:
    """Labels that differ from what the model says by energies of its atoms are met without a step of training."""
    kind, names = "pair-moments", ("NaCl", "KCl", "NaCl", "KCl")
    (featurizer, options), _, quantity = KINDS[kind]
    structures, before = crystals(names), loaded(sources[kind])
    graphs = [build_graph(a, cutoff=options["cutoff"]) for a in structures]
    with torch.no_grad():
        said = before(collate(graphs, torch.float64))["energy"].value.numpy()
    shift = np.zeros(120)
    shift[[11, 17, 19]] = 3.0, -40.0, 7.5
    values = said + np.array([shift[a.numbers].sum() for a in structures])
    column = Column(quantity, values, np.ones(len(values), dtype=bool))
    ids = [str(k) for k in range(len(values))]
    cache = tmp_path / "shifted.h5"
    write_cache(cache, GraphRecipe(featurizer, options), ids, ids, graphs, [column])
    after = grown(kind, sources[kind], cache, refit_normaliser=True)
    with torch.no_grad():
        found = after(collate(graphs, torch.float64))["energy"].value.numpy()
    np.testing.assert_allclose(found, values, atol=1e-4)


def test_a_model_of_others_gets_no_wall_among_its_elements() -> None:
    """It does not say how near its atoms have been; a new head knows what it is shown only."""
    theirs = Statistics(elements=(11, 17))
    ours = Statistics(elements=(11, 17, 19), shortest=((11, 17, 2.5), (17, 17, 3.5), (17, 19, 3.0), (19, 19, 4.0)))
    some = ((17, 19, 3.0), (19, 19, 4.0))
    assert kept_statistics(theirs, ours, {}).shortest == some
    assert refitted_statistics(theirs, ours, {}).shortest == some
    assert refitted_statistics(theirs, ours, {}, new_head=True).shortest == ours.shortest
    known = Statistics(elements=(11, 17), shortest=((11, 17, 2.0), (17, 17, 3.7)))
    assert kept_statistics(known, ours, {}).shortest == ((11, 17, 2.0), (17, 17, 3.5), *some)


def test_a_repulsion_ends_where_it_did_unless_the_head_is_new() -> None:
    """A model that does not say where its edges end was trained with a repulsion up to the radii, cut off or not."""
    theirs, ours = Statistics(elements=(55,)), Statistics(elements=(55,), cutoff=4.5)
    assert kept_statistics(theirs, ours, {}).cutoff == 0.0
    assert refitted_statistics(theirs, ours, {}).cutoff == 0.0
    assert refitted_statistics(theirs, ours, {}, new_head=True).cutoff == 4.5


@pytest.mark.parametrize(
    ("kind", "how", "symbols"),
    [
        ("pair-moments", {}, ["Na", "Cl", "K", "Br"]),
        ("pair-moments", {"new_head": True}, ["Cl", "K", "Br"]),
        ("species", {"refit_normaliser": True}, ["Cl", "K", "Br"]),
    ],
)
def test_training_goes_on_and_is_read_again(
    kind: str, how: dict[str, bool], symbols: list[str], sources: dict[str, Path], tmp_path: Path
) -> None:
    cache = written(tmp_path / "new.h5", kind, CHANGES["shifted"])
    train(plan(kind, cache, tmp_path / "one", from_=sources[kind], **how))
    again = train(plan(kind, cache, tmp_path / "two", from_=tmp_path / "one"))
    for folder in (tmp_path / "one", again.folder):
        assert [chemical_symbols[z] for z in loaded(folder).spec.statistics.elements] == symbols


def test_members_of_an_ensemble_go_on_each_with_its_elements(tmp_path: Path) -> None:
    kind = "pair-moments"
    cache = written(tmp_path / "more.h5", kind, CHANGES["more"])
    first = train(plan(kind, cache, tmp_path / "e"), ensemble=2)
    fewer = written(tmp_path / "fewer.h5", kind, CHANGES["one in common, none in its place"])
    train(plan(kind, fewer, tmp_path / "f", from_=first.folder), ensemble=2)
    models = [model_file.load(tmp_path / f / "model.safetensors")[0] for f in "ef"]
    assert {9, 19} <= set(models[1].spec.statistics.elements)
    data = GraphDataset.open([cache])
    for before, after in zip(models[0].models, models[1].models, strict=True):
        assert set(before.spec.statistics.elements) <= set(after.spec.statistics.elements)
        assert len(after.architecture.pairs.weight) == len(after.spec.statistics.elements)
    with torch.no_grad():
        assert torch.isfinite(models[1](data.batch(np.arange(4)).graph)["energy"].value).all()


def test_a_part_that_does_not_say_where_its_elements_are(
    sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, also where the shapes go together by chance."""
    file = tmp_path / "species.py"
    file.write_text(PLUGIN.replace("SAID", ""))
    cache = sources["species"].with_suffix(".h5")
    others = {n: written(tmp_path / f"{len(n)}.h5", "species", n) for n in (CHANGES["more"], ("KCl", "KF"))}
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(file))
    registry.cache_clear()
    with pytest.raises(InputError, match=r"tables by element are \{'architecture.rows.weight': \[0\]\}, .* here \{\}"):
        loaded(sources["species"])
    source = train(plan("species", cache, tmp_path / "source")).folder
    for names, other in others.items():
        assert len(shared(names)) < 4
        for new_head in (False, True):
            with pytest.raises(
                UsageError, match=r"architecture 'species': the shape of 'rows.weight' hangs on .* elements"
            ):
                grown("species", source, other, new_head=new_head)
    grown("species", source, cache)  # the same elements
