"""Trainings as tests ask for them: parts, a recipe and options; run in this process, by the host of all runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.host import life
from crystalcli.engine.run.stopping import StopSignal
from crystalcli.train.choice import architecture
from crystalcli.train.options import TrainOptions
from crystalcli.train.workflow import TRAIN

PARTS = ("arch", "head", "featurizer")


@dataclass(frozen=True)
class Trained:
    """What came of a training, or of several."""

    folder: Path
    data: Mapping[str, Any]
    before: bool

    @property
    def model(self) -> Path:
        return Path(self.data["model"])


def asked(output: Path | str, **options: Any) -> Request:
    """A training with a head named 'crystal'; see :func:`changed`."""
    usual: dict[str, Any] = {"arch": "cgcnn", "head": "crystal", "recipe": Recipe()}
    return changed(Request(TrainOptions(no_compare="compare" not in options)), output=output, **usual | options)


def changed(request: Request, **changes: Any) -> Request:
    """The same with other options; ``NAME_options`` are those of the part that NAME names.

    Args:
        request: what is asked.
        changes: options; ``recipe`` stands for those of a recipe, ``output`` for the folder.
    """
    more = dict(changes)
    path = Path(more.pop("output", request.path))
    given = {n: more.pop(f"{n}_options") for n in PARTS if f"{n}_options" in more}
    if "recipe" in more:
        more = {**asdict(more.pop("recipe")), **more}
    for name in ("caches", "train", "val", "test"):
        if name in more:
            more[name] = tuple(map(Path, more[name]))
    for name in ("from_", "split_file"):
        if more.get(name):
            more[name] = Path(more[name])
    if more.get("compare"):
        more["no_compare"] = False
    options = replace(request.options, **more)
    names = {"arch": options.arch, "head": options.head}
    names["featurizer"] = options.featurizer or architecture(Request(options)).featurizer if given else ""
    parts = {n: replace(c, name=names[n] or c.name) for n, c in request.parts.items()}
    parts |= {n: Chosen(names[n], o) for n, o in given.items()}
    return Request(options, parts, path)


def train(
    request: Request,
    host: Host | None = None,
    stop: StopSignal | None = None,
    *,
    overwrite: bool = False,
    **options: Any,
) -> Trained:
    """Train; ``options`` say how many."""
    done = life.run(TRAIN, changed(request, **options), host or Host(), stop, overwrite=overwrite)
    return Trained(done.path, done.data, done.before)


def resume(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    host: Host | None = None,
    stop: StopSignal | None = None,
    *,
    end: bool = False,
) -> Trained:
    """Go on with a run, or end it."""
    done = life.resume(TRAIN, path, changes or {}, host or Host(), stop, end=end)
    return Trained(done.path, done.data, done.before)


def describe(request: Request, host: Host | None = None) -> Mapping[str, Any]:
    """The plan."""
    return life.describe(TRAIN, request, host or Host())
