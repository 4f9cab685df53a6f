"""Some targets of a model file shown alone: a small JSON file that names the other and what is shown. Loads no torch.

A training of several targets is one network. So that each target can be had by a name of its own without its weights
lying there twice, ``model.json`` says which file they are in, the SHA-256 of that file, and the targets. Whoever reads
a model reads such a file as a model of these targets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystalcli.engine.run import files
from crystalcli.engine.run.run_folder import sha256
from crystalcli.vocabulary.errors import InputError, UsageError, did_you_mean

VIEW = "model.json"
"""Name of such a file."""
FORMAT, VERSION = "crystal-model-view", 1
BY_TARGET = ("target_mean", "target_scale")
"""Statistics that are a number for every target."""
LONGEST = 2**20
"""Bytes of such a file, at most."""


@dataclass(frozen=True)
class View:
    """Some targets of a model.

    Args:
        path: of the view. file: of the model. targets: names of those that are shown, in the order of the model.
    """

    path: Path
    file: Path
    targets: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> View:
        """The view of a file; that of the model is beside it or further off, as the view says.

        Raises:
            InputError: no view, or its model is not there or another.
        """
        try:
            text = path.read_bytes()[:LONGEST]
            found: Any = json.loads(text)
            said, version = found["format"], found["version"]
            file, hashed = (path.parent / str(found["model"])).resolve(), str(found["sha256"])
            targets = tuple(found["targets"])
        except OSError as problem:
            raise files.environment_problem(problem, path) from problem
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            raise InputError(f"not a crystal model: {type(problem).__name__}: {problem}", path=path) from problem
        if said != FORMAT or version != VERSION or not targets or not all(isinstance(t, str) for t in targets):
            raise InputError("not a crystal model, nor one that shows targets of another", path=path)
        if not file.is_file():
            raise InputError(f"shows targets of {file}, which is not there", path=path)
        if (there := sha256(file)) != hashed:
            raise InputError(
                f"its weights are damaged or were changed: sha256 {there[:12]}…, not {hashed[:12]}…", path=file
            )
        return cls(path, file, targets)

    def head(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """What the head of a model file of these targets alone would say, of that of the whole.

        Raises:
            UsageError: no such target.
        """
        found = dict(whole) | {"spec": only(whole["spec"], self.targets)}
        if "members" in whole:
            found["members"] = [only(m, self.targets) for m in whole["members"]]
        return found | {k: _kept(whole[k], self.targets) for k in ("sigma", "aleatoric") if k in whole}


def written(model: str, hashed: str, targets: Sequence[str]) -> str:
    """Text of a view: of a file, from its folder, with this SHA-256."""
    found = {"format": FORMAT, "version": VERSION, "model": model, "sha256": hashed, "targets": list(targets)}
    return json.dumps(found, indent=1) + "\n"


def only(spec: Mapping[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    """The spec of a model, as plain values, with some of its targets.

    Raises:
        UsageError: no such target.
    """
    there = [q["name"] for q in spec["targets"]]
    if missing := [t for t in targets if t not in there]:
        raise UsageError(f"the model has no target '{missing[0]}'; {did_you_mean(missing[0], there)}")
    statistics = dict(spec["statistics"])
    statistics |= {k: _kept(statistics[k], targets) for k in BY_TARGET}
    statistics["residual"] = [t for t in statistics.get("residual", ()) if t in targets]
    shown = [q for q in spec["targets"] if q["name"] in targets]
    baselines = _kept(spec["baselines"], targets)
    return dict(spec) | {"targets": shown, "statistics": statistics, "baselines": baselines}


def _kept(values: Mapping[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in targets}
