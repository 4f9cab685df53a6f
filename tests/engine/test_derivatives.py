"""Forces and stress of a head with energies: finite differences, symmetry, sums; in float64."""

from itertools import pairwise

import ase
import ase.build
import numpy as np
import pytest
import torch
from reference.some_potentials import ALL, CUTOFF, graph_of, model_of

from crystalcli.contracts.modules import Labels
from crystalcli.engine.model.derivatives import Strained, to_pressure
from crystalcli.engine.model.model import CrystalModel
from crystalcli.nouns.systems import to_voigt
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


def energy(model: CrystalModel, atoms: ase.Atoms) -> float:
    return float(model(graph_of(atoms))["energy"].value[0])


@pytest.mark.parametrize("options", [{}, {"zbl": True}, {"hidden": 0}])
def test_forces_and_stress_are_derivatives(options: dict[str, object]) -> None:
    model, atoms = model_of(**options), crystals.rattled(0)
    if "zbl" in options:
        atoms.positions[1] = atoms.positions[0] + [0.6, 0.5, 0.4]  # close enough to feel it
    found = model(graph_of(atoms))
    forces, stress = found["forces"].value.numpy(), found["stress"].value.numpy()[0]
    assert abs(forces).max() > 1e-3
    assert np.abs(forces.sum(0)).max() < 1e-10
    h = 1e-4
    for i, axis in [(0, 0), (1, 2), (3, 1)]:
        shifted = [atoms.copy(), atoms.copy()]
        for sign, moved in zip((1, -1), shifted, strict=True):
            moved.positions[i, axis] += sign * h
        numerical = -(energy(model, shifted[0]) - energy(model, shifted[1])) / (2 * h)
        assert abs(forces[i, axis] - numerical) < 1e-6 * max(1.0, abs(numerical))
    for k, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        values = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            values.append(energy(model, strained))
        numerical = (values[0] - values[1]) / (2 * h * atoms.get_volume())
        assert abs(stress[k] - numerical) < 1e-7 * max(1.0, abs(numerical))


def test_the_pressure_is_minus_a_third_of_the_trace() -> None:
    model, found = model_of(), Strained.of(graph_of(crystals.rattled(0)), stress=True)
    stress = found.derive(model._direct(found.graph).predictions["energy"].value, keep=False)["stress"]
    expected = model(graph_of(crystals.rattled(0)))["stress"].value[0, :3].mean()
    torch.testing.assert_close(to_pressure(stress)[0], -expected, rtol=1e-10, atol=0)


def test_a_batch_gives_what_single_crystals_give() -> None:
    model, several = model_of(), [crystals.rattled(0), crystals.rattled(1), crystals.rattled(0) * (2, 1, 1)]
    together = model(graph_of(*several))
    for name in ("energy", "forces", "stress"):
        alone = torch.cat([model(graph_of(a))[name].value for a in several])
        torch.testing.assert_close(together[name].value, alone, rtol=1e-10, atol=1e-12)
    # twice the crystal: twice the energy, the same stress
    torch.testing.assert_close(together["energy"].value[2], 2 * together["energy"].value[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(together["stress"].value[2], together["stress"].value[0], rtol=1e-9, atol=1e-12)


def test_left_handed_cells_have_the_same_stress() -> None:
    model, atoms = model_of(), crystals.rattled(0)
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell.array[[1, 0, 2]], scale_atoms=False)
    a, b = (model(graph_of(x))["stress"].value for x in (atoms, mirrored))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_isolated_atoms_have_no_forces_and_an_energy() -> None:
    found = model_of()(graph_of(crystals.isolated()))
    assert float(found["forces"].value.abs().max()) == 0.0
    assert torch.isfinite(found["energy"].value).all()


def test_missing_labels_of_each_kind_do_not_count_and_gradients_reach_all_weights() -> None:
    model = model_of(energy_weight=2.0, forces_weight=3.0, stress_weight=0.5).train()
    graph = graph_of(crystals.rattled(0), crystals.rattled(1))
    n = graph.n_atoms
    truth = {
        "energy": Labels(torch.tensor([1.0, torch.nan], dtype=torch.float64), torch.tensor([True, False])),
        "forces": Labels(torch.full((n, 3), torch.nan, dtype=torch.float64), torch.zeros(n, dtype=torch.bool)),
        "stress": Labels(torch.zeros(2, 6, dtype=torch.float64), torch.tensor([False, True])),
    }
    truth["forces"].value[:2], truth["forces"].mask[:2] = 0.3, True
    found, loss = model.loss(graph, truth, "mse")
    energies, forces, stress = (found[q.name].value for q in ALL)
    by_hand = (
        2.0 * ((energies[0] - 1.0) / (0.03 * 0.7 * 5)) ** 2
        + 3.0 * ((forces[:2] - 0.3) / 0.7).square().mean()
        + 0.5 * stress[1].square().mean()
    )
    torch.testing.assert_close(loss, by_hand, rtol=1e-12, atol=0)
    loss.backward()
    gradients = {k: p.grad for k, p in model.named_parameters() if p.requires_grad}
    silent = [k for k, g in gradients.items() if g is None or not bool(g.abs().sum() > 0)]
    assert silent == []


def test_what_has_no_volume_spoils_no_gradient() -> None:
    """A molecule, and an atom that fixes a reference, add nothing to the gradient of the stress of crystals."""
    crystal, others = crystals.rattled(0), [ase.Atoms("TiO", [[0.0, 0.0, 0.0], [0.0, 0.0, 1.7]]), ase.Atoms("O")]
    gradients = []
    for atoms in ([crystal], [*others, crystal]):
        model, graph = model_of().train(), graph_of(*atoms)
        last = torch.arange(len(atoms)) == len(atoms) - 1
        labels = {
            "energy": Labels(torch.zeros(len(atoms)), torch.zeros(len(atoms), dtype=torch.bool)),
            "forces": Labels(torch.zeros(graph.n_atoms, 3), torch.zeros(graph.n_atoms, dtype=torch.bool)),
            "stress": Labels(torch.zeros(len(atoms), 6), last),
        }
        predictions, loss = model.loss(graph, {k: Labels(v.value.double(), v.mask) for k, v in labels.items()}, "mse")
        assert predictions["stress"].value.isnan().all(1).tolist() == (~last).tolist()
        loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-9, atol=1e-12)


def test_references_are_the_energies_of_what_has_no_neighbors() -> None:
    model = model_of()
    with torch.no_grad():
        for p in (*model.head.layers[-1].parameters(), *model.head.linear.parameters()):
            p.zero_()
    found = float(model(graph_of(crystals.rattled(0)))["energy"].value[0])
    assert abs(found - (-7.0 - 5.0 + 3 * -3.0 + 5 * 0.1)) < 1e-12  # Sr + Ti + 3 O + 5·mean


def test_zbl_is_the_published_number() -> None:
    """Two silicon atoms at 1 Å without cutoff: Z²·14.3996·φ(x), x = 2·14^0.23/0.4685, φ by hand."""
    from crystal_energy.short_range import Zbl

    from crystalcli.vocabulary.units import COULOMB

    r, z = 0.5, 14
    x = r * 2 * z**0.23 / 0.46850
    terms = ((0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162))
    phi = sum(c * np.exp(-d * x) for c, d in terms)
    reach = r / (2 * 1.11)
    envelope = 1 - 28 * reach**6 + 48 * reach**7 - 21 * reach**8
    graph = graph_of(ase.Atoms("Si2", [[0, 0, 0], [r, 0, 0]]))
    assert abs(float(Zbl()(graph).sum()) - COULOMB * z * z * phi / r * envelope) < 1e-9


def test_zbl_at_a_fifth_of_an_angstrom_and_on_the_way_there() -> None:
    """Unlike atoms, as Ziegler's formula is written; it rises all the way in, and pushes as its slope says."""
    from crystal_energy.short_range import Zbl

    r, (za, zb) = 0.2, (22, 8)
    x = r / (0.46850 / (za**0.23 + zb**0.23))
    phi = 0.18175 * np.exp(-3.19980 * x) + 0.50986 * np.exp(-0.94229 * x)
    phi += 0.28022 * np.exp(-0.40290 * x) + 0.02817 * np.exp(-0.20162 * x)
    reach = r / (1.60 + 0.66)  # covalent radii of Cordero et al., which ASE has
    envelope = 1 - 28 * reach**6 + 48 * reach**7 - 21 * reach**8

    def energy(at: float) -> float:
        return float(Zbl()(graph_of(ase.Atoms("TiO", [[0, 0, 0], [0, at, 0]]))).sum())

    assert energy(r) == pytest.approx(14.399645 * za * zb * phi / r * envelope, rel=1e-7)
    assert energy(r) > 1000.0
    energies = [energy(at) for at in np.geomspace(0.02, 2.2, 60)]
    assert all(a > b for a, b in pairwise(energies))
    assert energy(2.2601) == 0.0


def test_zbl_goes_to_zero_where_edges_end() -> None:
    """Cesium's covalent radii add up to 4.88 Å, edges end at 4.5 Å; who does not say so means what he meant."""
    from crystal_energy.short_range import Zbl

    def at(r: float, symbols: str = "Cs2", cutoff: float = CUTOFF) -> float:
        return float(Zbl(cutoff)(graph_of(ase.Atoms(symbols, [[0, 0, 0], [r, 0, 0]]))).sum())

    assert at(1.0) > 1.0
    assert 0.0 <= at(CUTOFF - 1e-4) < 1e-9
    assert at(CUTOFF - 1e-4, cutoff=0.0) > 1e-4
    assert at(2.0, "Si2") == at(2.0, "Si2", cutoff=0.0) > 0.0  # where edges go farther than the radii nothing changes
    assert CrystalModel(model_of(zbl=True).spec).head.zbl.cutoff == np.inf


def test_labels_of_other_names_or_kinds_are_refused() -> None:
    with pytest.raises(UsageError, match="learns energy, forces, stress, pressure, not 'gap'"):
        model_of((Quantity("gap", "eV"),))
    with pytest.raises(UsageError, match="as a total per structure"):
        model_of((Quantity("energy", "eV/atom"),))


def test_voigt_order() -> None:
    full = torch.tensor([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    assert to_voigt(full).tolist() == [1, 2, 3, 4, 5, 6]


def test_a_wall_stands_below_the_shortest_distances_and_nowhere_else() -> None:
    from crystal_energy.short_range import WALL_MARGIN, WALL_STIFFNESS, Wall

    wall = Wall([(8, 13, 1.7), (8, 8, 2.3)])
    for r, begin in ((1.7, 1.7), (1.65, 1.7), (1.5, 1.7)):
        atoms = ase.Atoms("AlO", [[0, 0, 0], [r, 0, 0]])
        expected = WALL_STIFFNESS * max(begin - WALL_MARGIN - r, 0.0) ** 3
        assert abs(float(wall(graph_of(atoms)).sum()) - expected) < 1e-12
    assert float(wall(graph_of(ase.Atoms("Al2", [[0, 0, 0], [1.0, 0, 0]]))).sum()) == 0.0  # never seen together


@pytest.mark.parametrize("targets", ["all", "energy"])
def test_a_batch_is_embedded_once(targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen is what is predicted, and the embedding behind it is that of the graph, free of derivatives."""
    model = model_of(ALL if targets == "all" else ALL[:1]).eval()
    graph = graph_of(crystals.rattled(0), crystals.rattled(1))
    alone = model.embed(graph)
    count, embed = [], CrystalModel.embed
    monkeypatch.setattr(CrystalModel, "embed", lambda *a, **k: (count.append(1), embed(*a, **k))[1])
    with torch.no_grad():
        seen = model.seen(graph)
        assert count == [1]
        predicted = model(graph)
    assert seen.predictions.keys() == predicted.keys()
    assert all(torch.equal(seen.predictions[n].value, p.value) for n, p in predicted.items())
    torch.testing.assert_close(seen.embedding.nodes, alone.nodes)
    assert not seen.embedding.nodes.requires_grad
