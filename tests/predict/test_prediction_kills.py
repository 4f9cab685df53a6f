"""A prediction killed, torn or out of room at any of its writes: the same command ends in the same files, no more."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import ase.build
import numpy as np
import pytest
from common import small_cache
from common.failing_writes import in_a_child, nth_write
from common.some_trainings import changed, train
from train.test_training import plan as training_plan

from crystalcli.cli.main import run
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.drawing import plots
from crystalcli.engine.model.latent import Latents
from crystalcli.engine.run import files
from crystalcli.vocabulary.quantities import Quantity

CHARGE = Quantity("charge", "e", "site")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of sites, and a cache with labels and one structure of an element that the model has never seen."""
    home = tmp_path_factory.mktemp("kills")
    structures = small_cache.crystals(20)
    for name, some in (("taught", structures), ("new", [*structures[:6], ase.build.bulk("Xe", "fcc", a=6.2)])):
        values = np.concatenate([a.numbers / 10 for a in some])
        column = Column(CHARGE, values, np.ones(len(values), dtype=bool))
        small_cache.write(home / f"{name}.h5", structures=some, columns=[column])
    wish = changed(training_plan(home / "taught.h5", home / "run"), head="site", target=("charge",), compare=())
    train(wish)
    command = ["predict", str(home / "run"), str(home / "new.h5"), "-o", str(home / "seen.csv")]
    assert run([*command, "--latent", str(home / "seen.npz"), "--quiet"]) == 3
    return home


@pytest.fixture(autouse=True, scope="module")
def quick_pictures() -> Iterator[None]:
    """Writing pictures is what counts here; drawing them takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "save", lambda _figure, paths: [files.write_bytes(p, p.name.encode()) for p in paths])
        yield


def command(home: Path, folder: Path, *more: str) -> list[str]:
    """A prediction with all files that there may be."""
    outputs = ["-o", str(folder / "p.csv"), "--latent", str(folder / "p.npz"), "--similar", str(home / "seen.npz")]
    return ["predict", str(home / "run"), str(home / "new.h5"), *outputs, "--quiet", "--threads", "1", *more]


def contents(folder: Path) -> dict[str, object]:
    """Every file below ``folder``, hidden ones too; arrays by value, for zip keeps the time."""
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        found[path.name] = Latents.load(path).vectors.tobytes() if path.suffix == ".npz" else path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What an uninterrupted command leaves, and nothing hidden among it."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(command(home, folder)) == 3
    found = contents(folder)
    assert set(found) == {
        "p.csv", "p.npz", "p-similar.csv", "p.failures.jsonl", "p-parity-charge.png", "p-parity-elements-charge.png",
        "p-distribution-charge.png",
    }  # fmt: skip
    return found


def writes(home: Path, folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        seen = nth_write(patch, 0, "")
        assert run(command(home, folder)) == 3
    shutil.rmtree(folder)
    return seen[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("at", ["kill", pytest.param("tear", marks=pytest.mark.slow)])
def test_killed_at_any_write(home: Path, whole: dict[str, object], tmp_path: Path, at: str) -> None:
    count = writes(home, tmp_path / "count")
    assert count >= 12
    for n in range(1, count + 1):
        folder = tmp_path / str(n)
        assert in_a_child(lambda: run(command(home, folder)), n, at)  # noqa: B023 - called at once
        assert run(command(home, folder)) == 3, n
        assert contents(folder) == whole, n


def test_a_full_disk_at_any_write(home: Path, whole: dict[str, object], tmp_path: Path) -> None:
    for n in range(1, writes(home, tmp_path / "count") + 1):
        folder = tmp_path / str(n)
        with pytest.MonkeyPatch.context() as patch:
            nth_write(patch, n, "full")
            code = run(command(home, folder))
        assert code == 5, n
        assert run(command(home, folder)) == 3, n
        assert contents(folder) == whole, n


def test_only_the_same_command_takes_what_is_there_for_its_own(
    home: Path, whole: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        nth_write(patch, 7, "full")
        assert run(command(home, tmp_path)) == 5
    left = contents(tmp_path)
    assert {"p.csv", ".p.csv.unfinished"} <= set(left) < set(whole) | {".p.csv.unfinished"}
    for other in (["--batch-size", "3"], ["--format", "jsonl"], ["--allow-unseen-elements"]):
        capfd.readouterr()
        assert run(command(home, tmp_path, *other)) == 2
        assert "--overwrite" in capfd.readouterr().err
    (tmp_path / "p.csv").write_text("mine, since")
    assert run(command(home, tmp_path)) == 2
    assert (tmp_path / "p.csv").read_text() == "mine, since"
    assert run(command(home, tmp_path, "--overwrite")) == 3
    assert contents(tmp_path) == whole


def test_an_old_list_of_failures_goes(home: Path, tmp_path: Path) -> None:
    assert run(command(home, tmp_path)) == 3
    assert run(command(home, tmp_path, "--allow-unseen-elements", "--overwrite")) == 0
    assert not (tmp_path / "p.failures.jsonl").exists()
