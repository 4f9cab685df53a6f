"""The families of parts, and the record of each. Importing this loads no torch."""

from __future__ import annotations

from crystalcli.contracts.records import (
    Architecture,
    Calculator,
    Featurizer,
    Head,
    Logger,
    Part,
    Pretrained,
    Reader,
    ReadyModel,
    Relaxer,
    Sampler,
    Source,
)
from crystalcli.contracts.workflow_record import Workflow

FAMILIES: dict[str, type[Part]] = {
    "featurizer": Featurizer,
    "architecture": Architecture,
    "head": Head,
    "reader": Reader,
    "source": Source,
    "calculator": Calculator,
    "pretrained": Pretrained,
    "model": ReadyModel,
    "relaxer": Relaxer,
    "sampler": Sampler,
    "logger": Logger,
    "workflow": Workflow,
}
"""Families of parts, by the word used in ``crystal plugins list``."""
