"""A plugin that fails on a model is named; the model is damaged only where its file is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import toy_parts
import toy_slabs

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.registry.at_fault import at_fault
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import Exit, PluginFault

FAILS = """    import os
    if os.environ.get("FAILS") == "{when}":
        raise {error}("boo")
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A head that raises when it is built, or when it is asked, as the environment says."""
    text, built, asked = toy_slabs.PLUGIN.read_text(), "    return Mover()\n", "            far = self.layer("
    assert text.count(built) == text.count(asked) == 1
    text = text.replace(built, FAILS.format(when="build", error="ValueError") + built)
    later = "".join(" " * 8 + line + "\n" for line in FAILS.format(when="ask", error="EOFError").splitlines())
    text = text.replace(asked, later + asked)
    path = tmp_path / "mover.py"
    path.write_text(text)
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(path))
    registry.cache_clear()
    yield path
    registry.cache_clear()


def saved(folder: Path) -> Path:
    torch.manual_seed(0)
    spec = ModelSpec(
        graph=PartChoice("radius", {"cutoff": 4.0}),
        embedding=PartChoice("radius"),
        architecture=PartChoice("held"),
        head=PartChoice("mover"),
        targets=(toy_parts.PLACE,),
        statistics=Statistics(elements=(1, 8), target_scale={toy_parts.PLACE.name: 0.1}),
    )
    model_file.save(folder / "m.safetensors", CrystalModel(spec).double().eval(), {})
    return folder / "m.safetensors"


@pytest.mark.parametrize(("when", "error"), [("build", "ValueError"), ("ask", "EOFError")])
def test_it_is_named(when: str, error: str, plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path)
    model_file.load(path)
    monkeypatch.setenv("FAILS", when)
    with pytest.raises(PluginFault) as raised:
        model_file.load(path)
    assert str(raised.value) == f"{path}: plugin {plugin} fails on this model: {error}: boo"
    assert raised.value.exit_code == Exit.BUG
    found = at_fault(raised.value.__cause__)
    assert found is not None
    assert (found.name, found.builtin) == (str(plugin), False)
    head, tensors = path.read_bytes()[:-8], b"\x00" * 8
    path.write_bytes(head + tensors)
    with pytest.raises(PluginFault, match="boo; the file's tensors are not those that were saved, too"):
        model_file.load(path)


def test_a_module_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_parts.py").write_text("def build(): return 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CRYSTAL_PLUGINS", "lab_parts")
    import lab_parts

    with pytest.raises(ZeroDivisionError) as raised:
        lab_parts.build()
    found = at_fault(raised.value)
    assert found is not None
    assert found.name == "lab_parts"


def test_nobody_of_them() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / 0
    assert at_fault(raised.value) is None
