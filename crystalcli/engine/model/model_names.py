"""Which model file a word means: a file, the model of a run, or a model that plugins bring or know. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from crystalcli.engine.model import pretrained, ready
from crystalcli.engine.model.model_head import MODEL, cure_of_missing
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError, did_you_mean


def names() -> list[str]:
    """Of all models that can be had by name."""
    return sorted({*ready.names(), *pretrained.names()})


def by_name(word: str) -> Path:
    """The file of the model called ``word``, imported if need be.

    Raises:
        UsageError: no model is called so, or its package is not installed. InputError: its file is damaged.
    """
    refuse_unknown(word)
    if word in ready.names():
        return ready.checked(ready.record(word))
    return pretrained.named(word)


def refuse_unknown(word: str) -> None:
    """Raise UsageError where no model is called ``word``; says which are near."""
    if word not in names():
        raise UsageError(f"no model '{word}'; {did_you_mean(word, names())}{registry().broken_hint()}")


def file_of(path: Path) -> Path:
    """The model file that ``path`` means: itself, the model of the run in that folder, or one by its name.

    What is there comes before a name, see :func:`hidden`.

    Raises:
        UsageError: the name of a pretrained model whose package is not installed.
        InputError: the name of a model whose file is damaged.
    """
    if path.is_dir():
        return path / MODEL
    if _may_be_name(path) and not path.exists():
        return by_name(str(path)) if str(path) in names() else path
    return path


def named_by(path: Path) -> Path:
    """The model file that ``path`` means.

    Raises:
        UsageError: there is none; names those below a folder, and models by a like name.
    """
    file = file_of(path)
    if not file.exists():
        cure = cure_of_missing(path)
        if not cure and hidden(path):
            cure = f"; the model by that name: {hidden(path)}"
        elif not cure and _may_be_name(path) and not path.exists():
            cure = f", and none by that name; {did_you_mean(str(path), names())}{registry().broken_hint()}"
        raise UsageError(f"no such model{cure}", path=file)
    return file


def shadowed(words: Iterable[object]) -> Iterator[str]:
    """What to say of those of ``words``, values of options, that name a file or folder here and a model besides."""
    for path in (Path(w) for w in words if isinstance(w, str | Path) and str(w)):
        if named := hidden(path):
            yield f"{path} is the file or folder here; the model by that name would be {named}"


def hidden(path: Path) -> str:
    """How to name the model whose name is also that of a file or folder here; empty where there is no such."""
    if not _may_be_name(path) or not path.exists() or str(path) not in names():
        return ""
    return f'"$(crystal models path {path})"'


def _may_be_name(path: Path) -> bool:
    return len(path.parts) == 1 and not path.suffix
