"""crystal doctor finds what is broken on purpose; crystal --version --verbose says what a report of a bug needs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from crystalcli.cli.main import run as crystal
from crystalcli.engine.registry import plugin_manager
from crystalcli.engine.run import examining, hardware, locks, owners
from crystalcli.engine.run.hardware import Finding


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def only(look: Callable[[], Iterator[Finding]], state: str = "") -> list[Finding]:
    return [f for f in look() if not state or f.state == state]


def test_a_sound_place(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "SOME", 0.0)
    monkeypatch.setattr(examining, "LITTLE", 0.0)
    assert crystal(["doctor", "--json"]) == 0
    out = capsys.readouterr()
    told = json.loads(out.out)
    assert told["exit_code"] == 0
    assert {f["state"] for f in told["findings"]} <= {"ok", "warning"}
    looked_at = {f["what"] for f in told["findings"]}
    assert looked_at >= {"python", "packages", "torch", "gpu", "threads", "memory", "plugins", "disk", "locks"}
    assert " ok" in out.err.splitlines()[-1]
    assert list(Path().iterdir()) == []


def test_a_package_that_is_missing_or_too_old(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    sound = importlib.metadata.version

    def version(name: str) -> str:
        if name == "gemmi":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.20.0" if name == "numpy" else sound(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert crystal(["doctor"]) == 5
    out = capsys.readouterr().out
    assert "failed  packages   gemmi is missing; numpy is 1.20.0, not >=2.0\n" in out
    assert "cure: pip install --upgrade -c constraints.txt crystal-graphs\n" in out
    assert "1 failed" in out.splitlines()[-1]


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(hardware, "_quota", lambda: 2.5)
    (found,) = only(hardware.threads)
    assert (found.state, found.cure) == ("warning", "export OMP_NUM_THREADS=2")
    assert "8 threads on 8 cores, of which this container may use 2.5" in found.said
    monkeypatch.setattr(hardware, "_quota", lambda: None)
    assert only(hardware.threads)[0].state == "ok"


def test_a_driver_and_no_build_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    for built, cure in ((None, "install the build of torch for CUDA"), ("12.8", "was a GPU asked for?")):
        monkeypatch.setattr(torch.version, "cuda", built)
        (found,) = only(hardware.gpu)
        assert found.state == "warning"
        assert cure in found.cure


def test_a_full_disk_and_one_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((0.1, "failed"), (1.0, "warning"), (50.0, "ok")):
        usage = SimpleNamespace(free=free * 1e9)
        monkeypatch.setattr(shutil, "disk_usage", lambda _folder, usage=usage: usage)
        assert {f.state for f in only(examining.disk)} == {state}
    monkeypatch.setattr(owners, "lock_by_kernel", lambda _handle: False)
    (warned,) = only(examining.disk, "warning")
    assert "its file system has no locks" in warned.said

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(examining.tempfile, "NamedTemporaryFile", refuse)
    assert [f.cure for f in only(examining.disk)] == ["run elsewhere, or write there with -o", "export TMPDIR=FOLDER"]


def test_a_place_of_models_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    for place, said in ((Path("file").resolve(), "Not a directory"), (Path("/proc"), "No such file or directory")):
        monkeypatch.setenv("XDG_DATA_HOME", str(place))
        assert said in only(examining.data, "warning")[-1].said
    monkeypatch.setenv("XDG_DATA_HOME", str(Path.cwd()))
    assert [f.state for f in examining.data() if "XDG" in f.said + f.cure] == ["ok"]
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["file"]
    Path("folder").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", "folder")
    assert "is no absolute path" in only(examining.data, "warning")[0].said


def test_locks_of_the_living_and_the_dead() -> None:
    dead = replace(owners.me(True), pid=2**22 + 1, began="1")
    for name in ("a", "b/c"):
        Path("runs", name).mkdir(parents=True)
    locks.lock_of(Path("runs/b/c")).write_text(owners.text_of(dead))
    with locks.run_locked(Path("runs/a")):
        warned, ok = only(examining.locks)
    assert warned.said == f"runs/b/c/.run.lock is of {dead}, which died"
    assert warned.cure == "the next command that writes there removes it"
    assert ok.said == "1 held by running commands"
    assert locks.lock_of(Path("runs/b/c")).exists()
    locks.lock_of(Path("runs/b/c")).unlink()
    locks.lock_of(Path("runs/b/c")).symlink_to("nowhere")
    assert "is a link" in only(examining.locks, "warning")[0].said


def test_plugins_and_variables(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    Path("broken.py").write_text("import no_such_module\n")
    monkeypatch.setenv("CRYSTAL_PLUGINS", "broken.py,./gone.py")
    monkeypatch.setenv("CRYSTAL_TRAIN_EPOCH", "9")
    monkeypatch.setenv("CRYSTAL_DATA", "/no/such/folder")
    plugin_manager.registry.cache_clear()
    try:
        assert crystal(["doctor", "--json"]) == 5
    finally:
        plugin_manager.registry.cache_clear()
    told = json.loads(capsys.readouterr().out)["findings"]
    failed = [f["said"] for f in told if f["state"] == "failed"]
    assert any("No module named 'no_such_module'" in said for said in failed)
    assert any("gone.py, which is not there" in said for said in failed)
    warned = {f["what"]: f for f in told if f["state"] == "warning"}
    assert warned["variables"]["said"] == "CRYSTAL_TRAIN_EPOCH is set, but nothing reads it"
    assert "CRYSTAL_TRAIN_EPOCHS" in warned["variables"]["cure"]
    assert warned["data"]["cure"] == "correct it, or unset CRYSTAL_DATA"


def test_what_cannot_be_looked_at_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "memory", lambda: 1 / 0)
    (found,) = [f for f in examining.findings() if f.what == "memory"]
    assert (found.state, found.said) == ("failed", "cannot be looked at: ZeroDivisionError: division by zero")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert crystal(["--version"]) == 0
    (short,) = capsys.readouterr().out.splitlines()
    assert crystal(["--version", "--verbose"]) == 0
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines() if ": " in line)
    assert short == f"crystal {importlib.metadata.version('crystal-graphs')}"
    assert said["torch"] == importlib.metadata.version("torch")
    assert {
        "python",
        "system",
        "cores",
        "torch device",
        "plugins",
        "broken plugins",
        "optional packages",
    } <= said.keys()
    assert said["cores"] == str(len(os.sched_getaffinity(0)))
    assert crystal(["--verbose"]) == 2
    assert capsys.readouterr().err == "error: --verbose goes with --version\n"
