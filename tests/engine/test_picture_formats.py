"""Pictures of every command in the format that was asked for, and none of an earlier format left behind."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from common import small_cache, some_campaign
from matplotlib.figure import Figure

from crystalcli.cli.main import run
from crystalcli.engine.cache.cache import Column
from crystalcli.vocabulary.pictures import FORMATS
from crystalcli.vocabulary.quantities import Quantity

SMALL = ["--epochs", "1", "--threads", "1", "-q"]
ENERGY = small_cache.ENERGY.name
NET = ["--width", "8", "--n-conv", "1", "--split", "random", "--no-compare", *SMALL]


@pytest.fixture(autouse=True, scope="module")
def quick_pictures() -> Iterator[None]:
    """Which files are written is what counts here."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda _figure, file, **_how: file.write(b"drawn"))
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Caches of energies, of charges of sites and of formation energies with some unknown; a crystal."""
    home = tmp_path_factory.mktemp("pictures")
    small_cache.write(home / "e.h5", 20)
    structures = small_cache.crystals(20)
    charges = np.concatenate([a.numbers / 10 for a in structures])
    column = Column(Quantity("charge", "e", "site"), charges, np.ones(len(charges), dtype=bool))
    small_cache.write(home / "q.h5", structures=structures, columns=[column])
    known = np.arange(20) % 4 > 0
    column = Column(Quantity("e_form", "eV/atom"), np.linspace(-1, 0, 20), known)
    small_cache.write(home / "f.h5", structures=structures, columns=[column])
    ase.io.write(home / "cu.cif", ase.build.bulk("Cu", cubic=True))
    return home


def drawn(folder: Path) -> dict[str, set[str]]:
    """By ending the pictures in and below ``folder``, without it."""
    every = {p for p in folder.rglob("*") if p.suffix.removeprefix(".") in FORMATS}
    return {
        p.suffix: {str(q.relative_to(folder).with_suffix("")) for q in every if q.suffix == p.suffix} for p in every
    }


LINES: dict[str, tuple[list[str], set[str]]] = {
    "one": (["train", "{home}/e.h5", *NET], {"learning-curve", "parity"}),
    "sites": (["train", "{home}/q.h5", "--head", "site", *NET], {"parity-elements-charge", "distribution-charge"}),
    "ensemble": (["train", "{home}/e.h5", "--ensemble", "2", *NET], {f"parity-{ENERGY}", f"reliability-{ENERGY}"}),
    "curve": (
        ["train", "{home}/e.h5", "--learning-curve", "6,10", *NET],
        {f"learning-curve-{ENERGY}", "scratch-6/parity"},
    ),
    "screen": (["screen", "{home}/f.h5", "--ensemble", "2", *SMALL], {"hull-F-Li", "model/parity-e_form"}),
    "md": (
        ["md", "{home}/cu.cif", "--potential", "emt", "--steps", "6", "--frame-every", "1", "--log-every", "1", "-q"],
        {"rdf", "bonds", "msd", "energies", "thermo"},
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_run_draws_what_is_asked_and_takes_the_old_ones_away(home: Path, tmp_path: Path, name: str) -> None:
    words, some = LINES[name]
    line = [w.format(home=home) for w in words] + ["-o", str(tmp_path / "run")]
    assert run([*line, "--pictures", "svg,pdf"]) == 0
    first = drawn(tmp_path / "run")
    assert set(first) == {".svg", ".pdf"}
    assert first[".svg"] == first[".pdf"] >= some
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())[words[0]]["pictures"] == "svg,pdf"
    assert run([*line, "--overwrite"]) == 0
    assert drawn(tmp_path / "run") == {".png": first[".svg"]}


def test_a_campaign_does_so_too(tmp_path: Path) -> None:
    plan = some_campaign.write(tmp_path)
    line = ["screen", "--campaign", str(plan), "-o", str(tmp_path / "run"), "--threads", "1", "-q"]
    assert run([*line, "--pictures", "pdf"]) in (0, 3)
    found = drawn(tmp_path / "run")
    assert set(found) == {".pdf"}
    assert "hull-Cu-Pd" in found[".pdf"]
    assert json.loads((tmp_path / "run" / "report.json").read_text())["pictures"] == ["hull-Cu-Pd.pdf"]


def test_a_prediction_takes_away_its_own_only(home: Path, tmp_path: Path) -> None:
    assert run(["train", str(home / "q.h5"), "--head", "site", *NET, "-o", str(tmp_path / "m")]) == 0
    line = ["predict", str(tmp_path / "m"), str(home / "q.h5"), "-o", str(tmp_path / "out" / "p.csv"), "-q"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other-parity-charge.svg").touch()
    assert run([*line, "--pictures", "SVG"]) == 0
    mine = {"p-parity-charge", "p-parity-elements-charge", "p-distribution-charge"}
    assert drawn(tmp_path / "out") == {".svg": mine | {"other-parity-charge"}}
    assert run([*line, "--overwrite"]) == 0
    assert drawn(tmp_path / "out") == {".png": mine, ".svg": {"other-parity-charge"}}


def test_a_stopped_run_may_go_on_with_other_pictures(home: Path, tmp_path: Path) -> None:
    line = [
        "train",
        str(home / "e.h5"),
        *NET[:-5],
        "--epochs",
        "400",
        "-q",
        "-o",
        str(tmp_path / "r"),
        "--time-limit",
        "2s",
    ]
    assert run(line) == 75
    assert run(["train", "--finish", str(tmp_path / "r"), "--pictures", "svg", "-q"]) == 0
    assert drawn(tmp_path / "r") == {".svg": {"learning-curve", "parity"}}
    line = ["md", str(home / "cu.cif"), "--potential", "emt", "--frame-every", "1", "--log-every", "1", "-q"]
    assert run([*line, "--steps", "6", "-o", str(tmp_path / "md")]) == 0
    assert set(drawn(tmp_path / "md")) == {".png"}
    assert run(["md", "--resume", str(tmp_path / "md"), "--steps", "12", "--pictures", "svg", "-q"]) == 0
    assert set(drawn(tmp_path / "md")) == {".svg"}


@pytest.mark.parametrize("words", [["train"], ["md", "x.cif"], ["screen"], ["predict", "m", "x.cif"]])
def test_a_format_that_is_not_there_is_refused_first(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--pictures", "svg,jpg"]) == 2
    assert "no format 'jpg'; " in capsys.readouterr().err
