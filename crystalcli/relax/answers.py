"""What a slow potential has said in a shard that is not finished: after a stop or a kill it is not asked again.

A relaxer takes the same steps when it hears the same answers, so that the run that goes on comes by every place that
the first one came by, whatever the relaxer remembers; no bit differs from a run that nobody stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated, Potential, made_of
from crystalcli.contracts.request import Request
from crystalcli.engine.potential.potential_names import model_file
from crystalcli.engine.run.run_folder import sha256
from crystalcli.nouns.systems import Systems
from crystalcli.relax.options import UNFINISHED

SLOW = 0.02
"""Seconds from which on an answer is kept; what is faster is asked anew: 10 s of 500 steps are lost at most."""
_DIGEST, _LENGTH = 32, 8
"""Bytes of the digests in front of an answer, of the question and of the answer itself, and of its length."""


@contextlib.contextmanager
def remembering(potential: Potential, request: Request, ids: Sequence[str]) -> Iterator[Potential]:
    """The potential, whose slow answers are kept until the block ends well, and known where it was begun before.

    Args:
        potential: of the relaxation.
        request: of the relaxation; in its folder the answers are kept, if it is there.
        ids: of the structures of the shard.
    """
    if "surface" in potential.provides or not request.path.is_dir():  # surfaces cost nothing
        yield potential
        return
    kept = RememberingPotential(
        potential, request.path / UNFINISHED / f"{_shard_name(potential, request, ids)}.answers"
    )
    try:
        yield kept
    except BaseException:
        kept.close(done=False)
        raise
    kept.close(done=True)


def _shard_name(potential: Potential, request: Request, ids: Sequence[str]) -> str:
    """Another one for other structures, and for whatever may answer otherwise: model, option, package, device."""
    o, model = request.options, model_file(request.options.potential)
    chosen = request.to_json()["parts"].get("potential")
    made = [o.potential, o.dtype, str(potential.device), chosen, made_of(potential), model and sha256(model)]
    return hashlib.sha256(json.dumps([made, list(ids)], sort_keys=True, default=str).encode()).hexdigest()[:24]


class RememberingPotential:
    """A potential whose slow answers are kept in a file, and taken from there.

    Args:
        potential: that is asked.
        path: of the file, which is made with the first answer that is kept. Where it cannot be written, none is.
    """

    def __init__(self, potential: Potential, path: Path) -> None:
        self.potential, self.path = potential, path
        self.name, self.provides, self.device = potential.name, potential.provides, potential.device
        self.known, whole = _read(path)
        self.file: BinaryIO | None = None
        if self.known:
            with contextlib.suppress(OSError):
                self.file = path.open("r+b")
                self.file.truncate(whole)  # what was being written when the program was killed
                self.file.seek(whole)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the potential says of itself."""
        return getattr(self.potential, name)

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """As the potential, which raises what it raises."""
        question = _question(systems, stress=stress)
        if (known := self.known.get(question)) is not None:
            told = safetensors.torch.load(known)
            return Evaluated(**{name: values.to(self.device) for name, values in told.items()})
        begun = time.monotonic()
        found = self.potential.evaluate(systems, stress=stress)
        if time.monotonic() - begun >= SLOW:
            self._keep(question, safetensors.torch.save(_tensors(found)))
        return found

    def _keep(self, question: bytes, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            if self.file is None:
                self.path.parent.mkdir(exist_ok=True)
                self.file = self.path.open("wb")
            self.file.write(question + hashlib.sha256(answer).digest() + len(answer).to_bytes(_LENGTH, "big") + answer)
            self.file.flush()

    def close(self, *, done: bool) -> None:
        """Close the file; when the shard is ``done`` nobody needs it any more."""
        if self.file is not None:
            self.file.close()
        if done:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


def _tensors(found: Evaluated) -> dict[str, Tensor]:
    return {name: values.detach().cpu().contiguous() for name, values in vars(found).items() if values is not None}


def _question(systems: Systems, *, stress: bool) -> bytes:
    """Digest of all that a potential may look at, (32,) bytes."""
    told: Mapping[str, Tensor] = systems.tensors()
    asked = hashlib.sha256(b"stress" if stress else b"")
    for name in sorted(told.keys() - {"velocities", "masses", "places"}):
        asked.update(f"{name} {tuple(told[name].shape)}".encode())
        asked.update(told[name].detach().cpu().contiguous().numpy().tobytes())
    return asked.digest()


def _read(path: Path) -> tuple[dict[bytes, bytes], int]:
    """Answers by question, and bytes of the file up to the last one that is whole."""
    try:
        text = path.read_bytes()
    except OSError:
        return {}, 0
    found, at, head = {}, 0, 2 * _DIGEST + _LENGTH
    while at + head <= len(text):
        question, digest = text[at : at + _DIGEST], text[at + _DIGEST : at + 2 * _DIGEST]
        end = at + head + int.from_bytes(text[at + 2 * _DIGEST : at + head], "big")
        answer = text[at + head : end]
        if len(answer) < end - at - head or hashlib.sha256(answer).digest() != digest:
            break
        found[question], at = answer, end
    return found, at
