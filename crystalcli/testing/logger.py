"""What every logger must do."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Logger
from crystalcli.contracts.workflow import Log

ROWS = (
    (4, {"train_loss": 0.5, "val/energy/mae": 0.25}),
    (8, {"train_loss": 0.25}),
    (12, {"train_loss": 0.125, "new": 1.0}),
)
"""Steps and numbers; not every row has all of them, and later ones may have more."""


class LoggerContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest."""

    part: ClassVar[Logger]
    options: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        if self.part.package and importlib.util.find_spec(self.part.package) is None:
            pytest.skip(f"not run: {self.part.install}")

    def built(self, folder: Path) -> Log:
        """One for the run in ``folder``."""
        chosen: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        return self.part.build(chosen, folder)

    def test_takes_numbers(self, tmp_path: Path) -> None:
        """Rows with more and with fewer numbers, then the end, which may come without any row."""
        log = self.built(tmp_path)
        for step, values in ROWS:
            log.values(step, values)
        log.close()
        self.built(tmp_path / "none").close()

    def test_goes_on(self, tmp_path: Path) -> None:
        """A run that was killed goes back to its last state: the same step comes again, from another process or not."""
        for rows in (ROWS, ROWS[1:], ROWS[:2]):
            log = self.built(tmp_path)
            for step, values in rows:
                log.values(step, values)
            log.values(*rows[0])
            log.close()

    def test_says_nothing(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Standard output is the command's, and may be one object of JSON."""
        log = self.built(tmp_path)
        log.values(*ROWS[0])
        log.close()
        assert capfd.readouterr().out == "", "prints to stdout"

    def test_writes_where_it_may(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Files are those that its record names, in the folder of the run, and not in the current one."""
        current, folder = tmp_path / "current", tmp_path / "run"
        for one in (current, folder):
            one.mkdir()
        monkeypatch.chdir(current)
        log = self.built(folder)
        log.values(*ROWS[0])
        log.close()
        assert not list(current.iterdir()), "writes into the current folder"
        named = {path for name in self.part.writes for path in folder.glob(name)}
        unknown = sorted(path.name for path in folder.iterdir() if path not in named)
        assert not unknown, f"writes {', '.join(unknown)}, which its record does not name" if unknown else ""
