"""Checkpoints of SevenNet: read without running anything, converted to the same network, used by name."""

import importlib.util
import os
import pickle
from dataclasses import replace
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from crystal_nequip import SEVENNETS, sevennet
from reference.sevennet import SmallSevenNet

from crystalcli.engine.model import pretrained
from crystalcli.engine.model.model_names import file_of
from crystalcli.engine.potential.ase_calculator import CrystalCalculator, load_potential
from crystalcli.engine.potential.model_potential import ModelPotential
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.run_folder import sha256
from crystalcli.nouns.graph import collate, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import InputError, UnsafeInput, UsageError

NO_E3NN = "e3nn is not installed: pip install 'crystal-graphs[dev]'"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def written(path: Path, levels: tuple[str, ...] = ()) -> SmallSevenNet:
    pytest.importorskip("e3nn", reason=NO_E3NN)
    net = SmallSevenNet(levels)
    extra = {"shift": np.arange(3.0, dtype=np.float32)}  # as theirs have
    torch.save({"config": net.config | extra, "model_state_dict": net.state(), "epoch": 1}, path)
    return net


def written_as(path: Path, net: SmallSevenNet, change: dict[str, torch.Tensor] | None = None) -> Path:
    """The file of ``net`` with some weights changed."""
    torch.save({"config": net.config, "model_state_dict": net.state() | (change or {})}, path)
    return path


@pytest.mark.parametrize("level", ["", "PBE", "R2SCAN"])
@pytest.mark.filterwarnings("ignore")
def test_the_network_is_the_same(level: str, tmp_path: Path) -> None:
    path, levels = tmp_path / "c.pth", ("R2SCAN", "PBE") if level else ()
    net = written(path, levels)
    converted = sevennet.convert(path, level)
    model = pretrained.build(converted, "small").double()
    assert not model.training
    model.load_state_dict(model.state_dict() | dict(converted.weights))
    for atoms in (crystals.rattled(0), crystals.rattled(3)):
        graph = collate([build_graph(atoms, cutoff=4.0)], torch.float64)
        found = float(model(graph)["energy"].value.detach())
        expected = net.energy(graph.atomic_numbers, graph.edge_index, edge_vectors(graph), level)
        assert abs(found - expected) < 1e-6 * max(abs(expected), 1.0)  # e3nn rounds its coefficients to float32


def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    net = written(path)
    for change, said in (
        ({"is_parity": True}, "is_parity is True"),
        ({"version": "0.11.0"}, "orders its weights otherwise"),
        ({"cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.0}}, "cutoff function"),
        ({"cutoff_function": {"cutoff_function_name": "poly_cut", "poly_cut_p_value": 8}}, "cutoff function"),
        ({"self_connection_type": "nequip"}, "self_connection_type"),
        ({"act_gate": {"e": "tanh", "o": "tanh"}}, "scalars or gates are not SiLU"),
        ({"use_modality": True, "_modal_map": {"PBE": 0}}, "levels of theory are .'PBE'., asked for is ''"),
    ):
        torch.save({"config": net.config | change, "model_state_dict": net.state()}, path)
        with pytest.raises(InputError, match=said):
            sevennet.convert(path)
    with pytest.raises(InputError, match=r"levels of theory are \[\], asked for is 'PBE'"):
        sevennet.convert(written_as(path, net), "PBE")
    table = "1_convolution.convolution._compiled_main_left_right._w3j_1_1_0"
    for name, value, said in (
        ("rescale_atomic_energy.scale", torch.tensor([1.0, 2.0, 1.0]), "elements have scales of their own"),
        (table, 1.1 * net.state()[table], "no Clebsch–Gordan coefficients"),
    ):
        with pytest.raises(InputError, match=said):
            sevennet.convert(written_as(path, net, {name: value}))
    torch.save({"config": net.config}, path)
    with pytest.raises(InputError, match="no SevenNet of a known kind"):
        sevennet.convert(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo run > pwned",)


def test_nothing_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"config": Evil(), "model_state_dict": {}}, "evil.pth")
    Path("evil.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UnsafeInput, match="more than numbers"):
        sevennet.convert(Path("evil.pth"))
    with pytest.raises((UnsafeInput, InputError)):
        sevennet.convert(Path("evil.pkl"))
    assert not Path("pwned").exists()
    Path("cut.pth").write_bytes(Path("evil.pth").read_bytes()[:100])
    with pytest.raises(InputError, match="no checkpoint"):
        sevennet.convert(Path("cut.pth"))


def test_by_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported at the first use, read from the user's folder then; another file is refused."""
    path = home / "small.pth"
    written(path)
    small = replace(SEVENNETS[0], package="nowhere", sha256=sha256(path))
    offered = registry().parts["pretrained", small.name]
    monkeypatch.setitem(registry().parts, ("pretrained", small.name), replace(offered, part=small))
    with pytest.raises(UsageError, match=r"package nowhere, which is not installed; pip install"):
        load_potential(small.name)
    file = pretrained.imported(small.name, path)
    assert file.is_relative_to(home / "data" / "crystal" / "models")
    assert file_of(Path(small.name)) == file
    energy = load_potential(small.name).evaluate([crystals.rattled(0)])[0]["energy"]
    assert np.isfinite(energy)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match="is not the file of sevennet-0: its sha256 is"):
        pretrained.imported(small.name, path)
    with pytest.raises(UsageError, match="no pretrained model 'sevenet-0'; did you mean"):
        pretrained.record("sevenet-0")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", SEVENNETS, ids=lambda p: p.name)
def test_the_package_says_the_same(part: object, home: Path) -> None:  # noqa: ARG001 - where models go
    if importlib.util.find_spec("sevenn") is None:
        pytest.skip("sevenn is not installed: pip install 'crystal-graphs[sevennet]'")
    from sevenn.calculator import SevenNetCalculator

    level = {"sevennet-mf-0": "PBE", "sevennet-mf-0-r2scan": "R2SCAN"}.get(part.name)
    theirs = SevenNetCalculator(str(pretrained._source(part)), device="cpu", modal=level)
    ours = CrystalCalculator(ModelPotential.load(pretrained.named(part.name), dtype=torch.float32))
    rocksalt = ase.build.bulk("NaCl", "rocksalt", a=5.5).repeat((2, 1, 1))
    for atoms in (crystals.rattled(0), crystals.rattled(1), rocksalt, ase.build.bulk("GaAs", "zincblende", a=5.6)):
        atoms.rattle(0.05, seed=1)
        atoms.calc = theirs
        (found,) = ours.evaluate([atoms], stress=True)
        assert abs(found["energy"] - atoms.get_potential_energy()) / len(atoms) < 2e-5
        assert np.abs(found["forces"] - atoms.get_forces()).max() < 2e-4
        assert np.abs(found["stress"] - atoms.get_stress()).max() < 2e-5
