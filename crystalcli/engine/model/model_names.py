"""Which model file a word means: a file, the model of a run, or a pretrained one by its name. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from crystalcli.engine.model import pretrained
from crystalcli.engine.model.model_head import MODEL, cure_of_missing
from crystalcli.vocabulary.errors import UsageError


def file_of(path: Path) -> Path:
    """The model file that ``path`` means: itself, the model of the run in that folder, or a pretrained one by its name.

    Raises:
        UsageError: the name of a pretrained model whose package is not installed.
    """
    if path.is_dir():
        return path / MODEL
    if len(path.parts) == 1 and not path.suffix and not path.exists():
        return pretrained.named(str(path)) or path
    return path


def named_by(path: Path) -> Path:
    """The model file that ``path`` means.

    Raises:
        UsageError: there is none; names those below a folder.
    """
    file = file_of(path)
    if not file.exists():
        raise UsageError(f"no such model{cure_of_missing(path)}", path=file)
    return file
