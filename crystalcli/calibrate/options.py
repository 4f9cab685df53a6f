"""What ``crystal calibrate`` asks: every option once, for flags, TOML and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError

LEVELS = "0.68,0.9,0.95"


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """Everything that ``crystal calibrate`` asks.

    Raises:
        UsageError: levels for a method that has no intervals.
    """

    model: Path = common.model()
    inputs: tuple[str, ...] = common.inputs(
        "labelled structures that trained nothing: files, folders, quoted globs, lists or caches"
    )
    output: Path | None = common.output(None, "model file to write; default NAME-calibrated.safetensors")
    method: Literal["scale", "conformal"] = option(
        "conformal", "scale: sigma times a factor; conformal: intervals of given levels, too"
    )
    levels: str = option(LEVELS, "chances with which intervals hold the truth")
    labels: tuple[str, ...] = common.labels()
    cif_column: str = common.cif_column()
    id_column: str = common.id_column()
    skip_known: bool = option(False, "leave out structures that trained or validated the model")
    batch_size: int = common.batch_size()
    device: str = common.device()
    threads: int = common.threads()

    def __post_init__(self) -> None:
        if self.levels != LEVELS and self.method != "conformal":
            raise UsageError(f"--levels is for the intervals of --method conformal, and {self.method} has none")

    @property
    def chances(self) -> tuple[float, ...]:
        """``levels`` as numbers, each once.

        Raises:
            UsageError: they are none.
        """
        try:
            return tuple(dict.fromkeys(float(word) for word in self.levels.split(",")))
        except ValueError:
            said = f"levels '{self.levels}' must be numbers between 0 and 1, e.g. 0.68,0.9,0.95"
            raise UsageError(said) from None
