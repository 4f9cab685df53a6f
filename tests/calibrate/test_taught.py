"""What a calibration is not made with: crystals that taught the model, whatever they are called, or came before."""

from pathlib import Path

import ase.io
import pytest
from common import small_cache
from common.some_trainings import train
from train.test_training import plan

from crystalcli.calibrate import calibrating
from crystalcli.calibrate.calibrating import CalibrationPlan, CalibrationReport
from crystalcli.cli.main import run
from crystalcli.contracts.host import Host
from crystalcli.engine.model import model_file
from crystalcli.engine.model.taught import KEY, LENGTH, Taught
from crystalcli.vocabulary.errors import InputError, UsageError


def write(path: Path, seed: int, *, stem: str = "s", twice: bool = False, n: int = 42) -> Path:
    made = small_cache.crystals(n, seed)
    return small_cache.write(path, structures=[*made, *made] if twice else made, stem=stem)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two caches that have the same ids, and one that goes on from it with other crystals."""
    home = tmp_path_factory.mktemp("taught")
    two = (str(write(home / "h1.h5", 1)), str(write(home / "h2.h5", 2)))
    train(plan(home / "h1.h5", home / "two", caches=two))
    train(plan(write(home / "h3.h5", 3, stem="other"), home / "on", from_=home / "two"))
    return home


def of(model: Path, cache: Path, tmp_path: Path, **more: object) -> tuple[CalibrationReport, list[str]]:
    heard: list[str] = []
    made = CalibrationPlan(model=model, inputs=(str(cache),), output=tmp_path / "c.safetensors", **more)  # type: ignore[arg-type]
    return calibrating.run(made, heard.append), heard


def aged(model: Path, path: Path) -> Path:
    """The same model as an older crystal wrote it: with ids only."""
    found, provenance = model_file.load(model / "model.safetensors")
    model_file.save(path, found, {k: v for k, v in provenance.items() if k != KEY})
    return path


@pytest.mark.parametrize("stem", ["s", "renamed"])
def test_crystals_are_known_under_other_ids(home: Path, tmp_path: Path, stem: str) -> None:
    """Of several caches ids have the name of the cache before them; a file may have none at all."""
    again = write(tmp_path / "again.h5", 1, stem=stem)
    with pytest.raises(UsageError, match=r"of 42 labelled structures, by their crystals, trained or validated"):
        of(home / "two", again, tmp_path)


def test_what_taught_the_model_that_it_began_from_is_known(home: Path, tmp_path: Path) -> None:
    for cache in ("h1.h5", "h2.h5", "h3.h5"):
        with pytest.raises(UsageError, match="trained or validated"):
            of(home / "on", home / cache, tmp_path)
    old = aged(home / "two", tmp_path / "old.safetensors")
    train(plan(home / "h3.h5", tmp_path / "on", from_=old))
    kept = model_file.load(tmp_path / "on" / "model.safetensors")[1]
    assert kept[KEY]["ids"]
    with pytest.raises(UsageError, match="by crystals or ids"):  # as far as the older one knows
        of(tmp_path / "on", home / "h1.h5", tmp_path)


def test_other_crystals_of_the_same_ids_count(home: Path, tmp_path: Path) -> None:
    report, heard = of(home / "on", write(tmp_path / "h3.h5", 9, stem="other"), tmp_path)
    assert report.skipped == 0
    assert next(iter(report.fits.values())).n == 42
    assert any("have ids of the model's training, but are other crystals: they count" in line for line in heard)


def test_a_crystal_counts_once(home: Path, tmp_path: Path) -> None:
    report, heard = of(home / "two", write(tmp_path / "t.h5", 9, stem="new", twice=True, n=20), tmp_path)
    assert (report.repeated, next(iter(report.fits.values())).n) == (20, 20)
    assert heard == ["20 labelled structures are crystals that were there already; each counts once"]


def test_an_older_model_compares_ids_and_says_so(home: Path, tmp_path: Path) -> None:
    old = aged(home / "two", tmp_path / "old.safetensors")
    with pytest.raises(UsageError, match=r"by their ids, trained or validated"):
        of(old, home / "h1.h5", tmp_path)
    report, heard = of(old, write(tmp_path / "n.h5", 1, stem="renamed"), tmp_path)
    assert report.skipped == 0
    assert "keeps ids only of what taught it" in heard[0]


def test_where_errors_of_an_older_model_are_told_it_is_said(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old, said = aged(home / "two", tmp_path / "old.safetensors"), "keeps ids only of what taught it"
    again = write(tmp_path / "n.h5", 1, stem="renamed")
    assert run(["predict", str(old), str(again), "-o", str(tmp_path / "p.csv")]) == 0
    assert said in capfd.readouterr().err
    ase.io.write(tmp_path / "new.extxyz", small_cache.crystals(3, 9))  # without labels there are no errors
    assert run(["predict", str(old), str(tmp_path / "new.extxyz"), "-o", str(tmp_path / "q.csv")]) == 0
    assert said not in capfd.readouterr().err
    heard: list[str] = []
    train(plan(again, tmp_path / "on", from_=old), Host(warn=heard.append))
    assert any(said in line for line in heard)


def test_a_file_keeps_few_bytes_of_each(home: Path) -> None:
    provenance = model_file.load(home / "two" / "model.safetensors")[1]
    n = len(provenance["split"]["train"]) + len(provenance["split"]["val"])
    assert len(provenance[KEY]["crystals"]) <= 4 * (n * LENGTH // 3 + 1)
    assert len(Taught.of(provenance).crystals) == n
    with pytest.raises(InputError, match="damaged model"):
        Taught.of({KEY: {"crystals": 3}})
    assert not Taught.of({}).crystals
