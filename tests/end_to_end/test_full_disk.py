"""A disk that is full: exit 5, one line, and with room the same files as if nothing had happened.

Every command writes to a small file system of its own, of twenty sizes between one page and what it needs.
"""

import contextlib
import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest

from crystalcli.cli.main import run
from crystalcli.vocabulary.errors import Exit

PAGE = 4096
SIZES = 20
ROOM = 256 << 20


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stderr: str


@dataclass(frozen=True)
class Work:
    """A command that writes below ``disk``, how it goes on, and the files that count."""

    words: tuple[str, ...]
    resumed: tuple[str, ...]
    results: tuple[str, ...]


TRAIN = (
    "train",
    "graphs.h5",
    "--epochs",
    "3",
    "--width",
    "16",
    "--n-conv",
    "1",
    "--threads",
    "1",
    "--seed",
    "1",
    "--split",
    "random",
)
WORK = {
    "build-graphs": Work(
        *[("build-graphs", "data", "--targets", "energy", "-o", "disk/out.h5", "--overwrite")] * 2, ("out.h5",)
    ),
    "train": Work((*TRAIN, "-o", "disk/run"), ("train", "--resume", "disk/run"), ("run/model.safetensors",)),
    "predict": Work(*[("predict", "model", "graphs.h5", "-o", "disk/out.csv", "--overwrite")] * 2, ("out.csv",)),
    "relax": Work(
        *[("relax", "data/m0*.xyz", "--potential", "emt", "--batch-size", "4", "-o", "disk/run")] * 2,
        ("run/relaxed.extxyz", "run/relaxation.csv"),
    ),
    "md": Work(
        ("md", "data/m00.xyz", "--potential", "emt", "--steps", "60", "--temperature", "300", "-o", "disk/run"),
        ("md", "--resume", "disk/run"),
        ("run/thermo.csv",),
    ),
}


def crystal(words: tuple[str, ...], folder: Path) -> Done:
    """Run in this process: starting one takes longer than what is done."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(words))
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Done(code, err.getvalue())


def mount(disk: Path, size: int, *, again: bool = False) -> None:
    """A file system of ``size`` bytes in memory; ``again``: give the one there another size."""
    options = f"size={size}" + (",remount" if again else "")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("needs the right to mount a file system in memory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty metals with energies, their graphs, a model, and a place for disks."""
    path = tmp_path_factory.mktemp("disk")
    (path / "data").mkdir()
    (path / "disk").mkdir()
    rng = np.random.default_rng(0)
    for k in range(40):
        atoms = ase.build.bulk(("Cu", "Al", "Ni")[k % 3], "fcc", a=4.0 + 0.01 * k, cubic=True)
        atoms.rattle(0.03, seed=k)
        atoms.info["energy"] = float(rng.normal())
        ase.io.write(path / "data" / f"m{k:02d}.xyz", atoms, format="extxyz")
    assert crystal(("build-graphs", "data", "--targets", "energy", "-o", "graphs.h5"), path).returncode == Exit.OK
    assert crystal((*TRAIN, "-o", "model"), path).returncode == Exit.OK
    return path


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """The mount point, free again afterwards."""
    yield folder / "disk"
    subprocess.run(["umount", "-l", str(folder / "disk")], capture_output=True, check=False)


def results(work: Work, disk: Path) -> list[bytes]:
    return [(disk / name).read_bytes() for name in work.results]


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_twenty_sizes(folder: Path, disk: Path, name: str) -> None:
    work = WORK[name]
    mount(disk, ROOM)
    assert crystal(work.words, folder).returncode == Exit.OK
    expected = results(work, disk)
    needed = sum(p.stat().st_blocks * 512 for p in disk.rglob("*") if p.is_file())
    subprocess.run(["umount", str(disk)], check=True)
    full = 0
    for size in np.unique(np.geomspace(PAGE, 1.1 * needed, SIZES).astype(int) // PAGE * PAGE):
        mount(disk, int(size))
        done = crystal(work.words, folder)
        assert done.returncode in (Exit.OK, Exit.ENVIRONMENT), (size, done.returncode, done.stderr)
        if done.returncode == Exit.ENVIRONMENT:
            full += 1
            errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            assert len(errors) == 1, done.stderr
            assert "No space left" in errors[0], done.stderr
            mount(disk, ROOM, again=True)
            again = crystal(work.resumed, folder)
            if again.returncode != Exit.OK:  # too little was written to go on from
                assert again.returncode == Exit.USAGE, again.stderr
                assert name in ("train", "md"), again.stderr
                assert crystal((*work.words, "--overwrite"), folder).returncode == Exit.OK
        assert results(work, disk) == expected, size
        subprocess.run(["umount", str(disk)], check=True)
    assert full >= 3
