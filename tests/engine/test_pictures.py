"""What all pictures have in common: words as they stand, equal bytes, letters that stay letters, in every format."""

import re
import subprocess
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from crystalcli.engine.drawing import plots, site_plots
from crystalcli.engine.evaluate import metrics
from crystalcli.engine.record import run_record
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.md import plots as md_plots
from crystalcli.md.workflow import MD
from crystalcli.screen import plots as screen_plots
from crystalcli.screen.workflow import SCREEN
from crystalcli.train import curve, ensemble
from crystalcli.vocabulary.pictures import FORMATS, paths
from crystalcli.vocabulary.quantities import Quantity

NAMES = ["a$b$c", r"$\frac$", r"unbalanced $", r"x^2\alpha", r"a\$b$^{$", "形成", "rate\x1b[31m"]
VALUES = np.random.default_rng(3).normal(size=(2, 40))


def draw_all(home: Path, name: str, pictures: str) -> list[Path]:
    """Every kind of picture, with ``name`` wherever a person's word may stand."""
    true, value = VALUES
    quantity = Quantity(name, "eV")
    kinds = Quantity(name, classes=2, class_names=(name, "other"))
    chances = np.column_stack([true > 0, true <= 0]) * 0.8 + 0.1
    rows = [{"epoch": e, "val": {name: {"mae": 1 / e}}, "val_score": 1 / e, "train_loss": 2 / e} for e in (1, 2, 3)]
    points = [{"beginning": "scratch", "structures": n, "error": 1 / n, "spread": None} for n in (10, 30)]
    stems = ("parity", "confusion", "epochs", "curves", "thermo", "reliability", "cost", "sizes")
    at = {stem: paths(home / stem, pictures) for stem in stems}
    plots.parity(at["parity"], quantity, true, value, mae=0.1, title=f"models/{name}")
    plots.confusion(at["confusion"], kinds, metrics.classification(chances, (value > 0).astype(float)), title=name)
    plots.learning_curve(at["epochs"], rows, {quantity: {"mean": 0.8}}, title=name, best_epoch=2)
    md_plots.curves(at["curves"], {name: (true, value), "b": (value, true)}, x="r", y="g", title=name)
    md_plots.thermo(at["thermo"], np.arange(40.0), [(name, {"actual": true, "target": value})], title=name)
    ensemble.draw_reliability(at["reliability"], true - value, np.ones(40), title=name)
    sweep = [{"kappa": k, "share": k / 4, "recall": k / 3} for k in (1.0, 2.0, 3.0)]
    screen_plots.draw_cost_and_recall(at["cost"], sweep, stages=f"emt, {name}")
    curve.draw_learning_curve(at["sizes"], name, {"unit": "eV", "measure": "MAE", "mean": 0.9, "points": points})
    sites = (np.array([8, 14] * 20), true, value)
    drawn = site_plots.draw(home, "", Quantity("charge", "e", "site"), sites, title=name, pictures=pictures)
    return [path for some in at.values() for path in some] + list(drawn)


def draw_some(home: Path) -> list[Path]:
    """Every kind as SVG, and one kind in every format: a font for a PDF takes a second."""
    one = paths(home / "one", ",".join(FORMATS))
    plots.parity(one, Quantity("e", "eV"), *VALUES, mae=0.1, title="x")
    return [*one, *draw_all(home, "x", "svg")]


def letters(path: Path) -> list[str]:
    """The words of an SVG file, which are none where letters have become outlines."""
    return ["".join(t.itertext()) for t in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", NAMES)
def test_words_of_people_stand_as_they_are(tmp_path, name):
    seen = name.replace("\x1b", "\\x1b")
    for path in draw_all(tmp_path, name, "svg"):
        words = letters(path)
        assert any(seen in word or seen.replace("_", " ") in word for word in words), (path.name, words)
        assert not [word for word in words if "mathdefault" in word or "\\$" in word.replace(seen, "")], path.name


def test_a_title_is_the_same_in_every_format(tmp_path):
    """Words are made plain once, not again for each format."""
    at = paths(tmp_path / "p", "png,svg")
    plots.parity(at, Quantity("e", "eV"), *VALUES, mae=0.1, title="models/a$b")
    assert "models/a$b" in " ".join(letters(at[1]))


def test_a_density_has_plain_numbers_beside_its_colours(tmp_path):
    values = np.random.default_rng(1).normal(size=plots.MANY + 500)
    plots.parity(paths(tmp_path / "p", "svg"), Quantity("e", "eV"), values, values, mae=0.0, title="t")
    assert {"1", "10"} <= set(letters(tmp_path / "p.svg"))
    assert not any("$" in word for word in letters(tmp_path / "p.svg"))


def test_pictures_are_the_same_bytes_in_another_process(tmp_path):
    """Another time of day, other random names of clips and markers, another order of sets."""
    program = "from pathlib import Path; from engine.test_pictures import *; draw_some(Path('b'))"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = draw_some(tmp_path / "a")
    env = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "123456"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, check=True)
    assert len(first) == 10 + 3
    for path in first:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_font_lies_in_a_pdf_and_nothing_says_when_it_was_made(tmp_path):
    for path in draw_some(tmp_path):
        data = path.read_bytes()
        assert not re.search(rb"CreationDate|<dc:date|20\d\d-\d\d-\d\d", data), path.name
        if path.suffix == ".pdf":
            packed = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
            assert b"/FontFile2" in data + b"".join(_unpacked(p) for p in packed), path.name


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return b""


def test_thousands_of_points_do_not_make_a_large_file(tmp_path):
    sites = (np.full(30_000, 8), *np.random.default_rng(2).normal(size=(2, 30_000)))
    found = site_plots.draw(tmp_path, "", Quantity("charge", "e", "site"), sites, title="t", pictures="svg,pdf")
    assert all(path.stat().st_size < 200_000 for path in found)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_new_run_takes_away_the_pictures_of_the_old_one_in_whatever_format(tmp_path, ending):
    RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    stems = ("learning-curve", "learning-curve-e", "parity-e.x", "reliability-e", "confusion", "distribution-q")
    old = [tmp_path / "run" / f"{stem}.{ending}" for stem in stems]
    for path in (*old, tmp_path / "run" / f"mine.{ending}"):
        path.touch()
    RunFolder.create(tmp_path / "run", overwrite=True, facts={}, config={})
    assert not [p for p in old if p.exists()]
    assert (tmp_path / "run" / f"mine.{ending}").exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_so_do_screenings_campaigns_and_dynamics(tmp_path, ending):
    run = RunFolder.create(tmp_path, overwrite=False, facts={"command": "md"}, config={})
    for clear, stems in (
        (lambda path: run_record.clear(path, SCREEN.writes), ["hull-Hf-N", "hull-Cu-Pd", "cost-recall"]),
        (lambda path: run_record.clear(path, MD.writes), ["rdf", "bonds", "msd", "energies", "thermo"]),
    ):
        old = [run.path / f"{stem}.{ending}" for stem in stems]
        for path in old:
            path.touch()
        clear(run.path)
        assert not [p.name for p in old if p.exists()]
