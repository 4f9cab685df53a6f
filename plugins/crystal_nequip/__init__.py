"""NequIP as parts; loads no torch. Architectures ``nequip``, ``nequip-tiny`` and ``nequip-paper``, one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_nequip.options import NequipOptions, PaperOptions, TinyOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Architecture, Part, Pretrained, Recipe, Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from crystalcli.contracts.modules import ArchitectureModule
    from crystalcli.contracts.pretrained import Converted

NEQUIP_PAPER = "S. Batzner et al., Nat. Commun. 13, 2453 (2022), doi:10.1038/s41467-022-29939-5"
AMORPHOUS_PAPER = "M. Aykol, J. N. Wei, S. Batzner, A. Merchant, E. D. Cubuk, SynS & ML workshop, ICML 2023"
RECIPE = Recipe(optimizer="adam", lr=0.01, batch_size=1, epochs=60, schedule="cosine", ema=0.99)


def _build(
    options: NequipOptions,
    node_dim: int,
    edge_dim: int,  # noqa: ARG001
    statistics: Statistics,
) -> ArchitectureModule:
    from crystal_nequip.architecture import Nequip

    return Nequip(node_dim, options, statistics)


def _architecture(name: str, summary: str, options: type) -> Architecture:
    return Architecture(
        name=name,
        summary=summary,
        options=options,
        build=_build,
        featurizer="radius",
        head="energy",
        partner_options={"energy": {"hidden": 0}},
        recipe=RECIPE,
        gentler=0.05,  # at a fifth one epoch spoils what sevennet-0 knows: docs/results/potentials.md
        requires=frozenset({"smooth-cutoff"}),
        provides=frozenset({"nodes"}),
        references=(NEQUIP_PAPER, AMORPHOUS_PAPER),
    )


NEQUIP = _architecture(
    "nequip", "equivariant messages of scalars, vectors and tensors: accurate from few frames", NequipOptions
)
TINY = _architecture("nequip-tiny", "nequip with scalars and vectors only, at a fifth of its cost", TinyOptions)
PAPER = _architecture(
    "nequip-paper",
    "nequip as in the paper on amorphous solids, wide and even, at 1.6 times its cost",
    PaperOptions,
)

SEVENNET_PAPER = (
    "Y. Park, J. Kim, S. Hwang, S. Han, J. Chem. Theory Comput. 20, 4857 (2024), doi:10.1021/acs.jctc.4c00190"
)
PBE = "PBE and PBE+U as in the Materials Project (MPtrj)"


def _sevennet(name: str, summary: str, file: str, sha256: str, level: str = PBE, word: str = "") -> Pretrained:
    def convert(path: Path) -> Converted:
        from crystal_nequip import sevennet

        return sevennet.convert(path, word)

    return Pretrained(
        name=name,
        summary=summary,
        package="sevenn",
        file=f"pretrained_potentials/{file}",
        install="pip install 'crystal-graphs[sevennet]'",
        sha256=sha256,
        convert=convert,
        licence="MIT",
        level=level,
        references=(SEVENNET_PAPER, NEQUIP_PAPER),
    )


MF = "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth", "81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd"
SEVENNETS = (
    _sevennet(
        "sevennet-0",
        "SevenNet-0 of July 2024, 89 elements",
        "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36",
    ),
    _sevennet(
        "sevennet-l3i5",
        "SevenNet with features up to l = 3, 89 elements; slower, more accurate",
        "SevenNet_l3i5/checkpoint_l3i5.pth",
        "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d",
    ),
    _sevennet("sevennet-mf-0", "SevenNet of two levels of theory, that of PBE, 89 elements", *MF, word="PBE"),
    _sevennet(
        "sevennet-mf-0-r2scan",
        "SevenNet of two levels of theory, that of r2SCAN, 89 elements",
        *MF,
        "r2SCAN of the Materials Project, with PBE beside it",
        "R2SCAN",
    ),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the architectures, and models of others with their weights."""
    return [NEQUIP, TINY, PAPER, *SEVENNETS]
