"""Models that come with plugins: the script that makes them, names, views, damage, and a stranger's package."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from in_process import crystal

from crystalcli import load_model
from crystalcli.contracts.records import ReadyModel
from crystalcli.engine.model import model_file
from crystalcli.engine.model.fewer_targets import narrowed
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "models"))
import make  # noqa: E402

SIZES = {"train": 60, "val": 20, "test": 12}
ORDER = ("formation-energy", "band-gap")
SHARED = make.Training(
    "network",
    {"formation-energy": "formation_energy_per_atom", "band-gap": "band_gap"},
    graphs="",
    train="--arch cgcnn --noise learned",
)
"""One network under two names."""
TINY = "--ensemble 2 --train-size 24 --epochs 2 --batch-size 8 --seed 3"


def table(path: Path, n: int, seed: int, label: str = "formation_energy_per_atom") -> None:
    """Crystals as CIF texts, with an energy and a gap that are functions of them."""
    random, rows = np.random.default_rng(seed), []
    for k in range(n):
        # formulas go to parts as groups, so every element is in many of them
        symbols = str(random.choice(["Na", "Mg", "Li"])) + str(random.choice(["Cl", "O", "F", "S"]))
        atoms = ase.build.bulk(symbols, str(random.choice(["rocksalt", "zincblende"])), a=4.0 + 2.0 * random.random())
        cif = io.BytesIO()
        ase.io.write(cif, atoms, format="cif")
        energy = -0.1 * float(atoms.numbers.mean()) + 0.01 * float(atoms.get_volume())
        gap = abs(float(np.diff(atoms.numbers)[0])) / 10.0
        rows.append([f"{path.name[:2]}{seed}-{k}", repr(energy), repr(gap), cif.getvalue().decode()])
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text).writerows([["id", label, "band_gap", "cif"], *rows])
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets as the script wants them, tiny."""
    folder = tmp_path_factory.mktemp("data")
    for k, (part, n) in enumerate(SIZES.items()):
        table(folder / make.SET / f"{part}.csv.gz", n, k)
    table(folder / make.ELSEWHERE["al-o"][0], 3, 7)
    table(folder / make.ELSEWHERE["ti-zr-hf-zn-n"][0], 4, 8)
    table(folder / make.ELSEWHERE["wbm"][0], 5, 9, "corrected_formation_energy_per_atom")
    return folder


def made_in(folder: Path, data: Path) -> Path:
    work, into = folder / "work", folder / "package"
    make.main(["--data", str(data), "--work", str(work), "--into", str(into), "--train", TINY], [SHARED])
    return into


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script makes of them."""
    return made_in(tmp_path_factory.mktemp("made"), data)


@pytest.fixture
def package(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models, the only ones there are, in a folder that may be spoilt."""
    folder = tmp_path / "their package"
    shutil.copytree(made, folder)
    parts, one = registry().parts, next(iter(registry().parts.values()))
    for key in [k for k in parts if k[0] in ("pretrained", "model")]:
        monkeypatch.delitem(parts, key)
    for name, target in (("a-energy", "formation-energy"), ("a-gap", "band-gap")):
        part = ReadyModel(
            name=name, summary=f"{target} of theirs", folder=folder / target, install="pip install theirs"
        )
        monkeypatch.setitem(parts, ("model", name), replace(one, part=part))
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with two crystals."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name, a in (("NaCl", 5.6), ("MgO", 4.2)):
        ase.build.bulk(name, "rocksalt", a=a).write(folder / f"{name}.cif")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_card_says_what_was_measured(made: Path) -> None:
    card = json.loads((made / "formation-energy" / "card.json").read_text())
    assert card["sha256"] == hashlib.sha256((made / "formation-energy" / "model.json").read_bytes()).hexdigest()
    assert (card["structures"]["calibrated sigma"], card["structures"]["test"]) == (20, 12)
    assert 24 <= card["structures"]["taught a member"] <= 48
    model = load_model(made / "formation-energy" / "model.json")
    with gzip.open(made.parent / "work" / "network" / "data" / make.SET / "test.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    atoms = [ase.io.read(io.StringIO(row["cif"]), format="cif") for row in rows]
    found = [p["formation_energy_per_atom"].value for p in model.predict(atoms)]
    errors = np.abs(np.array(found) - np.array([float(r["formation_energy_per_atom"]) for r in rows]))
    assert card["test"]["mae"] == pytest.approx(float(errors.mean()), rel=1e-4)
    assert card["test"]["n"] == 12
    assert sum(c["n"] for c in card["by_class"].values()) == 12
    assert card["by_element"]["Na"]["n"] == sum("Na" in a.symbols for a in atoms)
    assert set(card["elsewhere"]) == {"Al-O phases", "(Ti,Zr,Hf)-Zn-N phases", "WBM (substituted prototypes)"}
    gap = json.loads((made / "band-gap" / "card.json").read_text())
    assert (gap["unit"], card["unit"]) == ("eV", "eV/atom")
    assert "WBM (substituted prototypes)" not in gap["elsewhere"]
    assert not any(str(made) in text.decode(errors="replace") for text in files_of(made).values())


def test_one_network_a_name_and_one_that_starts_from_another(data: Path, tmp_path: Path) -> None:
    """As the models that come with the program are made: each a file of its own, the gap from the energy's run."""
    small = "--ensemble 2 --train-size 24 --epochs 1 --batch-size 8 --noise learned"
    arch = "--arch threebody --featurizer symmetry --width 8 --edge-width 4"
    energy, gap = make.TRAININGS
    assert (energy.name, gap.name, "--from ../formation-energy/run --new-head" in gap.train) == (*ORDER, True)
    trials = [
        replace(energy, train=f"{arch} {small}"),
        replace(gap, train=f"--from ../formation-energy/run --new-head {small}"),
    ]
    words = ["--data", str(data), "--work", str(tmp_path / "work"), "--into", str(tmp_path / "package")]
    make.main(words, trials)
    for name, target in zip(ORDER, ("formation_energy_per_atom", "band_gap"), strict=True):
        folder = tmp_path / "package" / name
        assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.safetensors"]
        assert json.loads((folder / "card.json").read_text())["target"] == target


@pytest.mark.slow
def test_the_script_makes_the_same_bytes_again(made: Path, data: Path, tmp_path: Path) -> None:
    assert files_of(made_in(tmp_path, data)) == files_of(made)


def test_predicts_by_name_and_shows_its_target_alone(package: Path, here: Path) -> None:
    done = crystal(["predict", "a-gap", "NaCl.cif", "MgO.cif", "--format", "table"], here)
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["id", "band_gap", "[eV]", "σ"]
    assert [row.split()[0] for row in rows] == ["NaCl", "MgO"]
    whole = load_model(package / "network" / "model.safetensors")
    atoms = [ase.io.read(here / f"{n}.cif") for n in ("NaCl", "MgO")]
    for name, target in (("a-energy", "formation_energy_per_atom"), ("a-gap", "band_gap")):
        said = json.loads(crystal(["predict", name, "NaCl.cif", "MgO.cif", "--json"], here).stdout)
        for row, one in zip(said["rows"], whole.predict(atoms), strict=True):
            found = row["predictions"]
            assert found.keys() == {target}
            assert found[target]["value"] == pytest.approx(one[target].value, rel=1e-6)  # other sums in float32
            assert found[target]["sigma"] == pytest.approx(one[target].sigma, rel=1e-6)
            assert found[target]["low_68"] == pytest.approx(one[target].intervals["68"][0], rel=1e-5)


def test_a_view_is_a_model_of_its_own(package: Path) -> None:
    whole = model_file.load(package / "network" / "model.safetensors")[0]
    gap = model_file.load(package / "band-gap" / "model.json")[0]
    assert [q.name for q in gap.spec.targets] == ["band_gap"]
    assert gap.spec.statistics.target_mean.keys() == {"band_gap"}
    assert gap.sigma_fits.keys() == {"band_gap"}
    assert gap.sigma_fits["band_gap"] == whole.sigma_fits["band_gap"]
    assert gap.aleatoric.keys() == {"band_gap"}
    with pytest.raises(UsageError, match=r"no target 'band_gp'; did you mean 'band_gap'\?"):
        narrowed(whole, ["band_gp"])


def test_list_show_path(package: Path, here: Path) -> None:
    assert "a-energy: formation-energy of theirs; PBE and PBE+U" in crystal(["models", "list"], here).stdout
    shown = crystal(["models", "show", "a-energy"], here).stdout
    assert "targets: formation_energy_per_atom" in shown
    assert "WBM" in shown
    assert "crystal calibrate run val.h5" in shown
    assert crystal(["models", "path", "a-energy"], here).stdout == f"{package / 'formation-energy' / 'model.json'}\n"
    done = crystal(["models", "show", "an-energy"], here)
    assert (done.returncode, done.stderr) == (2, "error: no model 'an-energy'; did you mean 'a-energy'?\n")
    assert "need not be imported" in crystal(["models", "import", "a-gap"], here).stderr


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("band-gap/model.json", b" ", "a-gap is damaged or was changed: sha256 "),
        ("network/model.safetensors", b" ", "its weights are damaged or were changed: sha256 "),
        ("network/model.safetensors", None, "shows targets of"),
        ("band-gap/card.json", b"{", "the card of a-gap is damaged"),
        ("band-gap/card.json", None, "the card of a-gap is not there"),
        ("band-gap/model.json", None, "the file of a-gap is not there"),
    ],
)
def test_damage_is_one_line_with_its_cure(
    package: Path, here: Path, file: str, change: bytes | None, said: str
) -> None:
    path = package / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + change)
    for words in (["predict", "a-gap", "NaCl.cif"], ["models", "show", "a-gap"], ["models", "path", "a-gap"]):
        done = crystal(words, here)
        assert done.returncode == 4, done.stderr
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
        assert "; pip install theirs" in done.stderr
    listed = crystal(["models", "list"], here)
    assert listed.returncode == 0
    assert said in listed.stdout


def test_what_lies_here_comes_first_and_is_said(package: Path, here: Path) -> None:
    shutil.copyfile(package / "network" / "model.safetensors", here / "a-gap")
    done = crystal(["predict", "a-gap", "NaCl.cif"], here)
    assert done.returncode == 0, done.stderr
    assert "formation_energy_per_atom" in done.stdout
    assert (
        'a-gap is the file or folder here; the model by that name would be "$(crystal models path a-gap)"'
        in done.stderr
    )
    (here / "a-gap").unlink()
    (here / "a-gap").mkdir()
    done = crystal(["predict", "a-gap", "NaCl.cif"], here)
    assert done.returncode == 2
    assert "no such model" in done.stderr
    assert "crystal models path a-gap" in done.stderr
    done = crystal(["predict", "a-gaap", "NaCl.cif"], here)
    assert "no such model, and none by that name; did you mean 'a-gap'?" in done.stderr


@pytest.fixture
def mine(here: Path) -> Path:
    """A cache with labels that the models never saw."""
    table(here / "mine.csv.gz", 24, 31)
    words = ["build-graphs", "mine.csv.gz", "--targets", "band_gap:eV", "-o", "mine.h5", "-q"]
    assert crystal(words, here).returncode == 0
    return here / "mine.h5"


def test_calibrates_and_trains_on_by_name(package: Path, here: Path, mine: Path) -> None:  # noqa: ARG001
    before = files_of(package)
    done = crystal(["calibrate", "a-gap", "mine.h5"], here)
    assert done.returncode == 0, done.stderr
    model = load_model(here / "a-gap-calibrated.safetensors")
    assert [q.name for q in model.quantities] == ["band_gap"]
    words = ["train", "mine.h5", "--from", "a-gap", "--epochs", "1", "--threads", "1", "-o", "on", "-q"]
    done = crystal([*words, "--fractions", "0.5,0.2,0.3", "--split", "random"], here)
    assert done.returncode == 0, done.stderr
    assert [q.name for q in load_model(here / "on").quantities] == ["band_gap"]
    assert files_of(package) == before


def test_screens_by_name(package: Path, here: Path) -> None:  # noqa: ARG001
    done = crystal(["screen", "NaCl.cif", "MgO.cif", "--model", "a-energy", "-o", "s", "-q"], here)
    assert done.returncode == 0, done.stderr
    done = crystal(["relax", "NaCl.cif", "--potential", "a-gap"], here)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    done = crystal(["relax", "NaCl.cif", "--potential", "emt", "--start", "a-gap", "-o", "r"], here)
    assert done.returncode == 2
    assert "predicts band_gap and no positions" in done.stderr


STRANGER = """
from pathlib import Path

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import ReadyModel

@hookimpl
def crystal_parts():
    here = Path(__file__).parent
    return [ReadyModel(name="their-gap", summary="gaps", folder=here / "gap", install="pip install strangers")]
"""


@pytest.fixture
def strangers(made: Path, tmp_path: Path) -> dict[str, str]:
    """Environment with an installed package of others that brings one model, a file of its own."""
    site = tmp_path / "site"
    gap = site / "strangers" / "gap"
    gap.mkdir(parents=True)
    (site / "strangers" / "__init__.py").write_text(STRANGER)
    model, provenance = model_file.load(made / "band-gap" / "model.json")
    model_file.save(gap / "model.safetensors", model, provenance)
    digest = hashlib.sha256((gap / "model.safetensors").read_bytes()).hexdigest()
    (gap / "card.json").write_text(
        json.dumps({"sha256": digest, "licence": "MIT", "level": "PBE", "test": {"mae": 0.5}})
    )
    info = site / "strangers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[crystal]\nstrangers = strangers\n")
    return dict(os.environ) | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


def test_a_strangers_package_brings_a_model(strangers: dict[str, str], here: Path) -> None:
    def run(*words: str) -> str:
        line = [sys.executable, "-m", "crystalcli", *words]
        done = subprocess.run(line, cwd=here, env=strangers, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shown = run("models", "show", "their-gap")
    assert "licence: MIT" in shown
    assert "test: mae 0.5" in shown
    assert run("predict", "their-gap", "NaCl.cif").startswith("id,band_gap [eV],")
    assert "0 failed, 0 not run" in run("plugins", "check", "their-gap")


SHIPPED = ("formation-energy", "band-gap")


def test_the_shipped_models_work_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise AssertionError("asks the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    cifs = sorted(map(str, (ROOT / "examples").glob("*.cif")))
    assert len(cifs) >= 5
    for name, unit in zip(SHIPPED, ("eV/atom", "eV"), strict=True):
        model = load_model(name)
        ((quantity,), atoms) = model.quantities, [ase.io.read(path) for path in cifs]
        assert quantity.unit == unit
        found = [p[quantity.name] for p in model.predict(atoms)]
        assert all(np.isfinite(p.value) and p.sigma > 0.0 and p.calibration == "conformal" for p in found)
    done = crystal(["models", "show", "formation-energy", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)["card"]
    assert card["target"] == "formation_energy_per_atom"
    assert "CC BY 4.0" in card["licence"]
