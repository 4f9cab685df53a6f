"""Metadata of a model file, or of some of its targets shown alone: what it is, without its weights. Loads no torch.

A training of several targets is one network. So that each target can be had by a name of its own without its weights
lying there twice, ``model.json`` says which file they are in, the SHA-256 of that file, and the targets. Whoever reads
a model reads such a file as a model of these targets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystalcli.engine.run import files
from crystalcli.engine.run.run_folder import RunFolder, sha256
from crystalcli.vocabulary.errors import (
    CrystalError,
    Exit,
    InputError,
    UnknownOption,
    UnsafeInput,
    UsageError,
    did_you_mean,
)

VIEW = "model.json"
"""Name of a file that shows some targets of a model."""
VIEW_FORMAT, VIEW_VERSION = "crystal-model-view", 1
BY_TARGET = ("target_mean", "target_scale")
"""Statistics that are a number for every target."""
LONGEST = 2**20
"""Bytes of a view, at most."""

MODEL = "model.safetensors"
"""Name of the model in a run folder."""
FORMAT, VERSION, KEY = "crystal-model", 2, "crystal"
SEAL = "seal"
"""Key of what proves that the rest of the metadata is as it was saved; files of older versions have none."""
MAX_HEADER = 64 * 2**20
"""Bytes of the longest header accepted; the ids of a million structures fit."""
_PARTS = ("graph", "embedding", "architecture", "head")
"""Of a ``spec``, each with its name and options."""
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x1f\x8b", b"c__", b"(d", b"(l")
"""First bytes of what torch, pickle, joblib and their compressed forms write."""


def cure_of_missing(path: Path) -> str:
    """What to do about a model that is not there: finish its run, or take one of those below the folder."""
    folder = path if path.is_dir() else path.parent
    try:
        record = RunFolder.read(folder)
    except UsageError:
        record = {}
    if record.get("command") == "train" and record.get("exit_code") != Exit.OK:
        return f"; its run is unfinished: crystal train --resume {folder}"
    if record.get("command", "train") != "train":
        return f"; this is a run of crystal {record['command']}"
    inside = sorted(p.parent.name for p in path.glob(f"*/{MODEL}"))
    return f"; there are several in it: {', '.join(inside)}" if inside else ""


@contextmanager
def named_by_file(path: Path) -> Iterator[None]:
    """What is wrong in a model is said with its file, training again helps where its options are gone."""
    try:
        yield
    except UnknownOption as problem:
        said = problem.reason.partition(";")[0]
        reason = f"was made with other options than this crystal has ({said}); train it again"
        raise UsageError(reason, path=path) from problem
    except CrystalError as problem:
        raise type(problem)(problem.reason, path=problem.path or path, code=problem.code) from problem


def read_head(path: Path) -> dict[str, Any]:
    """Metadata of a model file without its weights: format, version, spec, plugins, provenance.

    Of a file that shows some targets of another: those of the other with these targets alone.

    Raises:
        UsageError: there is no such file, or a newer crystal made it.
        InputError: not a model file of ours, damaged, or an older crystal made it.
        UnsafeInput: a pickle.
    """
    if not path.exists():
        raise UsageError(f"no such model{cure_of_missing(path)}", path=path)
    if not path.is_file():
        raise InputError("not a model: not a regular file", path=path)
    if path.suffix == ".json":
        view = View.read(path)
        with named_by_file(path):
            return view.head(read_head(view.file))
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size, whole = int.from_bytes(start, "little"), path.stat().st_size
            # a length of 25,640 begins as a pickle does, too, but is followed by a header
            if start.startswith(_PICKLES) and not (size <= whole - 8 and file.peek(1).startswith(b"{")):
                raise UnsafeInput(
                    "is a pickle or archive, which can run code; crystal reads safetensors only", path=path
                )
            if len(start) < 8 or not 2 <= size <= whole - 8:
                raise InputError("not a crystal model: empty, cut off, or another format", path=path)
            if size > MAX_HEADER:
                raise InputError(f"not a crystal model: header of {size:,} bytes", path=path)
            head, damage = _metadata(file.read(size), whole - 8 - size)
    except OSError as problem:
        raise files.environment_problem(problem, path) from problem
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise InputError(f"not a crystal model: {short(problem)}", path=path) from problem
    if head["format"] != FORMAT:
        raise InputError("not a crystal model", path=path)
    if head["version"] > VERSION:
        raise UsageError(f"is model format {head['version']}, this crystal reads {VERSION}; update crystal", path=path)
    if head["version"] < VERSION:
        raise InputError(
            f"is model format {head['version']} of an older crystal, which does not keep all that its weights are "
            f"multiplied with; this one reads {VERSION}; train it again (crystal train -c RUN/config.toml)",
            path=path,
        )
    if damage:
        raise InputError(f"damaged model: {damage}", path=path)
    return head


def _metadata(header: bytes, tensors: int) -> tuple[dict[str, Any], str]:
    """What the header says of the model, before ``tensors`` bytes, and what is damaged in it; empty if nothing is."""
    declared: dict[str, Any] = json.loads(header)
    head: dict[str, Any] = json.loads(declared.pop("__metadata__")[KEY])
    for key, kind in (("format", str), ("version", int), ("spec", dict), ("plugins", dict), ("provenance", dict)):
        if not isinstance(head[key], kind):
            raise ValueError(f"'{key}' is not what it should be")
    if (end := max((one["data_offsets"][1] for one in declared.values()), default=0)) != tensors:
        return head, f"has {tensors:,} bytes of tensors, and should have {end:,}"
    if SEAL in head and head[SEAL] != seal_of(head):
        return head, "what it says of itself is not what was saved"
    for place in _PARTS:
        part = head["spec"].get(place)
        if (
            not isinstance(part, dict)
            or not isinstance(part.get("name"), str)
            or not isinstance(part.get("options"), dict)
        ):
            return head, f"'{place}' of its spec is not what it should be"
    return head, ""


def seal_of(head: Mapping[str, Any]) -> str:
    """SHA-256 of all that a head says, beside the seal itself."""
    said = {key: value for key, value in head.items() if key != SEAL}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def short(problem: BaseException) -> str:
    """What went wrong, and of what kind it is."""
    return f"{type(problem).__name__}: {problem}"


@dataclass(frozen=True)
class View:
    """Some targets of a model.

    Args:
        path: of the view. file: of the model. targets: names of those that are shown, in the order of the model.
    """

    path: Path
    file: Path
    targets: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> View:
        """The view of a file; that of the model is beside it or further off, as the view says.

        Raises:
            InputError: no view, or its model is not there or another.
        """
        try:
            text = path.read_bytes()[:LONGEST]
            found: Any = json.loads(text)
            said, version = found["format"], found["version"]
            file, hashed = (path.parent / str(found["model"])).resolve(), str(found["sha256"])
            targets = tuple(found["targets"])
        except OSError as problem:
            raise files.environment_problem(problem, path) from problem
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            raise InputError(f"not a crystal model: {type(problem).__name__}: {problem}", path=path) from problem
        if (
            said != VIEW_FORMAT
            or version != VIEW_VERSION
            or not targets
            or not all(isinstance(t, str) for t in targets)
        ):
            raise InputError("not a crystal model, nor one that shows targets of another", path=path)
        if not file.is_file():
            raise InputError(f"shows targets of {file}, which is not there", path=path)
        if (there := sha256(file)) != hashed:
            raise InputError(
                f"its weights are damaged or were changed: sha256 {there[:12]}…, not {hashed[:12]}…", path=file
            )
        return cls(path, file, targets)

    def head(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        """What the head of a model file of these targets alone would say, of that of the whole.

        Raises:
            UsageError: no such target.
        """
        found = dict(whole) | {"spec": spec_of_targets(whole["spec"], self.targets)}
        if "members" in whole:
            found["members"] = [spec_of_targets(m, self.targets) for m in whole["members"]]
        return found | {k: _kept(whole[k], self.targets) for k in ("sigma", "aleatoric") if k in whole}


def view_text(model: str, hashed: str, targets: Sequence[str]) -> str:
    """Text of a view: of a file, from its folder, with this SHA-256."""
    found = {"format": VIEW_FORMAT, "version": VIEW_VERSION, "model": model, "sha256": hashed, "targets": list(targets)}
    return json.dumps(found, indent=1) + "\n"


def spec_of_targets(spec: Mapping[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    """The spec of a model, as plain values, with some of its targets.

    Raises:
        UsageError: no such target.
    """
    there = [q["name"] for q in spec["targets"]]
    if missing := [t for t in targets if t not in there]:
        raise UsageError(f"the model has no target '{missing[0]}'; {did_you_mean(missing[0], there)}")
    statistics = dict(spec["statistics"])
    statistics |= {k: _kept(statistics[k], targets) for k in BY_TARGET}
    statistics["residual"] = [t for t in statistics.get("residual", ()) if t in targets]
    shown = [q for q in spec["targets"] if q["name"] in targets]
    baselines = _kept(spec["baselines"], targets)
    return dict(spec) | {"targets": shown, "statistics": statistics, "baselines": baselines}


def _kept(values: Mapping[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in targets}
