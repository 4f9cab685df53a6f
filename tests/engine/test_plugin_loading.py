"""Whatever a plugin does wrong is a line of text and costs nothing else."""

from __future__ import annotations

import os
import random
import signal
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from crystalcli.engine.registry.plugin_loading import Loaded, Origin, load

GOOD = """
from dataclasses import dataclass
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Head

@dataclass(frozen=True)
class Options:
    width: int = option(8, "width of a layer", min=1)

def build(options, embedding_dim, targets, statistics):
    raise NotImplementedError

@hookimpl
def crystal_parts():
    return [Head(name="{name}", summary="a head", options=Options, build=build)]
"""


def loaded(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "plugin.py"
    path.write_text(textwrap.dedent(text))
    return load(Origin("plugin", str(path), str(path)))


def test_good_plugin(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD.format(name="mine"))
    assert found.problem == ""
    assert [(p.family, p.name) for p in found.parts] == [("head", "mine")]
    assert found.notes == ()


BROKEN = {
    "import": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "syntax": ("def f(:\n    pass", "SyntaxError"),
    "exit": ("import sys; sys.exit(3)", "calls sys.exit(3)"),
    "interrupt": ("raise KeyboardInterrupt", "raises KeyboardInterrupt"),
    "base": ("raise BaseException('odd')", "BaseException: odd"),
    "no hook": ("x = 1", "has no function crystal_parts"),
    "unmarked": ("def crystal_parts(): return []", "has no function crystal_parts"),
    "signature": (
        "from crystalcli.contracts.hookspecs import hookimpl\n@hookimpl\ndef crystal_parts(app): return []",
        "PluginValidationError",
    ),
    "raises": (
        "from crystalcli.contracts.hookspecs import hookimpl\n@hookimpl\ndef crystal_parts(): return 1 / 0",
        "ZeroDivisionError",
    ),
    "no list": (
        "from crystalcli.contracts.hookspecs import hookimpl\n@hookimpl\ndef crystal_parts(): return 'text'",
        "returns str, not a list of records",
    ),
    "none": (
        "from crystalcli.contracts.hookspecs import hookimpl\n@hookimpl\ndef crystal_parts(): return None",
        "not a list of records",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_plugins(kind: str, tmp_path: Path) -> None:
    text, reason = BROKEN[kind]
    found = loaded(tmp_path, text)
    assert reason in found.problem
    assert found.parts == ()


BAD_RECORDS = {
    "api": ('name="x", summary="s", build=build, api=99', "api 99; this crystal has 1"),
    "name": ('name="My Net", summary="s", build=build', "must be lower-case"),
    "summary": ('name="x", summary="", build=build', "summary must be one line"),
    "arity": ('name="x", summary="s", build=lambda options: None', "cannot be called with 4 arguments"),
    "callable": ('name="x", summary="s", build=3', "build is no function but int"),
    "references": ('name="x", summary="s", build=build, references="doi"', "references must be a tuple"),
    "requires": ('name="x", summary="s", build=build, requires={"nodes"}', "requires must be a frozenset"),
    "options": ('name="x", summary="s", build=build, options=dict', "must be a dataclass"),
    "unfrozen": ('name="x", summary="s", build=build, options=Unfrozen', "must be frozen"),
    "type": ('name="x", summary="s", build=build, options=OddType', "is not int, float, bool, str"),
    "default": ('name="x", summary="s", build=build, options=OddDefault', "outside 1 … ∞"),
    "reserved": ('name="x", summary="s", build=build, options=Reserved', "is a flag of every command"),
    "no default": ('name="x", summary="s", build=build, options=NoDefault', "has no default"),
    "no help": ('name="x", summary="s", build=build, options=NoHelp', "has no help"),
    "annotation": ('name="x", summary="s", build=build, options=Unresolved', "cannot be resolved"),
}
MODELS = """
from __future__ import annotations
from dataclasses import dataclass
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Head

@dataclass
class Unfrozen:
    a: int = option(1, "a")
@dataclass(frozen=True)
class OddType:
    a: bytes = option(b"", "a")
@dataclass(frozen=True)
class OddDefault:
    a: int = option(0, "a", min=1)
@dataclass(frozen=True)
class Reserved:
    config: int = option(0, "a")
@dataclass(frozen=True)
class NoDefault:
    a: int
@dataclass(frozen=True)
class NoHelp:
    a: int = 1
@dataclass(frozen=True)
class Unresolved:
    a: Nowhere = option(1, "a")

def build(options, embedding_dim, targets, statistics): ...
good = Head(name="good", summary="a good head", build=build)

@hookimpl
def crystal_parts():
    return [good, Head(%s)]
"""


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_wrong_records_cost_only_themselves(kind: str, tmp_path: Path) -> None:
    arguments, reason = BAD_RECORDS[kind]
    found = loaded(tmp_path, MODELS % arguments)
    assert found.problem == ""
    assert [p.name for p in found.parts] == ["good"]
    ((family, _name, why),) = found.bad_parts
    assert family == "head"
    assert reason in why


def test_something_that_is_no_record(tmp_path: Path) -> None:
    text = "from crystalcli.contracts.hookspecs import hookimpl\n@hookimpl\ndef crystal_parts(): return [{'name': 'x'}]"
    ((_, _, why),) = loaded(tmp_path, text).bad_parts
    assert "gives a dict, which is no record" in why


def test_prints_are_swallowed_and_remarked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = loaded(tmp_path, "print('hello, world')\n" + GOOD.format(name="noisy"))
    assert capsys.readouterr().out == ""
    assert [p.name for p in found.parts] == ["noisy"]
    assert "prints to stdout at import: 'hello, world'" in found.notes[0]


def test_slow_import_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTAL_PLUGIN_TIMEOUT", "0.2")
    handler = signal.getsignal(signal.SIGALRM)
    text = "import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    time.sleep(60)"
    assert "takes more than 0.2 s" in loaded(tmp_path, text).problem
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_user_can_still_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        loaded(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(5)")


def test_state_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what a plugin may change
    torch.manual_seed(1)
    expected = random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    text = """
        import os, random, numpy, torch
        os.chdir("/")
        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        random.seed(7); numpy.random.seed(7); torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
    """
    loaded(tmp_path, text)
    assert Path.cwd() == tmp_path
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert torch.get_default_dtype() == torch.float32
    assert (random.random(), np.random.random(), float(torch.rand(()))) == expected  # noqa: NPY002


def test_two_files_of_one_name_do_not_clash(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text(GOOD.format(name=folder))
    found = [load(Origin("plugin", str(tmp_path / f / "plugin.py"), f)) for f in ("a", "b")]
    assert [p.parts[0].name for p in found] == ["a", "b"]
    assert not [m for m in sys.modules if m == "plugin"]
