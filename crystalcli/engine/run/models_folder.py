"""Where models by name are kept."""

from __future__ import annotations

import os
from pathlib import Path

from crystalcli.vocabulary.errors import EnvironmentProblem


def models_folder() -> Path:
    """``$XDG_DATA_HOME/crystal/models``, usually ``~/.local/share/crystal/models``.

    Raises:
        EnvironmentProblem: there is no home folder.
    """
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".local" / "share") / "crystal" / "models"
    except RuntimeError as problem:
        raise EnvironmentProblem("no home folder for models; set XDG_DATA_HOME") from problem
