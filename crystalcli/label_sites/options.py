"""What ``crystal label-sites`` asks: every option once, for flags, TOML and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option

WORDS = ("bond_valence", "effective_coordination", "ewald_potential", "frequency")
ENDINGS = (".extxyz", ".xyz")
"""Of the file that is written."""


@dataclass(frozen=True, kw_only=True)
class LabelSitesOptions:
    """Everything that ``crystal label-sites`` asks."""

    inputs: tuple[str, ...] = common.inputs("files, folders, quoted globs or lists")
    output: Path = common.output(Path("labelled.extxyz"), "extended XYZ to write")
    label: tuple[str, ...] = option((), f"{', '.join(WORDS)}; several times for several", words=WORDS)
    potential: str = option("", "for frequencies: model file, run folder, or name of a calculator", names="calculator")
    charges: str = option("", "column with the charges for ewald_potential, e; default: guessed oxidation states")
    cif_column: str = common.cif_column()
    id_column: str = common.id_column()
    elements: str = option("", "label the sites of these only: Si,O; default all")

    @property
    def labels(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(self.label))

    @property
    def symbols(self) -> tuple[str, ...]:
        """``elements``, one by one."""
        return tuple(e.strip() for e in self.elements.split(",") if e.strip())
