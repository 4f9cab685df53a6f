"""A one-file plugin for the tests of the commands: parts with all kinds of options, and some that collide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Architecture, Head, Recipe


@dataclass(frozen=True)
class NetOptions:
    depth: int = option(3, "layers", min=1, max=20)
    rate: float = option(0.5, "a rate [of something]", unit="1/Å", min=0.0)
    outer: bool = option(True, "apply it outside")
    kind: Literal["plain", "fancy"] = option("plain", "which one")
    tag: str = option("none", "free text")


@dataclass(frozen=True)
class OutOptions:
    pool: Literal["average", "max"] = option("average", "pooling")
    hidden: int = option(16, "width", min=1)


@dataclass(frozen=True)
class ClashOptions:
    depth: int = option(9, "depth of the head", min=1)
    seed: int = option(5, "seed of the head", min=0)


def nothing(*_: Any) -> Any:
    raise AssertionError("nothing is built here")


@hookimpl
def crystal_parts() -> list[Any]:
    return [
        Architecture(
            name="net",
            summary="a net",
            options=NetOptions,
            build=nothing,
            featurizer="cgcnn",
            head="out",
            partner_options={"out": {"pool": "max"}},
            recipe=Recipe(epochs=7),
        ),
        Architecture(name="plain-net", summary="without options", build=nothing, featurizer="cgcnn", head="out"),
        Head(name="out", summary="a head", options=OutOptions, build=nothing),
        Head(name="clash", summary="a head whose flags collide", options=ClashOptions, build=nothing),
    ]
