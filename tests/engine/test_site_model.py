"""Models of sites against nature and against the model of crystals: symmetry, locality, masks, pooling."""

from dataclasses import replace

import ase
import ase.build
import ase.spacegroup
import numpy as np
import pytest
import torch

from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import CrystalGraph, collate, mean_per_structure
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.compare import same
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

CUTOFF, LAYERS = 5.0, 2
CHARGE, MOMENT = Quantity("charge", "e", "site"), Quantity("moment", "µB", "site")


def model_of(
    *targets: Quantity,
    head: str = "site",
    featurizer: str = "radius",
    options: dict[str, object] | None = None,
    seen: CrystalGraph | None = None,
) -> CrystalModel:
    """A model whose running statistics have seen a batch, or the graph ``seen``."""
    torch.manual_seed(1)
    names = [t.name for t in targets]
    spec = ModelSpec(
        PartChoice(featurizer, {"cutoff": CUTOFF}),
        PartChoice(featurizer, {"atom_features": "onehot92"}),
        PartChoice("cgcnn", {"n_conv": LAYERS, "width": 16}),
        PartChoice(head, {"hidden": 12, "n_hidden": 2, **(options or {})}),
        targets,
        Statistics(40.0, (), dict.fromkeys(names, 0.3), dict.fromkeys(names, 0.7)),
    )
    model = CrystalModel(spec).double()
    with torch.no_grad():
        model.train()(seen or graph_of(*crystals.all_crystals()))
    return model.eval()


def graph_of(*atoms: ase.Atoms, **how: object):
    return collate([build_graph(a, cutoff=CUTOFF, **how) for a in atoms], torch.float64)  # type: ignore[arg-type]


def charges(model: CrystalModel, graph) -> torch.Tensor:
    with torch.no_grad():
        return model(graph)["charge"].value


def corundum() -> ase.Atoms:
    return ase.spacegroup.crystal(
        ["Al", "O"],
        [(0, 0, 0.35228), (0.30641, 0, 0.25)],
        spacegroup=167,
        cellpar=[4.759, 4.759, 12.991, 90, 90, 120],
    )


@pytest.mark.parametrize("options", [{}, {"conserve": "charge"}, {"positive": True}], ids=str)
def test_values_go_with_their_atoms(options: dict[str, object]) -> None:
    model, atoms = model_of(CHARGE, options=options), crystals.rattled()
    found = charges(model, graph_of(atoms))
    moved, order = crystals.permuted(atoms)
    same(charges(model, graph_of(moved)), found[torch.as_tensor(order)], "permutation")
    same(charges(model, graph_of(atoms.repeat((2, 1, 1)))), found.repeat(2), "supercell")
    for other in (crystals.translated(atoms), crystals.rewrapped(atoms), crystals.rotated(atoms)):
        same(charges(model, graph_of(other)), found, "the same crystal otherwise")


@pytest.mark.parametrize(("featurizer", "tolerance"), [("radius", 1e-10), ("cgcnn", 1e-6)])
def test_equivalent_sites_agree(featurizer: str, tolerance: float) -> None:
    """All aluminium and all oxygen sites of corundum; iron, whose 12th neighbor is tied with others."""
    model = model_of(CHARGE, featurizer=featurizer)
    how = {} if featurizer == "radius" else {"max_neighbors": 12, "ties": "keep"}
    iron = ase.build.bulk("Fe", "bcc", a=2.87).repeat((2, 2, 2))
    for atoms in (corundum(), iron):
        shaken = atoms.copy()
        shaken.positions += np.random.default_rng(0).normal(0, 1e-8, atoms.positions.shape)
        found = charges(model, graph_of(shaken if featurizer == "cgcnn" else atoms, **how))
        for z in np.unique(atoms.numbers):
            sites = found[torch.as_tensor(atoms.numbers == z)]
            assert float(sites.max() - sites.min()) <= tolerance


def test_a_site_sees_as_far_as_its_convolutions_reach() -> None:
    """An atom beyond T·R changes no bit of a site's value; one within R changes it."""
    model = model_of(CHARGE)
    chain = ase.Atoms("Fe8", positions=[(4.0 * k, 0, 0) for k in range(8)], cell=[60, 20, 20], pbc=False)
    before = charges(model, graph_of(chain))
    for moved, changes in ((3, True), (1, True), (2, True), (7, False)):
        other = chain.copy()
        other.positions[moved] += (0.1, 0.3, -0.2)
        difference = float((charges(model, graph_of(other)) - before)[0].abs())
        reached = chain.get_distance(0, moved) <= LAYERS * CUTOFF
        assert reached == (moved <= 2)
        assert (difference > 0) == (changes and reached)


def test_missing_labels_are_as_if_the_sites_were_not_there() -> None:
    """The loss of some labelled sites is that of their values alone; a target without labels adds nothing."""
    for options in ({}, {"weigh": "crystals"}):
        model = model_of(CHARGE, MOMENT, options=options)
        graph = graph_of(*crystals.all_crystals())
        generator = torch.Generator().manual_seed(3)
        truth = torch.randn(graph.n_atoms, generator=generator, dtype=torch.float64)
        mask = torch.rand(graph.n_atoms, generator=generator) < 0.5
        nothing = Labels(torch.full_like(truth, torch.nan), torch.zeros_like(mask))
        labels = {"charge": Labels(torch.where(mask, truth, torch.nan), mask), "moment": nothing}
        predictions, loss = model.loss(graph, labels, "mse")
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        squares = ((predictions["charge"].value - truth)[mask] / 0.7).square().detach()
        if options:
            where = graph.structure_index[mask]
            squares = torch.stack([squares[where == s].mean() for s in where.unique()])
        same(loss, 0.5 * squares.mean(), f"loss {options}")


def test_several_targets_and_one_are_the_same_model() -> None:
    """With the same weights in the shared layers, values and loss of a target do not depend on the others."""
    both, one = model_of(CHARGE, MOMENT), model_of(CHARGE)
    state = both.state_dict()
    last = max(k for k in state if k.startswith("head.layers")).rsplit(".", 1)[0]
    for name in (f"{last}.weight", f"{last}.bias", "head.mean", "head.scale"):
        state[name] = state[name][:1]
    one.load_state_dict(state)
    graph = graph_of(*crystals.all_crystals())
    same(charges(one, graph), charges(both, graph), "value")
    truth = torch.linspace(-1, 1, graph.n_atoms, dtype=torch.float64)
    labels = {t: Labels(truth, torch.ones(graph.n_atoms, dtype=torch.bool)) for t in ("charge", "moment")}
    alone = one.loss(graph, labels, "l1")[1]
    labels["moment"] = Labels(truth, torch.zeros(graph.n_atoms, dtype=torch.bool))
    same(2 * both.loss(graph, labels, "l1")[1], alone, "loss")


def test_pooled_before_its_layers_the_head_is_that_of_cgcnn() -> None:
    site, crystal = model_of(CHARGE), model_of(replace(CHARGE, level="structure"), head="crystal")
    crystal.load_state_dict({k: v for k, v in site.state_dict().items() if k in crystal.state_dict()})
    site.load_state_dict(crystal.state_dict(), strict=False)
    graph = graph_of(*crystals.all_crystals())
    with torch.no_grad():
        nodes = site.architecture(graph, site.features(graph)).nodes
        singles = collate([build_graph(crystals.one_atom(), cutoff=CUTOFF)] * graph.n_structures, torch.float64)
        pooled = site.head(singles, Embedding(mean_per_structure(graph, nodes)))["charge"].value
        same(pooled, crystal(graph)["charge"].value, "mean-pooled")


def test_conserved_totals() -> None:
    """Every crystal sums to Q, and the values are those of the free model shifted by one number a crystal."""
    graph = graph_of(*crystals.all_crystals())
    free = charges(model_of(CHARGE), graph)
    for total in (0.0, 2.5):
        held = charges(model_of(CHARGE, options={"conserve": "charge", "total": str(total)}), graph)
        for s in range(graph.n_structures):
            mine = graph.structure_index == s
            assert float(held[mine].sum()) == pytest.approx(total, abs=1e-12)
            shift = (held - free)[mine]
            assert float(shift.max() - shift.min()) < 1e-12


def test_totals_of_charged_cells() -> None:
    """A field of the graph says what each crystal sums to."""
    graph = graph_of(*crystals.all_crystals())
    totals = torch.linspace(-2, 3, graph.n_structures, dtype=torch.float64)
    charged = replace(graph, fields={"cell_charge": totals[graph.structure_index]})
    model = model_of(CHARGE, options={"conserve": "charge", "total": "cell_charge"}, seen=charged)
    held = charges(model, charged)
    with pytest.raises(UsageError, match="no field 'cell_charge'"):
        charges(model, graph)
    sums = torch.zeros_like(totals).index_add(0, graph.structure_index, held)
    same(sums, totals, "totals")


def test_positive_values_and_the_mean_at_the_start() -> None:
    graph = graph_of(*crystals.all_crystals())
    model = model_of(CHARGE, options={"positive": True})
    assert float(charges(model, graph).min()) > 0
    with torch.no_grad():
        for p in model.head.parameters():
            p.zero_()
    expected = torch.full((graph.n_atoms,), 0.7 * float(np.log1p(np.exp(0.3 / 0.7))), dtype=torch.float64)
    same(charges(model, graph), expected, "start")


@pytest.mark.parametrize(
    "options",
    [
        {"conserve": "spin"},
        {"conserve": "charge", "positive": True},
        {"target_weights": "spin=1"},
        {"target_weights": "charge=none"},
        {"target_weights": "charge=0"},
    ],
    ids=str,
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        model_of(CHARGE, options=options)


def test_weights_of_the_targets() -> None:
    graph = graph_of(*crystals.all_crystals())
    n = graph.n_atoms
    labels = {t: Labels(torch.full((n,), 0.1 * k).double(), torch.ones(n, dtype=torch.bool)) for k, t in
              enumerate(("charge", "moment"))}  # fmt: skip
    each = []
    for weights in ("charge=1,moment=1e-9", "moment=1,charge=1e-9", "moment=3"):
        each.append(model_of(CHARGE, MOMENT, options={"target_weights": weights}).loss(graph, labels, "l1")[1])
    same(each[2], (each[0] + 3 * each[1]) / 4, "weighted", 1e-7)


def test_gaussians_of_twelve_angstrom() -> None:
    torch.manual_seed(0)
    spec = ModelSpec(
        PartChoice("cgcnn", {"cutoff": 12.0, "max_neighbors": 14}),
        PartChoice("cgcnn"),
        PartChoice("cgcnn", {"width": 178}),
        PartChoice("site", {"hidden": 223}),
        (CHARGE,),
        Statistics(),
    )
    model = CrystalModel(spec)
    assert model.features.edge_dim == 61
    basis = model.features.basis
    centres = next(b for b in basis.buffers() if b.numel() == 61)
    assert (float(centres[0]), float(centres[-1])) == pytest.approx((0.0, 12.0))
