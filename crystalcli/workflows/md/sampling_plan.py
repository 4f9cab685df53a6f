"""What fixes a run of molecular dynamics, as plain values that survive a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crystalcli.vocabulary.pictures import DEFAULT

GUARD_EVERY = 10
"""Steps between two looks at every structure; see :mod:`crystalcli.workflows.md.sampling_guards`."""
CHUNK_FRAMES, CHUNK_NUMBERS = 100, 4_000_000
"""A chunk has so many frames, fewer where they hold more numbers than that."""


@dataclass(frozen=True)
class SamplingPlan:
    """Everything that fixes a run.

    Args:
        structures: files, folders, globs, lists.
        potential: model file, run folder or calculator's name; with its options and, for a model, precision.
        sampler: name, with its options.
        temperature: program as :mod:`crystalcli.mechanisms.dynamics.temperature_program` writes it, lengths in steps.
        steps: of the whole run.
        dt: fs.
        velocities: auto (those of the file, else random), random, or file.
        log_every, frame_every: steps between two rows of the log, two frames.
        drift_every: steps over which the drift of the conserved quantity is taken.
        max_drift: meV/atom/ps beyond which a structure is stopped; 0: never.
        max_sigma: meV/atom; an ensemble's spread beyond which frames are flagged; 0: none.
        stop_on_sigma: consecutive log rows beyond ``max_sigma`` after which a structure is stopped; 0: never.
        analysis: write distributions and pictures at the end.
        pictures: their formats, see :mod:`crystalcli.vocabulary.pictures`.
        analysis_from: ps from which on they are taken; -1: the second half.
        output: run folder.
        latest: let the link ``latest`` beside it lead to it when it is finished.
        checkpoint_every: seconds between two restart records.
        config: table for the folder's config.toml.
    """

    structures: tuple[str, ...]
    potential: str
    sampler: str
    temperature: str
    steps: int
    output: str
    dt: float = 1.0
    potential_options: Mapping[str, Any] = field(default_factory=dict)
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    velocities: str = "auto"
    log_every: int = 10
    frame_every: int = 100
    drift_every: int = 1000
    max_drift: float = 0.0
    max_sigma: float = 0.0
    stop_on_sigma: int = 0
    analysis: bool = True
    analysis_from: float = -1.0
    pictures: str = DEFAULT
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    checkpoint_every: float = 20.0
    latest: bool = False
    overwrite: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def chunk_steps(self, atoms: int) -> int:
        """Steps of one chunk for ``atoms`` in all."""
        frames = max(1, min(CHUNK_FRAMES, CHUNK_NUMBERS // max(1, 9 * atoms)))
        return frames * self.frame_every

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SamplingPlan:
        """Build from the dictionary of :meth:`to_json`."""
        return cls(**{**data, "structures": tuple(data["structures"])})
