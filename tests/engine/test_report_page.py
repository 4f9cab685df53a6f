"""The page of ``crystal report``: what stands on it, what it is made of, and that texts are text."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
from engine import made_runs
from in_process import crystal

from crystalcli.contracts.sections import Axis, Elements, Facts, Geometry, Guide, Note, Numbers, Plot, Section, Series
from crystalcli.contracts.workflow import Table
from crystalcli.engine.report import html as to_html
from crystalcli.engine.report import page, predicted
from crystalcli.engine.report.packing import MOST_POINTS, Packed
from crystalcli.engine.report.run_files import RunFiles
from crystalcli.engine.report.run_structures import chosen_frames
from crystalcli.train import sections as train_sections


class Seen(html.parser.HTMLParser):
    """What a browser would make of the page: elements, their attributes, the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, _tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside:
            self.words.append(data)

    @property
    def data(self) -> dict[str, Any]:
        """What the page's scripts read."""
        return json.loads(self.scripts[0])


def seen(*runs: Path) -> Seen:
    return Seen(page.page(runs).text)


def test_a_training_says_what_it_holds(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run")
    found = seen(run)
    text = " ".join(found.words)
    report = json.loads((run / "report.json").read_text())
    mae = f"{report['test']['e']['model']['mae']:.4g}"[:6]
    asked = ("crystal train in.h5", "1 min 5 s", "odd <b>thing</b>", "5 train, 2 val, 300 test; random")
    for said in (mae, "0.8", "too <many>", *asked, "not in training", "Leaks", "baseline mean: 3 test structures"):
        assert said in text, said
    titles = [p["title"] for p in found.data["plots"]]
    assert titles[0] == "Training loss and score of validation"
    assert {"Validation of e", "Predicted over true, test part", "Errors", "Distribution of values",
            "Reliability of σ by its size", "Reliability of intervals"} <= set(titles)  # fmt: skip


def test_numbers_drawn_are_those_of_the_files(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 50)
    (plot,) = [p for p in seen(run).data["plots"] if p["title"].startswith("Predicted")]
    table = RunFiles(run).table("predictions-test.csv")
    x, y = (np.frombuffer(base64.b64decode(plot["series"][0][k]), "<f4") for k in "xy")
    assert np.allclose(x, np.array(table["e true [eV/atom]"], dtype=float), rtol=1e-6)
    assert np.allclose(y, np.array(table["e predicted [eV/atom]"], dtype=float), rtol=1e-6)
    assert plot["series"][0]["ids"] == table["id"]


def test_the_worst_are_the_worst_and_have_their_structures(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 30)
    files = RunFiles(run)
    values = predicted.of(files, ["e"])["e"]
    error = np.abs(values.predicted[""] - values.true[""])
    order = [values.ids[k] for k in np.argsort(-error)]
    data = seen(run).data
    assert [s["id"] for s in data["structures"][0]["shown"]] == order[:10]
    assert set(data["libraries"][0]) == set(order)
    atoms = made_runs.small_cache.crystals(30)[0]
    packed = data["libraries"][0][values.ids[0]]
    places = np.frombuffer(base64.b64decode(packed["r"]), "<i2").reshape(-1, 3) * packed["s"]
    assert np.allclose(places, atoms.positions, atol=2e-4)
    assert np.frombuffer(base64.b64decode(packed["z"]), "u1").tolist() == atoms.numbers.tolist()
    assert np.allclose(np.reshape(packed["c"], (3, 3)), atoms.cell.array, rtol=1e-5)


@pytest.mark.parametrize("evil", made_runs.EVIL)
def test_texts_of_strangers_are_inert(tmp_path: Path, evil: str) -> None:
    harmless = seen(made_runs.training(tmp_path / "good", 60, ["plain"]))
    run = made_runs.training(tmp_path / "bad", 60, [evil])
    log = run / "log.txt"
    log.write_text(log.read_text() + f"2026-01-02 03:04:07 warning: {evil}\n")
    found = seen(run)
    tags = [t for t, _ in found.found]
    assert {t: tags.count(t) for t in ("script", "img", "svg", "style", "iframe")} == {
        "script": 2, "img": 0, "svg": 0, "style": 1, "iframe": 0}  # fmt: skip
    assert set(tags) == {t for t, _ in harmless.found}
    assert not [a for _, a in found.found for k in a if k.startswith("on")]
    assert found.scripts[1] == harmless.scripts[1]
    shown = to_html.inert(evil)
    assert any(shown in w for w in found.words)
    assert any(shown in s["ids"] for p in found.data["plots"] for s in p["series"] if "ids" in s)


def test_the_page_asks_nothing_of_a_network_and_lets_only_its_own_script_run(tmp_path: Path) -> None:
    text = page.page([made_runs.training(tmp_path / "run", 20)]).text
    found = Seen(text)
    assert not [a for _, attributes in found.found for a in attributes if a in ("href", "src", "action", "data")
                if not str(attributes[a]).startswith(("#", "data:"))]  # fmt: skip
    (policy,) = [a["content"] for t, a in found.found if t == "meta" and a.get("http-equiv")]
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_three_thousand_structures_are_small_and_quick(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 3000)
    made = page.page([run])
    assert len(made.text.encode()) < 1_500_000


def test_larger_data_are_thinned_and_it_is_said(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", MOST_POINTS + 5000, structures=False)
    (plot,) = [p for p in seen(run).data["plots"] if p["title"].startswith("Predicted")]
    assert len(plot["series"][0]["ids"]) <= MOST_POINTS
    assert f"of {MOST_POINTS + 5000:,} points are drawn" in plot["caption"]
    values = predicted.of(RunFiles(run), ["e"])["e"]
    worst = np.argsort(-np.abs(values.predicted[""] - values.true[""]))[:100]
    assert {values.ids[k] for k in worst} <= set(plot["series"][0]["ids"])


def test_structures_beyond_the_budget_are_left_out_and_it_is_said() -> None:
    packed = Packed(libraries=[{}])
    one = Geometry(np.full(2000, 14), np.random.default_rng(0).random((2000, 3)), np.eye(3))
    kept, of = packed.library({f"s{k}": one for k in range(400)})
    assert of == 400
    assert 0 < kept < 400
    assert len(packed.text()) < 3_200_000
    assert list(packed.libraries[0]) == [f"s{k}" for k in range(kept)]


def test_a_run_whose_inputs_have_gone_or_changed_has_no_structures_and_says_so(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 20)
    cache = tmp_path / "run.h5"
    cache.write_bytes(cache.read_bytes() + b"x")
    made = page.page([run])
    assert len(made.problems) == 1
    assert "run.h5" in made.problems[0]
    assert "not what the run was started with" in made.problems[0]
    assert Seen(made.text).data["libraries"] == [{}]
    assert "The worst 10" in made.text  # as a table


@pytest.mark.parametrize("damage", ["report", "metrics", "predictions", "unfinished", "old"])
def test_damaged_and_unfinished_runs_have_a_page(tmp_path: Path, damage: str) -> None:
    run = made_runs.training(tmp_path / "run", 40)
    if damage == "report":
        (run / "report.json").write_text('{"test": ')
    elif damage == "metrics":
        (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text()[:-30])
    elif damage == "predictions":
        (run / "predictions-test.csv").write_text((run / "predictions-test.csv").read_text()[:-40])
    elif damage == "unfinished":
        (run / "report.json").unlink()
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**record, "finished": False, "exit_code": None}))
    else:
        report = json.loads((run / "report.json").read_text())
        (run / "report.json").write_text(json.dumps({"test": {"e": 3}, "leaks": 4, "split": report["split"]}))
    made = page.page([run])
    text = " ".join(Seen(made.text).words)
    assert "crystal train in.h5" in text
    if damage == "unfinished":
        assert "under way, or killed" in text
        assert "Training loss" in made.text
    if damage in ("report", "predictions"):
        assert made.problems


def test_several_runs_side_by_side(tmp_path: Path) -> None:
    runs = [made_runs.training(tmp_path / name, 30 + k) for k, name in enumerate(("a", "b"))]
    record = json.loads((runs[1] / "run.json").read_text())
    record["request"]["options"]["lr"] = 0.25
    (runs[1] / "run.json").write_text(json.dumps(record))
    found = seen(*runs)
    text = " ".join(found.words)
    assert "setting that differs a b lr 0.1 0.25" in " ".join(text.split())
    assert len(found.data["libraries"]) == 3
    assert found.data["plots"][0]["title"] == "Score of validation"
    libraries = {p["library"] for p in found.data["plots"]}
    assert libraries == {0, 1, 2}
    with pytest.raises(Exception, match="is not a run folder"):
        page.page([tmp_path])


def test_screening_has_hulls_and_every_candidates_reason(tmp_path: Path) -> None:
    run = made_runs.screening(tmp_path / "run")
    data = seen(run).data
    table = RunFiles(run).table("screening.csv")
    hulls = {p["title"]: p for p in data["plots"] if "–" in p["title"]}
    assert set(hulls) == {"Al–Ni", "Al–Pt", "Ni–Pt", "Al–Ni–Pt"}
    assert hulls["Al–Ni–Pt"]["corners"] == ["Al", "Ni", "Pt"]
    (rows,) = [t["rows"] for t in data["tables"]]
    assert [r[0] for r in rows] == table["id"]
    assert [r[-1] for r in rows] == table["reason"]
    on = next(s for s in hulls["Al–Ni–Pt"]["series"] if s["name"] == "on the hull")
    where = {i: k for k, i in enumerate(table["id"])}
    for one, x, y in zip(on["ids"], on["x"], on["y"], strict=True):
        amounts = dict(re.findall(r"([A-Z][a-z]?)(\d*)", table["formula"][where[one]]))
        n = sum(int(v or 1) for v in amounts.values())
        share = {e: int(v or 1) / n for e, v in amounts.items()}
        assert y == pytest.approx(np.sqrt(0.75) * share.get("Pt", 0.0), abs=1e-6)
        assert x == pytest.approx(share.get("Ni", 0.0) + 0.5 * share.get("Pt", 0.0), abs=1e-6)


def test_known_phases_shape_the_hull_and_are_drawn(tmp_path: Path) -> None:
    hulls = {p["title"]: p for p in seen(made_runs.screening(tmp_path / "run")).data["plots"] if "–" in p["title"]}
    series = {s["name"]: s for s in hulls["Al–Ni"]["series"]}
    assert series["known phase"]["ids"] == ["mp-2", "mp-1"] or series["known phase"]["ids"] == ["mp-1", "mp-2"]
    assert (0.5, -0.9) in zip(series["hull"]["x"], series["hull"]["y"], strict=True)
    assert (0.25, -0.2) not in zip(series["hull"]["x"], series["hull"]["y"], strict=True)
    lines = next(s for s in hulls["Al–Ni–Pt"]["series"] if s["name"] == "hull")
    assert (0.5, 0.0) in zip(lines["x"], lines["y"], strict=True)
    styles = {s["name"]: s["style"] for p in hulls.values() for s in p["series"]}
    assert all(s["style"] == styles[s["name"]] for p in hulls.values() for s in p["series"])
    assert "known phase" not in {s["name"] for s in hulls["Ni–Pt"]["series"]}


def test_the_periodic_table_has_every_element_once_in_its_group() -> None:
    rows = to_html.periodic_rows()
    assert all(len(r) == 18 for r in rows)
    places = {s: (r, c) for r, row in enumerate(rows) for c, s in enumerate(row) if s}
    assert len(places) == 118 == sum(bool(s) for row in rows for s in row)
    for group in (
        ("H", "Li", "Na", "K", "Rb", "Cs", "Fr"),
        ("Cu", "Ag", "Au", "Rg"),
        ("O", "S", "Se", "Te", "Po", "Lv"),
        ("He", "Ne", "Rn", "Og"),
    ):
        assert len({places[s][1] for s in group}) == 1
    shown = to_html.elements_table(
        Elements("t", {"H": 0.1, "Cu": 0.2, "Au": 5.0}, "eV", {"Cu": "labels: <3>"}, ["Au"], "new")
    )
    assert shown.count('<td class="el q') == 3
    assert "labels: &lt;3&gt;" in shown
    assert shown.count("marked") == 1
    steps = [int(re.search(rf"el q(\d)[^>]*><b>{e}<", shown)[1]) for e in ("H", "Cu", "Au")]  # type: ignore[index]
    assert steps == sorted(steps)
    assert len(set(steps)) == 3


def test_steps_of_colour_hold_all_values() -> None:
    values = np.random.default_rng(1).lognormal(size=40).tolist()
    ends = to_html.colour_steps(values)
    assert ends == sorted(ends)
    assert len(ends) <= 7
    assert max(values) <= ends[-1]


def test_a_block_of_every_kind_escapes() -> None:
    evil = made_runs.EVIL[0]
    packed = Packed(libraries=[{}])
    plot = Plot(evil, Axis(evil), Axis(evil), [Series(evil, [1.0], [2.0], ids=[evil], notes={evil: [evil]})],
                [Guide("y", 1.0, evil)], evil)  # fmt: skip
    blocks = [Note(evil), Table([evil], [[evil]], evil, evil), Table([evil], [[evil]] * 100), plot,
              Elements(evil, {"H": 1.0}, evil, {"H": evil}, ["H"], evil, evil)]  # fmt: skip
    text = to_html.section(Section(evil, blocks), "x", packed) + packed.text()
    assert "<img" not in text
    assert "</script" not in text
    assert "alert(1)" in text


def test_frames_are_evenly_chosen_and_torn_ends_left_out(tmp_path: Path) -> None:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    images = []
    for k in range(25):
        image = atoms.copy()
        image.positions += k
        image.info = {"id": f'f "{k}"', "step": k}
        images.append(image)
    path = tmp_path / "t.extxyz"
    ase.io.write(path, images)
    path.write_text(path.read_text()[:-5])
    got = list(chosen_frames(path, 5))
    assert [f["step"] for f, _ in got] == ["0", "6", "12", "17", "23"]
    assert np.allclose(got[1][1].positions, images[6].positions)
    assert got[1][1].numbers.tolist() == [11, 17]
    assert np.allclose(got[0][1].cell, atoms.cell.array)
    assert got[0][1].pbc == (True, True, True)


def test_real_runs_of_relax_and_md(tmp_path: Path) -> None:
    atoms = ase.build.bulk("Cu", "fcc", a=3.5, cubic=True)
    atoms.rattle(0.1, seed=1)
    ase.io.write(tmp_path / "Cu.cif", atoms)
    done = crystal(["relax", "Cu.cif", "--potential", "emt", "-o", "rx", "--report"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"page -> {Path('rx') / 'report.html'}" in done.stdout + done.stderr
    found = Seen((tmp_path / "rx" / "report.html").read_text(encoding="utf-8"))
    (shown,) = found.data["structures"][0]["shown"]
    assert shown["frames"][0]["t"] == "before"
    assert len(shown["frames"]) == 2
    assert any("converged" in w for w in found.words)
    again = crystal(["relax", "Cu.cif", "--potential", "emt", "-o", "rx"], tmp_path)
    assert again.returncode == 0
    assert "finished before" in again.stdout + again.stderr
    done = crystal(
        ["md", "Cu.cif", "--potential", "emt", "--steps", "60", "--frame-every", "10", "-o", "md", "--report"], tmp_path
    )
    assert done.returncode == 0, done.stderr
    data = Seen((tmp_path / "md" / "report.html").read_text(encoding="utf-8")).data
    assert len(data["structures"][0]["shown"][0]["frames"]) == 7
    assert {"Temperature", "Potential energy", "Pair distribution g(r)"} <= {p["title"] for p in data["plots"]}
    replaced = crystal(["relax", "Cu.cif", "--potential", "emt", "-o", "rx", "--overwrite", "--fmax", "0.1"], tmp_path)
    assert replaced.returncode == 0
    assert not (tmp_path / "rx" / "report.html").exists()


def test_the_command(tmp_path: Path) -> None:
    made_runs.training(tmp_path / "run", 30)
    planned = crystal(["report", "run", "--dry-run"], tmp_path)
    assert planned.returncode == 0
    assert not (tmp_path / "run" / "report.html").exists()
    done = crystal(["report", "run", "--json"], tmp_path)
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert said["output"] == "run/report.html"
    assert said["bytes"] == (tmp_path / "run" / "report.html").stat().st_size
    first = (tmp_path / "run" / "report.html").read_bytes()
    assert crystal(["report", "run"], tmp_path).returncode == 0
    assert (tmp_path / "run" / "report.html").read_bytes() == first
    (tmp_path / "mine.html").write_text("mine")
    refused = crystal(["report", "run", "-o", "mine.html"], tmp_path)
    assert refused.returncode == 2
    assert (tmp_path / "mine.html").read_text() == "mine"
    none = crystal(["report", "nothing"], tmp_path)
    assert none.returncode == 2
    assert "nothing: is not a run folder" in none.stderr


PLUGIN = '''
from dataclasses import dataclass
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.contracts.workflow import Shown

@dataclass(frozen=True)
class Options:
    pass

def sections(run):
    from crystalcli.contracts.sections import Axis, Note, Plot, Section, Series, numbers
    if run.report.get("raises"):
        raise KeyError("volume")
    rows = run.table("curve.csv")
    series = [Series("", numbers(rows["volume"]), numbers(rows["energy"]), "line")]
    return [Section("Own words", [Note("hello <b>"), Plot("E(V)", Axis("V (Å³)"), Axis("E (eV)"), series)])]

@hookimpl
def crystal_parts():
    return [Workflow(name="own", summary="own", options=Options, prepare=lambda r, h: None,
                     show=lambda r: Shown([]), plan=lambda d: Shown([]), sections=sections)]
'''  # fmt: skip


@pytest.mark.parametrize("raises", [False, True])
def test_a_workflow_of_a_plugin_brings_its_own_sections(tmp_path: Path, raises: bool) -> None:
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    run = made_runs.folder(tmp_path / "run", "own", {"raises": raises, "deep": {"a": {"b": 1.5}}})
    (run / "curve.csv").write_text("volume,energy\n" + "".join(f"{10 + k},{(k - 5) ** 2}\n" for k in range(11)))
    env = os.environ | {"CRYSTAL_PLUGINS": str(tmp_path / "own.py")}
    words = [sys.executable, "-m", "crystalcli", "report", str(run)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    found = Seen((run / "report.html").read_text(encoding="utf-8"))
    text = " ".join(found.words)
    assert ("Own words" in text) is not raises
    assert "What was asked" in text
    if raises:
        assert "KeyError: 'volume'" in done.stderr
        assert "curve.csv" in text
        assert "1.5" in text
    else:
        assert "hello <b>" in text
        assert found.data["plots"][0]["title"] == "E(V)"


def test_a_run_of_a_workflow_that_nobody_has_is_shown_as_it_is(tmp_path: Path) -> None:
    run = made_runs.folder(tmp_path / "run", "gone", {"mean": 1.25, "by": {"x": {"n": 3}}, "list": [1, 2]})
    (run / "rows.csv").write_text("id,value [eV]\na,1\nb,2\n")
    (run / "boxes" / "one").mkdir(parents=True)
    ase.io.write(run / "boxes" / "one" / "glass.extxyz", ase.build.bulk("Si"))
    made = page.page([run])
    found = Seen(made.text)
    text = " ".join(found.words)
    assert "no workflow 'gone' is installed" in made.problems[0]
    assert all(w in text for w in ("1.25", "rows.csv", "value [eV]", "glass.extxyz of each", "1, 2"))
    assert found.data["structures"][0]["shown"][0]["id"] == "one"


def test_components_of_vectors_and_places_are_read(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 10)
    atoms = made_runs.small_cache.crystals(10)[3]
    name = RunFiles(run).table("predictions-test.csv")["id"][3]
    moved = np.random.default_rng(4).normal(size=(len(atoms), 3))
    heads = [f"r_{a} {w} [Å]" for a in "xyz" for w in ("true", "predicted")]
    pairs = np.stack([atoms.positions + moved, atoms.positions], axis=2).reshape(len(atoms), 6)
    rows = [[name, k, *map(repr, row)] for k, row in enumerate(pairs.tolist())]
    made_runs.write_table(run / "predictions-test-sites.csv", ["id", "site", *heads], rows)
    files = RunFiles(run)
    values = predicted.of(files, ["e", "r"])["r"]
    assert list(values.true) == ["_x", "_y", "_z"]
    assert values.unit == "Å"
    assert len(values.sites) == len(atoms)
    away = values.from_start(files.inputs([name]))
    assert np.allclose(np.stack(list(away.true.values()), axis=1), moved, atol=1e-6)
    assert np.allclose(np.stack(list(away.predicted.values()), axis=1), 0.0, atol=1e-6)
    assert away.worst() == pytest.approx({name: np.abs(moved).mean()}, abs=1e-6)
    report = json.loads((run / "report.json").read_text())
    report["test"]["r"] = {**report["test"]["e"], "unit": "Å", "quantity": {"name": "r", "meaning": "position"}}
    (run / "report.json").write_text(json.dumps(report))
    shown = next(s for s in seen(run).data["structures"] if len(s["shown"][0]["frames"]) > 1)["shown"][0]
    assert [f["t"] for f in shown["frames"]] == ["start", "predicted", "true"]
    true = np.frombuffer(base64.b64decode(shown["frames"][2]["r"]), "<i2").reshape(-1, 3) * shown["frames"][2]["s"]
    assert np.allclose(true, atoms.positions + moved, atol=1e-3)


def test_classes_have_a_table_of_confusions_though_their_names_are_numbers(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 6)
    heads = ["id", "phase true", "phase predicted", "phase P(0)", "phase P(1)"]
    rows = [[f"c{k}", t, p, "0.5", "0.5"] for k, (t, p) in enumerate(["00", "01", "11", "11", "10", ("", "1")])]
    made_runs.write_table(run / "predictions-test.csv", heads, rows)
    report = json.loads((run / "report.json").read_text())
    errors = {"n": 5, "accuracy": 0.6, "log_loss": 0.7}
    row = {"unit": "", "quantity": {"name": "phase", "classes": 2}, "model": errors, "compared": {}, "baselines": {}}
    (run / "report.json").write_text(json.dumps({**report, "test": {"phase": row}}))
    found = seen(run)
    text = " ".join(found.words)
    assert "Confusion, test part true \\ predicted 0 1 0 1 1 1 1 2" in " ".join(text.split())
    assert "accuracy" in text
    assert not [p for p in found.data["plots"] if p["title"].startswith("Predicted")]


def test_reliability_is_the_root_mean_square_of_tenths(tmp_path: Path) -> None:
    run = made_runs.training(tmp_path / "run", 300)
    values = predicted.of(RunFiles(run), ["e"])["e"]
    sigma, error = values.sigma[""], values.predicted[""] - values.true[""]
    order = np.argsort(sigma, kind="stable")
    plots = {p["title"]: p for p in seen(run).data["plots"]}
    one = plots["Reliability of σ by its size"]["series"][0]
    assert one["x"] == pytest.approx([np.sqrt((sigma[g] ** 2).mean()) for g in np.array_split(order, 10)], rel=1e-6)
    assert one["y"] == pytest.approx([np.sqrt((error[g] ** 2).mean()) for g in np.array_split(order, 10)], rel=1e-6)
    (bars,) = plots["Errors"]["series"]
    assert sum(np.frombuffer(base64.b64decode(bars["y"]), "<f4")) == 300
    within = float((np.abs(error) <= sigma).mean())
    assert f"within 1σ {within:.1%}" in plots["Reliability of intervals"]["caption"]


def test_those_that_did_not_converge_come_first_and_force_limits_are_drawn(tmp_path: Path) -> None:
    run = made_runs.relaxing(tmp_path / "run", converged="TTFT", moved=(0.1, 0.4, 0.01, 0.2))
    data = seen(run).data
    assert [s["id"] for s in data["structures"][0]["shown"]] == ["r2", "r1", "r3", "r0"]
    plots = {p["title"]: p for p in data["plots"]}
    assert plots["Force left, over moves"]["guides"][0]["at"] == 0.02
    gained = {i: y for s in plots["Energy gained, over steps"]["series"] for i, y in zip(s["ids"], s["y"], strict=True)}
    assert gained == pytest.approx({f"r{k}": 1e3 * (k + 1) / 2 for k in range(4)})  # k + 1 eV of two atoms


def test_energies_of_dynamics_are_per_atom_and_frames_have_their_time(tmp_path: Path) -> None:
    run = made_runs.moving(tmp_path / "run", steps=40, atoms=2)
    data = seen(run).data
    plots = {p["title"]: p for p in data["plots"]}
    total = next(s for s in plots["Change of energies since the start"]["series"] if s["name"] == "total")
    y = np.frombuffer(base64.b64decode(total["y"]), "<f4")
    assert y == pytest.approx([1e3 * 0.01 * k / 2 for k in range(40)], rel=1e-5)
    assert [f["t"] for f in data["structures"][0]["shown"][0]["frames"]][1] == "step 10, 0.01 ps, 310 K"


def test_settings_that_are_the_same_are_not_listed(tmp_path: Path) -> None:
    runs = [made_runs.training(tmp_path / name, 20) for name in ("a", "b")]
    assert "The runs have the same settings." in " ".join(seen(*runs).words)


def test_errors_that_a_head_counts_in_another_unit_are_shown_in_it(tmp_path: Path) -> None:
    """Angles that are learned in rad and counted in degrees."""
    run = made_runs.training(tmp_path / "run", 20)
    model = {"n": 5, "mae": 12.5, "rmse": 14.5, "r2": None, "bias": 1.0, "max_error": 20.0, "factor": 57.3, "unit": "°"}
    row = {"quantity": {"name": "phase"}, "unit": "rad", "model": model, "baselines": {}, "compared": {}}
    (run / "report.json").write_text(json.dumps({"test": {"phase": row}}))
    result = train_sections.sections(RunFiles(run))[0]
    cards = [c.value for b in result.blocks if isinstance(b, Numbers) for c in b.cards]
    assert cards == ["12.5 °", "14.5 °"]
    (table,) = (b for b in result.blocks if isinstance(b, Table))
    assert list(table.heads)[1:3] == ["MAE (°)", "RMSE (°)"]


def test_a_series_of_folds_has_the_splits_and_leaks_of_every_fold(tmp_path: Path) -> None:
    """They are lists of lists: a page that read them as those of one run said that there are no leaks."""
    run = made_runs.training(tmp_path / "run", 20)
    model = {"n": 40, "mae": {"mean": 2.0, "std": 0.5}, "runs": 2}
    row = {"quantity": {"name": "gap"}, "unit": "eV", "model": model, "baselines": {}, "compared": {}}
    leak = {"parts": ["train", "test"], "kind": "formula", "n": 7, "example": "x"}
    splits = [{"how": f"fold {k} of 2", "sizes": {"train": 16 + k, "val": 2, "test": 20}} for k in range(2)]
    for leaks, told in (([[], [leak]], True), ([[], []], False)):
        said = {"test": {"gap": row}, "split": splits, "leaks": leaks}
        (run / "report.json").write_text(json.dumps(said))
        blocks = train_sections.sections(RunFiles(run))[0].blocks
        (facts,) = (b for b in blocks if isinstance(b, Facts))
        expected = [f"{16 + k} train, 2 val, 20 test; fold {k} of 2" for k in range(2)]
        assert [value for name, value in facts.rows if name == "split"] == expected
        tables = [b for b in blocks if isinstance(b, Table) and b.title == "Leaks"]
        assert [t.rows for t in tables] == ([[["train and test of fold 1", "formula", "7", "x"]]] if told else [])
        assert any("No leaks" in b.text for b in blocks if isinstance(b, Note)) is not told
