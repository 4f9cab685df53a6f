"""Model files: equal models equal bytes, round trip, and everything foreign or damaged refused in one line."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from crystalcli.contracts.records import Statistics
from crystalcli.engine.baselines import baselines
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel, refuse_mixed_sizes
from crystalcli.engine.model.model_head import VERSION, read_head
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import CrystalError, InputError, UnsafeInput, UsageError
from crystalcli.vocabulary.quantities import Quantity

PROVENANCE = {"seed": 1, "split": {"train": ["ä", "b"]}, "loss": float("nan")}


def spec_of(**changes: object) -> ModelSpec:
    parts = {
        "graph": PartChoice("cgcnn", {"max_neighbors": 6}),
        "embedding": PartChoice("cgcnn", {"atom_features": "learned"}),
        "architecture": PartChoice("lcgcn", {"width": 8}),
        "head": PartChoice("crystal", {"pool": "fcmax", "pool_norm": "batch", "hidden": 8}),
        "targets": (Quantity("energy", "eV/atom"),),
        "statistics": Statistics(12.0, (8, 13), {"energy": -6.0}, {"energy": 0.1}, ("energy",)),
    }
    return ModelSpec(**(parts | changes))


def model_of(seed: int = 0) -> CrystalModel:
    torch.manual_seed(seed)
    baseline = baselines.blank("pairs", {"pairs": [[8, 8], [8, 22], [8, 38]]})
    baseline.weight.copy_(torch.randn(baseline.weight.shape, dtype=torch.float64))
    model = CrystalModel(spec_of().with_baselines({"energy": baseline}), {"energy": baseline})
    with torch.no_grad():
        model.head.layers[-1].weight.normal_()
    return model.eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model_file.save(tmp_path / "model.safetensors", model_of(), PROVENANCE)
    return tmp_path / "model.safetensors"


def test_round_trip(saved: Path) -> None:
    before = torch.get_rng_state()
    loaded, provenance = model_file.load(saved)
    assert torch.equal(before, torch.get_rng_state())
    assert provenance == PROVENANCE | {"loss": None}
    assert loaded.spec == model_of().spec
    assert not loaded.training
    graph = collate([build_graph(crystals.rattled(k), cutoff=8.0, max_neighbors=6) for k in range(3)])
    with torch.no_grad():
        assert torch.equal(loaded(graph)["energy"].value, model_of()(graph)["energy"].value)


def test_equal_models_are_equal_bytes() -> None:
    assert model_file.to_bytes(model_of(), PROVENANCE) == model_file.to_bytes(model_of(), dict(PROVENANCE))
    assert model_file.to_bytes(model_of(), PROVENANCE) != model_file.to_bytes(model_of(1), PROVENANCE)


def test_the_baseline_is_part_of_the_prediction(saved: Path) -> None:
    loaded, _ = model_file.load(saved)
    graph = collate([build_graph(crystals.rattled(), cutoff=8.0, max_neighbors=6)])
    with torch.no_grad():
        whole = loaded(graph)["energy"].value
        rest = loaded(graph, {"energy": torch.zeros(1, dtype=torch.float64)})["energy"].value
        torch.testing.assert_close(whole - rest, loaded.baseline_values(graph)["energy"])


def test_an_untrained_model_is_its_baseline() -> None:
    baseline = baselines.blank("mean", {})
    baseline.intercept.fill_(-6.5)
    spec = spec_of(statistics=Statistics(residual=("energy",))).with_baselines({"energy": baseline})
    graph = collate([build_graph(crystals.rattled(), cutoff=8.0, max_neighbors=6)])
    with torch.no_grad():
        assert float(CrystalModel(spec, {"energy": baseline}).eval()(graph)["energy"].value) == -6.5


def rewritten(path: Path, change) -> Path:
    """The file with its metadata and tensors passed through ``change(head, tensors)``."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    head = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"]["crystal"])
    tensors = safetensors.torch.load(raw)
    change(head, tensors)
    head.pop("seal", None)
    path.write_bytes(safetensors.torch.save(tensors, {"crystal": json.dumps(head)}))
    return path


def set_nan(_head: dict, tensors: dict) -> None:
    tensors["architecture.embed.weight"][0, 0] = torch.nan


def drop(_head: dict, tensors: dict) -> None:
    del tensors["architecture.embed.bias"]


def add(_head: dict, tensors: dict) -> None:
    tensors["evil"] = torch.zeros(3)


def reshape(_head: dict, tensors: dict) -> None:
    tensors["architecture.embed.bias"] = torch.zeros(9)


def integers(_head: dict, tensors: dict) -> None:
    tensors["architecture.embed.bias"] = torch.zeros(8, dtype=torch.int64)


def future(head: dict, _tensors: dict) -> None:
    head["version"] = 99


def other_format(head: dict, _tensors: dict) -> None:
    head["format"] = "somebody-elses"


def no_spec(head: dict, _tensors: dict) -> None:
    head["spec"] = {}


def bad_options(head: dict, _tensors: dict) -> None:
    head["spec"]["architecture"]["options"]["width"] = 10**9


def bad_baseline(head: dict, _tensors: dict) -> None:
    head["spec"]["baselines"]["energy"]["options"]["step"] = 1e-12


def missing_plugin(head: dict, _tensors: dict) -> None:
    head["spec"]["architecture"]["name"] = "their-net"
    head["plugins"]["architecture their-net"] = "crystal-theirs 1.2"


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (set_nan, InputError, "not finite"),
        (drop, InputError, "without tensor 'architecture.embed.bias'"),
        (add, InputError, "unexpected tensor 'evil'"),
        (reshape, InputError, r"is \(9,\), expected \(8,\)"),
        (integers, InputError, "int64"),
        (future, UsageError, "update crystal"),
        (other_format, InputError, "not a crystal model"),
        (no_spec, InputError, "damaged model"),
        (bad_options, UsageError, "option width of architecture lcgcn"),
        (bad_baseline, InputError, "bad options of baseline"),
        (missing_plugin, UsageError, "needs plugin crystal-theirs >= 1.2"),
    ],
)
def test_damaged_and_foreign(saved: Path, change, kind: type[CrystalError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        model_file.load(rewritten(saved, change))
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def no_part_options(head: dict, _tensors: dict) -> None:
    del head["spec"]["graph"]["options"]


def test_metadata_prove_themselves(saved: Path) -> None:
    whole = saved.read_bytes()
    for word in (b"weight_decay", b"mean_neighbors", b"crystal-graphs", b"energy", b"train"):
        at = whole.find(word)
        if at < 0:
            continue
        saved.write_bytes(whole[:at] + bytes([whole[at + 1]]) + whole[at + 1 :])
        with pytest.raises(CrystalError, match="what it says of itself is not what was saved"):
            read_head(saved)
    saved.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="should have"):
        read_head(saved)
    saved.write_bytes(whole)
    with pytest.raises(InputError, match="damaged model: 'graph' of its spec"):
        read_head(rewritten(saved, no_part_options))


def test_weights_of_another_version_are_no_damage(tmp_path: Path) -> None:
    model = model_of()
    model.register_buffer("usual_volumes", torch.zeros(3))  # as a version had that is not this one
    path = tmp_path / "old.safetensors"
    path.write_bytes(model_file.to_bytes(model, PROVENANCE))
    with pytest.raises(InputError, match="another version of crystal or of a plugin made it: unexpected tensor 'usual"):
        model_file.load(path)
    with pytest.raises(InputError, match="damaged model: unexpected tensor"):
        model_file.load(rewritten(path, add))


class Bomb:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (Path("hacked").touch, ())


def raw_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


FILES = {
    "empty": (b"", InputError),
    "short": (b"abc", InputError),
    "text": (b"this is no model at all, only prose", InputError),
    "pickle": (pickle.dumps(Bomb()), UnsafeInput),
    "zip": (b"PK\x03\x04" + bytes(100), UnsafeInput),
    "header_too_long": (struct.pack("<Q", 1 << 60) + b"{}", InputError),
    "not_json": (raw_header(b"{nonsense"), InputError),
    "deep": (raw_header(b"[" * 200_000), InputError),
    "no_metadata": (raw_header(b"{}"), InputError),
    "list": (raw_header(b"[1,2]"), InputError),
    "number": (raw_header(b'{"__metadata__":{"crystal":"7"}}'), InputError),
    "nul": (bytes(1000), InputError),
    "foreign": (safetensors.torch.save({"a": torch.zeros(2)}, {"format": "pt"}), InputError),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    content, kind = FILES[name]
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        model_file.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("start", [b"(d", b"(l", b"\x1f\x8b", b"\x80\x04"])
def test_a_header_whose_length_begins_as_a_pickle_does(saved: Path, start: bytes) -> None:
    whole = saved.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    wanted = next(n for n in range(int.from_bytes(start, "little"), 10**7, 1 << 16) if n >= size)
    header = whole[8 : 8 + size].ljust(wanted)
    saved.write_bytes(struct.pack("<Q", wanted) + header + whole[8 + size :])
    assert saved.read_bytes().startswith(start)
    model_file.load(saved)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model"):
        model_file.load(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="regular file"):
        model_file.load(tmp_path)


def test_cut_off_anywhere(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(InputError):
            model_file.load(saved)


def test_overlapping_tensors(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    head = {"format": "crystal-model", "version": VERSION, "spec": {}, "plugins": {}, "provenance": {}}
    header = json.dumps({"__metadata__": {"crystal": json.dumps(head)}, "a": entry, "b": entry}).encode()
    (tmp_path / "m").write_bytes(raw_header(header) + bytes(8))
    with pytest.raises(InputError, match="damaged model"):
        model_file.load(tmp_path / "m")


def test_parts_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="one per site"):
        CrystalModel(spec_of(targets=(Quantity("charge", "e", level="site"),)))
    with pytest.raises(UsageError, match="no target"):
        CrystalModel(spec_of(targets=()))
    with pytest.raises(UsageError, match="did you mean 'lcgcn'"):
        CrystalModel(spec_of(architecture=PartChoice("lcgnc")))


def test_sizes_and_totals() -> None:
    total, mean = Quantity("energy", "eV", extensive=True), Quantity("energy", "eV/atom")
    pools = {p: PartChoice("crystal", {"pool": p}) for p in ("average", "sum")}
    mixed, equal = np.array([2, 4]), np.array([4, 4])
    refuse_mixed_sizes(CrystalModel(spec_of(targets=(total,), head=pools["sum"])), mixed)
    refuse_mixed_sizes(CrystalModel(spec_of(targets=(mean,), head=pools["average"])), mixed)
    refuse_mixed_sizes(CrystalModel(spec_of(targets=(total,), head=pools["average"])), equal)
    with pytest.raises(UsageError, match=r"is a total and crystals have 2 to 4 atoms.*--pool sum"):
        refuse_mixed_sizes(CrystalModel(spec_of(targets=(total,), head=pools["average"])), mixed)
    with pytest.raises(UsageError, match="--pool average"):
        refuse_mixed_sizes(CrystalModel(spec_of(targets=(mean,), head=pools["sum"])), mixed)
    learned = CrystalModel(spec_of(targets=(total,), head=pools["average"], statistics=Statistics(atoms=8)))
    refuse_mixed_sizes(learned, np.array([8, 8]))
    with pytest.raises(UsageError, match="is a total and crystals have 4 to 8 atoms"):
        refuse_mixed_sizes(learned, equal)
