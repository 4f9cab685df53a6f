"""The life of a prediction's files: one program at a time, nothing overwritten unasked, what was killed is done again.

The table comes first and appears whole; failures, pictures and further tables follow. While they do, a small hidden
file beside the table says which command is at it, so that the same command, given again after a kill or a full disk,
takes the table that it left for its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crystalcli.engine.run import files, locks
from crystalcli.engine.run.run_folder import sha256


class Life:
    """The files of one prediction.

    Args:
        table: what appears first; none if that goes to stdout.
        others: files named by the user that must not be there, either.
        command: what was asked for, as plain values: the same values are the same command.
        overwrite: replace what is there.

    Raises:
        UsageError: one of them is there, and is not what this command left unfinished.
    """

    def __init__(
        self, table: Path | None, others: Sequence[Path], command: Mapping[str, Any], *, overwrite: bool
    ) -> None:
        self.table, self.others, self.overwrite = table, tuple(others), overwrite
        self._command = hashlib.sha256(json.dumps(command, sort_keys=True).encode()).hexdigest()
        self._mark = None if table is None else table.with_name(f".{table.name[:200]}.unfinished")
        self.refuse_to_overwrite()

    def refuse_to_overwrite(self) -> None:
        """Raise UsageError if there is something that this command may not replace."""
        if not self._left_by_this_command():
            for path in filter(None, (self.table, *self.others)):
                files.refuse_to_overwrite(path, self.overwrite)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the right to write; what killed programs left half done is removed.

        Raises:
            EnvironmentProblem: another program writes there. UsageError: as the constructor.
        """
        first = next(filter(None, (self.table, *self.others)), None)
        if first is None:
            yield
            return
        with locks.locked(first):
            self.refuse_to_overwrite()
            if self._mark is not None:
                files.clear_dead(self._mark)
            yield
            if self._mark is not None:
                files.remove(self._mark)

    def mark(self, written: Path) -> None:
        """Say that the table, written so far under another name, is this command's and not all that will come."""
        if self._mark is not None:
            said = {"command": self._command, "table": sha256(written)}
            files.write_text(self._mark, json.dumps(said) + "\n")

    def _left_by_this_command(self) -> bool:
        if self._mark is None or self.table is None:
            return False
        try:
            said = json.loads(self._mark.read_text(encoding="utf-8"))
            return bool(said["command"] == self._command and said["table"] == sha256(self.table))
        except (OSError, ValueError, KeyError, TypeError):
            return False
