"""Makes the models that come with crystal, and their cards: python models/make.py [--work FOLDER] (or: make models).

From the data set mp-formation-energy below $CRYSTAL_DATA: graphs, training, calibration on the validation part, errors
on the test part and on crystals of other kinds, all by the commands that a user would type. It goes on after a stop; on
the same machine, with the same versions, the same bytes come out. Then commit plugins/crystal_models.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cards import card

from crystalcli.cli.main import run
from crystalcli.engine.model.model_head import VIEW, view_text

HERE = Path(__file__).parent
SET = "mp-formation-energy"
TARGETS = "formation_energy_per_atom:eV/atom,band_gap:eV"
PARTS = ("train", "val", "test")
ELSEWHERE = {
    "al-o": (f"{SET}/al_o_phases.csv.gz", TARGETS),
    "ti-zr-hf-zn-n": (f"{SET}/ti-zr-hf_zn_n_phases.csv.gz", TARGETS),
    "wbm": (
        "wbm-formation-energy/test.csv.gz",
        "formation_energy_per_atom=corrected_formation_energy_per_atom:eV/atom",
    ),
}
"""Crystals of other kinds than those of the test part: file, labels."""
LEVELS = "0.5,0.68,0.9,0.95"


@dataclass(frozen=True)
class Training:
    """One network and the models that it is.

    Args:
        name: of its folders. models: name → the target that it shows. graphs, train: flags of the commands.
    """

    name: str
    models: dict[str, str]
    graphs: str
    train: str


RECIPE = (
    "--optimizer muon --weight-decay 0.02 --batch-size 64 --ema 0.998 --clip 1 --noise learned --noise-beta 1"
    " --ensemble 2 --fractions 0.9,0.05,0.05"
)
TRAININGS = (
    Training(
        "formation-energy",
        {"formation-energy": "formation_energy_per_atom"},
        graphs="--featurizer symmetry",
        train=f"--arch threebody --featurizer symmetry --angle-channels 0 {RECIPE} --lr 0.008 --epochs 140",
    ),
    Training(
        "band-gap",
        {"band-gap": "band_gap"},
        graphs="--featurizer symmetry",
        train=f"--from ../formation-energy/run --new-head {RECIPE} --lr 0.004 --epochs 30",
    ),
)


def crystal(line: str, folder: Path, said: list[str]) -> None:
    """Run a command in ``folder``, remember it, and end where it fails."""
    said.append(f"crystal {line}")
    print(f"$ crystal {line}", flush=True)
    with contextlib.chdir(folder):
        code = run(shlex.split(line))
    if code:
        sys.exit(f"crystal ended with {code}; what is done stays in {folder}")


def made(training: Training, data: Path, work: Path, more: str) -> tuple[Path, list[str]]:
    """The calibrated model of a training, and the commands that made it."""
    work.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    files = {part: (f"{SET}/{part}.csv.gz", TARGETS) for part in PARTS} | ELSEWHERE
    link = work / "data"
    if not link.exists():
        link.symlink_to(data.resolve(), target_is_directory=True)  # so that no path of this machine is in a file
    for part, (file, labels) in files.items():
        crystal(f"build-graphs data/{file} --targets {labels} -o {part}.h5 {training.graphs}".rstrip(), work, said)
    targets = " ".join(f"--target {t}" for t in training.models.values())
    line = f"train --train train.h5 --test test.h5 {targets} {training.train} {more} --no-compare --threads 1 -o run"
    crystal(" ".join(line.split()), work, said)
    crystal(f"calibrate run val.h5 --levels {LEVELS} --threads 1 -o model.safetensors --overwrite", work, said)
    return work / "model.safetensors", said


def install(training: Training, model: Path, said: Sequence[str], into: Path, data: Path) -> None:
    """Put the model and its cards where the package has them; a network of several targets lies beside their names."""
    shared = len(training.models) > 1
    home = into / (training.name if shared else next(iter(training.models)))
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, home / model.name)
    for name, target in training.models.items():
        folder = into / name
        folder.mkdir(exist_ok=True)
        file = folder / model.name
        (folder / VIEW).unlink(missing_ok=True)
        if shared:
            file = folder / VIEW
            text = view_text(f"../{training.name}/{model.name}", _sha256(home / model.name), [target])
            file.write_text(text, encoding="utf-8")
        found = {"sha256": _sha256(file), **card(model, target, model.parent, said, _hashes(data))}
        (folder / "card.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{name}: {file}", flush=True)


def _hashes(data: Path) -> dict[str, str]:
    files = [f"{SET}/{part}.csv.gz" for part in PARTS] + [file for file, _ in ELSEWHERE.values()]
    return {file: _sha256(data / file) for file in files}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(words: Sequence[str] | None = None, trainings: Sequence[Training] = TRAININGS) -> None:
    """Make the models of ``trainings``."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CRYSTAL_DATA"), help="default: $CRYSTAL_DATA")
    parser.add_argument("--work", type=Path, default=Path("runs/models"), help="graphs and runs (default: runs/models)")
    parser.add_argument("--into", type=Path, default=HERE.parent / "plugins" / "crystal_models", help="the package")
    parser.add_argument("--train", default="", metavar="FLAGS", help="further flags of crystal train, for a trial")
    wish: Any = parser.parse_args(words)
    if wish.data is None or not (wish.data / SET).is_dir():
        parser.error(f"no folder {SET} there; CRYSTAL_DATA, or --data, names the folder of the data sets")
    for training in trainings:
        model, said = made(training, wish.data, wish.work / training.name, wish.train)
        install(training, model, said, wish.into, wish.data)


if __name__ == "__main__":
    main()
