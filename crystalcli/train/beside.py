"""Architectures trained beside a model, on its data and split: what the report says of the model is measured by them.

Each is a run in the run of the model. What fails in one of them is said and costs the model nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Architecture
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.train.choice import beside, head, options_of
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.errors import CrystalError, Stopped, UsageError


def requests(request: Request) -> list[Request]:
    """The trainings beside that of ``request``.

    Raises:
        UsageError: an architecture that is not there, or is the model's own.
    """
    return [_request(request, name) for name in beside(request)]


def _request(request: Request, name: str) -> Request:
    o: TrainOptions = request.options
    if name == o.arch:
        raise UsageError(f"--compare {name} is the architecture itself")
    part = cast(Architecture, registry().get("architecture", name))
    shared = head(request).name
    options = {**options_of(request, "head"), **part.partner_options.get(shared, {})}
    parts = {**request.parts, "arch": Chosen(name), "head": Chosen(shared, options)}
    alone = replace(o, arch=name, compare=(), no_compare=True, baseline=())
    return Request(alone, parts, request.path / name)


def train(run: Run, found: Sequence[Request], prepare: Callable[[Request, Host], Work]) -> dict[str, Mapping[str, Any]]:
    """Train all of them, one after another; reports by architecture.

    Raises:
        Stopped: asked to stop; what was reached is kept.
    """
    reports: dict[str, Mapping[str, Any]] = {}
    for one in found:
        name = one.path.name
        run.reporter.say(f"beside the model: {name} -> {one.path}")
        try:
            reports[name] = run.child(
                "train",
                name,
                opt.to_dict(one.options),
                one.parts,
                reporter=_named(run.reporter, name),
                prepare=prepare,
            )
        except Stopped as problem:
            raise Stopped(f"{problem.reason.split(';')[0]} of {name}; go on with: {run.again}") from None
        except CrystalError as problem:
            run.reporter.warn(f"{name}, trained beside the model: {problem}")
            reports[name] = {"skipped": problem.reason}
    return reports


def _named(host: Host, name: str) -> Host:
    """Says everything with the name before it."""
    return replace(
        host.within(name),
        say=lambda text: host.say(f"{name}: {text}"),
        warn=lambda text: host.warn(f"{name}: {text}"),
    )


def rows(reports: Mapping[str, Mapping[str, Any]], target: str) -> dict[str, Mapping[str, Any]]:
    """Test errors of ``target`` by architecture, or why there are none."""
    found = {}
    for name, report in reports.items():
        row = report if "skipped" in report else report["test"][target]["model"]
        if row is not None:
            found[name] = row
    return found
