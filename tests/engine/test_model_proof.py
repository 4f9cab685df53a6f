"""Every model file proves itself: what is otherwise than when it was saved is refused, rounding is not."""

import json
import os
import resource
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import safetensors.torch
import torch
from common import small_cache
from crystal_cgcnn.featurizer import HeldLengths
from crystal_energy.short_range import Zbl
from crystal_pair_moments.moments import Moments
from crystal_pair_moments.pair_term import PairTerm
from torch import nn

from crystalcli import load_model, load_potential
from crystalcli.cli.main import run as crystal
from crystalcli.contracts.nn.basis import GaussianBasis
from crystalcli.contracts.records import Statistics
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.proof import Proof, in_double, made_up
from crystalcli.engine.model.sigma_fit import SigmaFit
from crystalcli.nouns.graph import edge_lengths
from crystalcli.testing import crystals
from crystalcli.testing.elsewhere import elsewhere
from crystalcli.train.kept_structures import give_witnesses
from crystalcli.vocabulary.errors import Exit, InputError, NumericalFailure
from crystalcli.vocabulary.quantities import Quantity

ENERGY, FORCES = Quantity("energy", "eV", extensive=True), Quantity("forces", "eV/Å", "site", shape=(3,))
GAP, CHARGE = Quantity("gap", "eV"), Quantity("charge", "e", "site")
PAIRS = [[8, 8], [8, 13], [13, 13]]
KNOWN = Statistics(
    30.0, (8, 13), {}, {"energy": 0.02, "forces": 0.8, "gap": 0.5}, (), (-430.0, -4.1), ((8, 13, 1.7), (13, 13, 2.5))
)


def spec_of(kind: str, statistics: Statistics = KNOWN) -> ModelSpec:
    radius, nearest = PartChoice("radius", {"cutoff": 4.5}), PartChoice("cgcnn", {"max_neighbors": 8})
    return {
        "pair-moments": ModelSpec(
            radius,
            PartChoice("radius"),
            PartChoice("pair-moments"),
            PartChoice("energy", {"zbl": True}),
            (ENERGY, FORCES),
            statistics,
        ),
        "cgcnn": ModelSpec(
            nearest,
            PartChoice("cgcnn"),
            PartChoice("cgcnn", {"width": 8}),
            PartChoice("crystal", {"noise": "learned"}),
            (GAP,),
            statistics,
        ),
        "neighborhood-mlp": ModelSpec(
            nearest, PartChoice("cgcnn"), PartChoice("neighborhood-mlp"), PartChoice("site"), (CHARGE,), statistics
        ),
    }[kind]


def model_of(kind: str, seed: int = 0) -> CrystalModel:
    torch.manual_seed(seed)
    model = CrystalModel(spec_of(kind))
    with torch.no_grad():
        for p in model.parameters():  # no weight is zero, as some are at the start
            p.add_(0.05 * torch.randn_like(p))
    return model.eval()


KINDS: dict[str, Callable[[], model_file.AnyModel]] = {
    "potential": lambda: model_of("pair-moments"),
    "nearest": lambda: model_of("cgcnn"),
    "sites": lambda: model_of("neighborhood-mlp"),
    "ensemble": lambda: Ensemble([model_of("cgcnn", k) for k in range(2)], {}).eval(),
    "potentials": lambda: Ensemble([model_of("pair-moments", k) for k in range(2)], {"energy": 0.01}).eval(),
}


@pytest.fixture(params=KINDS)
def any_model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    model_file.save(tmp_path / "model.safetensors", KINDS[request.param](), {})
    return tmp_path / "model.safetensors"


@pytest.fixture
def potential(tmp_path: Path) -> Path:
    model_file.save(tmp_path / "model.safetensors", KINDS["potential"](), {})
    return tmp_path / "model.safetensors"


def parts_of(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    return json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["crystal"]), safetensors.torch.load(raw)


def put(path: Path, head: dict, tensors: dict[str, torch.Tensor], *, sealed: bool) -> None:
    """Write a file; ``sealed``: with the hash of its tensors, as someone would who knows the format."""
    if sealed:
        head["sha256"] = model_file._hash(tensors)
    head.pop("seal", None)
    path.write_bytes(safetensors.torch.save(tensors, {"crystal": json.dumps(head)}))


def test_what_is_kept_is_small_and_says_everything(any_model: Path) -> None:
    _, tensors = parts_of(any_model)
    said = {k.removeprefix("proof.said.") for k in tensors if k.startswith("proof.said.")}
    model, _ = model_file.load(any_model)
    assert said >= {f"{q.name}.value" for q in model.spec.targets}
    assert ({"forces.derived", "stress.derived", "energies.derived"} <= said) == model.differentiable
    assert any(k.endswith(".sigma") for k in said) == (
        isinstance(model, Ensemble) or model.spec.head.options.get("noise") == "learned"
    )
    assert all(v.dtype == torch.float64 for k, v in tensors.items() if k.startswith("proof.said."))
    assert len(tensors["proof.graph.atomic_numbers"]) <= 12
    assert model_file.to_bytes(model, {}) == any_model.read_bytes()


def test_another_machine_is_rounding(any_model: Path) -> None:
    with elsewhere():
        model_file.load(any_model)


def changed_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of the screened repulsion is one percent larger."""
    before = Zbl.__init__

    def changed(self: Zbl, cutoff: float) -> None:
        before(self, cutoff)
        self.d.mul_(1.01)

    monkeypatch.setattr(Zbl, "__init__", changed)


def changed_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two elements change places in a table that is not kept."""
    before = PairTerm.__init__

    def changed(self: PairTerm, *args: object) -> None:
        before(self, *args)
        self.index[[8, 13]] = self.index[[13, 8]]

    monkeypatch.setattr(PairTerm, "__init__", changed)


def changed_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain number of a module."""
    before = Moments.__init__
    monkeypatch.setattr(Moments, "__init__", lambda self, w, c, k, scale: before(self, w, c, k, 1.001 * scale))


def changed_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    before = HeldLengths.forward
    monkeypatch.setattr(HeldLengths, "forward", lambda self, graph, r: before(self, graph, r) * 1.0001)


def basis_of_a_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map as it once was: axes of an eigendecomposition, worked out anew when the model is loaded."""
    before = PairTerm.__init__

    def changed(self: PairTerm, *args: object) -> None:
        before(self, *args)
        kept, rough = self.even, self.rough
        del self.even
        axes = torch.linalg.eigh(rough.double().round(decimals=3)).eigenvectors
        self.register_buffer("even", (kept.double() @ axes).float(), persistent=False)

    monkeypatch.setattr(PairTerm, "__init__", changed)


@pytest.mark.parametrize("change", [changed_constant, changed_places, changed_number, changed_formula])
def test_a_part_that_computes_otherwise_is_refused(
    potential: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    with pytest.raises(NumericalFailure, match=r"does not say what it said when it was saved: .* a part was changed"):
        model_file.load(potential)


def test_a_map_that_is_not_kept_is_refused_where_it_comes_out_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis_of_a_decomposition(monkeypatch)
    model_file.save(tmp_path / "m", KINDS["potential"](), {})
    model_file.load(tmp_path / "m")
    with elsewhere(), pytest.raises(NumericalFailure, match=r"threads \d \(here \d\); use it there, or train it again"):
        model_file.load(tmp_path / "m")


def test_a_basis_of_a_model_without_forces_and_of_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("nearest", "sites", "ensemble"):
        model_file.save(tmp_path / kind, KINDS[kind](), {})
    before = GaussianBasis.__init__
    monkeypatch.setattr(GaussianBasis, "__init__", lambda self, a, b, c: before(self, a, b, c) or self.widen())
    monkeypatch.setattr(GaussianBasis, "widen", lambda self: setattr(self, "step", 1.001 * self.step), raising=False)
    for kind in ("nearest", "sites", "ensemble"):
        with pytest.raises(NumericalFailure, match="test crystals"):
            model_file.load(tmp_path / kind)


def test_every_door_refuses(
    potential: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    changed_constant(monkeypatch)
    structure = str(tmp_path / "a.extxyz")
    ase.io.write(structure, crystals.one_atom())
    for words in (["predict", str(potential), structure], ["relax", structure, "--potential", str(potential)]):
        assert crystal(words) == Exit.NUMERICAL == 7
        said = capfd.readouterr().err.strip().splitlines()[-1]
        assert said.startswith(f"error: {potential}: does not say what it said when it was saved: ")
        assert len(said) <= 310
    for door in (load_model, load_potential):
        with pytest.raises(NumericalFailure, match="does not say what it said"):
            door(potential)


WEIGHTS = [
    ("potential", "architecture.pairs.weight"),
    ("potential", "architecture.pairs.even"),
    ("potential", "head.references"),
    ("nearest", "architecture.convolutions.1.linear.weight"),
    ("sites", "head.scale"),
    ("ensemble", "members.1.architecture.embed.weight"),
    ("potentials", "members.0.head.linear.weight"),
]


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "unsealed"])
@pytest.mark.parametrize(("kind", "name"), WEIGHTS)
def test_a_weight_that_was_changed_is_refused(tmp_path: Path, kind: str, name: str, sealed: bool) -> None:
    path = tmp_path / "m"
    model_file.save(path, KINDS[kind](), {})
    head, tensors = parts_of(path)
    tensors[name] = tensors[name] * 1.001
    put(path, head, tensors, sealed=sealed)
    why = "a part was changed" if sealed else "its weights were changed since"
    with pytest.raises(NumericalFailure, match=why):
        model_file.load(path)


def test_a_bit_where_no_test_crystal_looks_is_refused_too(potential: Path) -> None:
    head, tensors = parts_of(potential)
    tensors["features.elements.rows.weight"][92] += 1.0  # uranium
    put(potential, head, tensors, sealed=False)
    with pytest.raises(InputError, match="damaged model: its tensors are not those that were saved"):
        model_file.load(potential)


def test_the_causes_are_named(potential: Path) -> None:
    head, tensors = parts_of(potential)
    tensors["proof.said.forces.value"][0, 0] += 0.01
    head["made"] |= {"torch": "1.0", "processor": "Z80"}
    head["plugins"]["head energy"] = "crystal-graphs 0.0.1"
    put(potential, head, tensors, sealed=True)
    with pytest.raises(NumericalFailure, match=r"forces of its test crystals is 0\.01 eV/Å off; made with") as caught:
        model_file.load(potential)
    for word in ("torch 1.0 (here ", "processor Z80 (here ", "head energy crystal-graphs 0.0.1 (here "):
        assert word in caught.value.reason
    assert "numpy" not in caught.value.reason


def test_calibrated_sigma_is_part_of_it(tmp_path: Path) -> None:
    ensemble = KINDS["ensemble"]()
    ensemble.sigma_fits = {"gap": SigmaFit("conformal", 1.5, {"0.9": 2.0}, 10, 10)}
    model_file.save(tmp_path / "m", ensemble, {})
    assert "proof.said.gap.half width 0.9" in parts_of(tmp_path / "m")[1]
    for change in ({"factor": 1.6}, {"half_widths": {"0.9": 2.1}}):
        model_file.save(tmp_path / "m", ensemble, {})
        head, tensors = parts_of(tmp_path / "m")
        head["sigma"]["gap"] |= change
        put(tmp_path / "m", head, tensors, sealed=True)
        with pytest.raises(NumericalFailure, match=r"(sigma|half width 0\.9) of gap of its test crystals"):
            model_file.load(tmp_path / "m")


def test_calibrated_sigma_of_potentials_is_part_of_it() -> None:
    ensemble = KINDS["potentials"]()
    graph = made_up(ensemble.spec)
    plain = Proof.of(ensemble).said["energy.sigma"]
    ensemble.sigma_fits = {"energy": SigmaFit("scale", 3.0, {}, 10, 10)}
    fitted = Proof.of(ensemble).said["energy.sigma"]
    torch.testing.assert_close(fitted, 3.0 * plain)
    with in_double(ensemble):
        torch.testing.assert_close(fitted, ensemble(graph)["energy"].sigma.double(), rtol=1e-9, atol=0)


NOT_KEPT = {"architecture.pairs.index", "head.zbl.c", "head.zbl.d", "head.weights"}
"""Constants of equations, options and whole numbers; their places in the code say why they need not be kept."""


@pytest.mark.parametrize("kind", ["potential", "nearest", "sites"])
def test_what_is_not_kept_is_known(kind: str) -> None:
    model = KINDS[kind]()
    assert {n for n, _ in model.named_buffers()} - model.state_dict().keys() <= NOT_KEPT


def edge_out_of_range(t: dict) -> None:
    t["proof.graph.edge_index"][1, 0] = 1 << 40


def unsorted(t: dict) -> None:
    t["proof.graph.edge_index"] = t["proof.graph.edge_index"].flip(1)


def lost_atoms(t: dict) -> None:
    t["proof.graph.atom_counts"][0] = -3


def no_element(t: dict) -> None:
    t["proof.graph.atomic_numbers"][0] = 5000


def not_finite(t: dict) -> None:
    t["proof.graph.positions"][0, 0] = torch.nan


def short(t: dict) -> None:
    t["proof.graph.cell"] = t["proof.graph.cell"][:-1]


def nothing_said(t: dict) -> None:
    for name in [n for n in t if n.startswith("proof.said.")]:
        del t[name]


def something_else_said(t: dict) -> None:
    t["proof.said.hardness.value"] = t["proof.said.energy.value"].clone()


def said_of_fewer(t: dict) -> None:
    t["proof.said.energy.value"] = t["proof.said.energy.value"][:-1]


def in_single_precision(t: dict) -> None:
    t["proof.said.energy.value"] = t["proof.said.energy.value"].float()


def no_proof(t: dict) -> None:
    for name in [n for n in t if n.startswith("proof.")]:
        del t[name]


DAMAGE = (
    edge_out_of_range,
    unsorted,
    lost_atoms,
    no_element,
    not_finite,
    short,
    nothing_said,
    something_else_said,
    said_of_fewer,
    in_single_precision,
    no_proof,
)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: d.__name__)
def test_a_proof_that_cannot_be(potential: Path, damage: Callable[[dict], None]) -> None:
    head, tensors = parts_of(potential)
    damage(tensors)
    put(potential, head, tensors, sealed=True)
    with pytest.raises(InputError, match="damaged model"):
        model_file.load(potential)


@pytest.mark.parametrize("elements", [(14,), (8, 13), (3, 8, 25), (1, 6, 7, 8, 16), tuple(range(1, 90)), ()])
def test_crystals_are_small_have_low_symmetry_and_known_elements(elements: tuple[int, ...]) -> None:
    graph = made_up(spec_of("pair-moments", replace(KNOWN, elements=elements, references=(), shortest=())))
    found = graph.atomic_numbers.unique().tolist()
    assert not elements or (set(found) <= set(elements) and len(found) == min(12, len(elements)))
    assert 2 <= graph.n_structures <= 3
    assert graph.n_atoms <= 12
    assert (graph.row_pointers.diff() > 0).all()
    between = graph.edge_index[0] < graph.edge_index[1]  # those to own images are the same for all atoms
    lengths = edge_lengths(graph)[between]
    assert len(torch.unique((lengths / 1e-6).round())) == len(lengths), "two pairs have one distance"


def test_atoms_are_as_near_as_in_training_and_once_nearer() -> None:
    shortest = {16: 2.3, 21: 1.7, 26: 2.5}  # by the sum of the atomic numbers
    pairs = tuple((z, s - z, d) for s, d in shortest.items() for z in (8, 13) if s - z in (8, 13) and z <= s - z)
    graph = made_up(spec_of("pair-moments", replace(KNOWN, shortest=pairs)))
    sums = graph.atomic_numbers[graph.edge_index].sum(0)
    shares = edge_lengths(graph) / torch.tensor([shortest[int(s)] for s in sums])
    owner = graph.structure_index[graph.edge_index[0]]
    assert [float(shares[owner == k].min()) for k in range(2)] == pytest.approx([0.9, 1.0])


def test_a_large_cutoff_costs_no_more() -> None:
    spec = replace(spec_of("pair-moments"), graph=PartChoice("radius", {"cutoff": 15.0}))
    assert made_up(spec).n_structures == 1


def test_asking_leaves_the_model_as_it_was() -> None:
    model = KINDS["potential"]()
    model.train()
    model.head.eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    places = {n: p.data_ptr() for n, p in model.named_parameters()}
    modes = [m.training for m in model.modules()]
    Proof.of(model)
    assert modes == [m.training for m in model.modules()]
    assert places == {n: p.data_ptr() for n, p in model.named_parameters()}
    assert all(torch.equal(v, state[k]) and v.dtype == state[k].dtype for k, v in model.state_dict().items())
    with in_double(model):
        assert all(p.dtype == torch.float64 for p in model.parameters())
    assert next(model.parameters()).dtype == torch.float32


def test_a_model_that_is_not_for_any_crystal_keeps_some_of_its_training(tmp_path: Path) -> None:
    data = GraphDataset.open([small_cache.write(tmp_path / "g.h5", 12)])

    class Fussy(nn.Module):
        def forward(self, graph, features):
            if graph.n_atoms % 2:
                raise ZeroDivisionError("an odd number of atoms")
            return inner(graph, features)

    model = CrystalModel(replace(spec_of("cgcnn"), graph=PartChoice(data.recipe.featurizer, data.recipe.options)))
    model.eval()
    inner, fussy = model.architecture, Fussy()
    give_witnesses(model, data, np.arange(4, 12))
    assert len(model.witnesses.atomic_numbers.unique()) == 2
    fussy.embedding_dim = inner.embedding_dim
    model.architecture = fussy
    model.spec = replace(model.spec, statistics=replace(KNOWN, elements=(8, 13, 14)))
    give_witnesses(model, data, np.arange(4, 12))
    counts = np.sort(data.atom_counts()[4:12])[:3]
    assert model.witnesses.atom_counts.tolist() == counts.tolist()
    model.architecture = inner
    model_file.save(tmp_path / "m", model, {})
    again, _ = model_file.load(tmp_path / "m")
    assert torch.equal(again.witnesses.positions, model.witnesses.positions)


def too_wide(head: dict) -> None:
    head["spec"]["architecture"]["options"] = {"width": 4096, "n_conv": 20}


def too_many_layers(head: dict) -> None:
    head["spec"]["head"]["options"] = {"hidden": 4096, "n_hidden": 20}


def too_many_pairs(head: dict) -> None:
    head["spec"]["architecture"]["options"] = {"pair_channels": 1024, "pair_intervals": 1000}
    head["spec"]["statistics"] |= {"elements": list(range(1, 101)), "references": [0.0] * 100}


def too_many_members(head: dict) -> None:
    head |= {"members": [head.get("members", [head["spec"]])[0]] * 4_000, "aleatoric": {}}


def no_members(head: dict) -> None:
    head |= {"members": [], "aleatoric": {}}


BOMBS = [
    ("nearest", too_wide, "more weights than the file has"),
    ("sites", too_many_layers, "more weights than the file has"),
    ("potential", too_many_layers, "more weights than the file has"),
    ("potential", too_many_pairs, "more weights than the file has"),
    ("nearest", too_many_members, "without tensor 'members.0"),
    ("ensemble", too_many_members, "without tensor 'members.2"),
    ("ensemble", no_members, "unexpected tensor"),
]


def test_a_small_file_builds_no_large_model(tmp_path: Path) -> None:
    """In a process that may take as much memory as it has, and half a gigabyte."""
    for k, (kind, change, _) in enumerate(BOMBS):
        model_file.save(tmp_path / str(k), KINDS[kind](), {})
        head, tensors = parts_of(tmp_path / str(k))
        change(head)
        put(tmp_path / str(k), head, tensors, sealed=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Path("/proc/self/statm").open(encoding="ascii") as file:
                pages = int(file.read().split()[0])
            most = pages * resource.getpagesize() + (1 << 29)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
            for k, (_, _, said) in enumerate(BOMBS):
                with pytest.raises(InputError, match=said):
                    model_file.load(tmp_path / str(k))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
