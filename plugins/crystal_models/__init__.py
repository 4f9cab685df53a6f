"""Trained models that come with the program; loads no torch. ``models/make.py`` makes their files and cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part, ReadyModel

HERE = Path(__file__).parent
REFERENCES = (
    "A. Jain et al., APL Mater. 1, 011002 (2013), doi:10.1063/1.4812323",
    "A. Dunn et al., npj Comput. Mater. 6, 138 (2020), doi:10.1038/s41524-020-00406-3",
)
"""Of the data."""


def _model(name: str, summary: str) -> ReadyModel:
    return ReadyModel(
        name=name,
        summary=summary,
        folder=HERE / name,
        install="pip install --force-reinstall --no-deps crystal-graphs",
        references=REFERENCES,
    )


MODELS = (
    _model("formation-energy", "formation energy per atom of a crystal, eV/atom"),
    _model("band-gap", "band gap of a crystal, eV"),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the models."""
    return MODELS
