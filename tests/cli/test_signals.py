"""Every command told to stop by every signal: 75 if it can go on, else 130; the same command ends as if nothing was.

Each is told where it first opens an input (commands that only read), or where it has just made its lock.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import pytest
from common import small_cache
from common.failing_writes import _no_forkserver
from common.some_trainings import train
from train.test_training import plan

from crystalcli.cli.main import run
from crystalcli.engine.run.stopping import interrupt_on_signals
from crystalcli.vocabulary.errors import Exit

SMALL = ("--epochs", "2", "--width", "8", "--n-conv", "1", "--split", "random", "--threads", "1", "--no-compare", "-q")


@dataclass(frozen=True)
class Command:
    """What is typed, how it goes on if not in the same way, where it is told, and whether something can be kept."""

    words: str
    resumed: str = ""
    at: str = ".lock"
    keeps: bool = True


COMMANDS = {
    "predict": Command("predict run new.h5 -o out.csv -q", keeps=False),
    "predict to stdout": Command("predict run new.h5", at="new.h5", keeps=False),
    "calibrate": Command("calibrate run new.h5 -o out.safetensors -q", keeps=False),
    "label-sites": Command("label-sites cu.xyz -o out.extxyz --label effective_coordination -q", keeps=False),
    "graphs info": Command("graphs info new.h5", at="new.h5", keeps=False),
    "graphs verify": Command("graphs verify new.h5", at="new.h5", keeps=False),
    "graphs merge": Command("graphs merge new.h5 -o out.h5 -q", keeps=False),
    "build-graphs": Command("build-graphs cu.xyz -o out.h5 -q"),
    "train": Command(f"train graphs.h5 -o out {' '.join(SMALL)}", "train --resume out -q"),
    "relax": Command("relax cu.xyz --potential emt -o out -q"),
    "md": Command("md cu.xyz --potential emt --steps 30 --temperature 300 -o out -q", "md --resume out -q"),
}
FEW = {"build-graphs", "train", "relax", "md", "label-sites", "graphs info", "graphs verify"}
"""Tested with two signals only: they take longer, and tests of their own send the others."""
TELLING = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU, signal.SIGHUP]
TABLE = [(name, sent) for name in COMMANDS for sent in (TELLING[2:4] if name in FEW else TELLING)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("signals")
    small_cache.write(home / "graphs.h5")
    small_cache.write(home / "new.h5", 12, structures=small_cache.crystals(12, 7), stem="new")
    train(plan(home / "graphs.h5", home / "run"))
    ase.io.write(home / "cu.xyz", ase.build.bulk("Cu", cubic=True) * (2, 1, 1), format="extxyz")
    return home


def in_a_child(work: Callable[[], int]) -> int:
    """The exit code of ``work`` in a process of its own, negative if a signal ended it."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            _no_forkserver()
            for one in TELLING:  # some are ignored where a shell began the tests in the background, and would stay so
                signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
            interrupt_on_signals()
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def names() -> set[str]:
    return {p.name for p in Path().iterdir()}


def told(words: str, sent: int, at: str) -> int:
    """Run ``words`` and tell this process to stop where a file called so is first opened."""
    waiting = [True]

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and waiting[0] and at in str(args[0]):
            waiting[0] = False
            os.kill(os.getpid(), sent)

    sys.addaudithook(heard)
    return run(words.split())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(("name", "sent"), TABLE, ids=lambda v: v if isinstance(v, str) else signal.Signals(v).name)
def test_every_command_is_told_by_every_signal(
    home: Path, name: str, sent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one = COMMANDS[name]
    for path in home.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    before = names()
    code = in_a_child(lambda: told(one.words, sent, one.at))
    said = capfd.readouterr().err.splitlines()
    if one.keeps:
        assert code in (Exit.STOPPED, Exit.INTERRUPTED), said
        assert not [n for n in names() if n.endswith((".tmp", ".lock"))]
    else:
        assert code == Exit.INTERRUPTED, said
        by = "" if sent == signal.SIGINT else f" by {signal.Signals(sent).name}"
        assert said[-1] == f"error: interrupted{by}"
        assert names() == before
    for output in ("out.csv", "out.safetensors", "out.extxyz", "out.h5"):
        if f"-o {output}" in one.words:
            Path(f".{output}.{'0' * 16}.tmp").touch()  # of one that was killed
    again = one.resumed if one.resumed and code == Exit.STOPPED else one.words
    assert in_a_child(lambda: run(again.split())) == Exit.OK, capfd.readouterr().err
    assert not [n for n in names() if n.startswith(".")]


def test_what_nohup_ignores_stays_ignored() -> None:
    def work() -> int:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        interrupt_on_signals()
        os.kill(os.getpid(), signal.SIGHUP)
        return int(signal.getsignal(signal.SIGHUP) != signal.SIG_IGN)

    assert in_a_child(work) == 0
