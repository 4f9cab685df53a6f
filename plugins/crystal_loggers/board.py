"""Numbers as event files of TensorBoard, by the writer that comes with torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Board:
    """Event files in a folder.

    Args:
        folder: of this run; TensorBoard shows those of many beside each other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None
        self.last = -1

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Write them; after a run went back to its last state, what came later is no longer shown."""
        if self.writer is None or step < self.last:
            from torch.utils.tensorboard import SummaryWriter

            self.close()
            self.writer = SummaryWriter(str(self.folder), purge_step=step)
        self.last = step
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Close the files."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None
