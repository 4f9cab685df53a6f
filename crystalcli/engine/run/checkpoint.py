"""Training states on disk: ``state-<step>.safetensors`` with the tensors, ``state-<step>.json`` with the rest.

The JSON is written last and holds the hash of the tensors and of all else in it: a state without it, or whose hash
differs, does not count. The newest good state is found by looking, not by a pointer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from crystalcli.engine.run import files

FORMAT, VERSION = "crystal-training-state", 2
KEPT = 3


@dataclass(frozen=True)
class TrainingState:
    """A training state: named tensors and plain facts (epoch, batch, scores, settings)."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save(folder: Path, step: int, state: TrainingState) -> Path:
    """Write the state after optimiser step ``step`` and drop all but the last three."""
    blob = safetensors.torch.save({k: v.detach().cpu().contiguous() for k, v in sorted(state.tensors.items())})
    path = folder / f"state-{step:09d}.safetensors"
    files.write_bytes(path, blob)
    facts = json.loads(json.dumps({"format": FORMAT, "version": VERSION, **state.facts}))
    text = json.dumps({**facts, "sha256": _digest(blob, facts)}, sort_keys=True, ensure_ascii=False)
    files.write_text(path.with_suffix(".json"), text)
    for old in sorted(folder.glob("state-*.json"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)
    return path


def newest(folder: Path) -> tuple[TrainingState | None, list[str]]:
    """Newest state that is whole, none if there is none, and a line about every newer one that is not."""
    said: list[str] = []
    for note in sorted(folder.glob("state-*.json"), reverse=True):
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            blob = note.with_suffix(".safetensors").read_bytes()
            if facts.get("format") != FORMAT or facts.get("version") != VERSION:
                said.append(f"{note.name} is of format {facts.get('format')} {facts.get('version')}; skipped")
            elif facts.pop("sha256") != _digest(blob, facts):
                said.append(f"{note.stem} is damaged; the state before it is used")
            else:
                return TrainingState(safetensors.torch.load(blob), facts), said
        except (OSError, ValueError, KeyError, AttributeError, RecursionError, SafetensorError) as problem:
            said.append(f"{note.name} cannot be read ({type(problem).__name__}); the state before it is used")
    return None, said


def circumstances(device: torch.device, **more: Any) -> dict[str, Any]:
    """What bits depend on beside what was asked; facts of a state."""
    return {"threads": torch.get_num_threads(), "torch": torch.__version__, "device": _kind(device), **more}


def _kind(device: torch.device) -> str:
    """What does the arithmetic: two GPUs of one kind do the same."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def other_circumstances(facts: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for everything that was not as it is ``here`` when a state with ``facts`` was kept.

    What a state does not say, for it is older, is taken to be the same.
    """
    return [
        f"{name} was {was}, now {now}: not bit-identical to one long run"
        for name, now in here.items()
        if (was := facts.get(name, now)) != now
    ]


def _digest(blob: bytes, facts: Mapping[str, Any]) -> str:
    """sha256 of a state: its tensors, and its facts as JSON gives them back."""
    found = hashlib.sha256(blob)
    found.update(json.dumps(facts, sort_keys=True).encode())
    return found.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments of ``optimizer`` as named tensors."""
    found: dict[str, Tensor] = {}
    for k, values in optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{k}.{name}": v for name, v in values.items() if isinstance(v, Tensor)}
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of :func:`optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, k, name = key.split(".", 2)
            state.setdefault(int(k), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put ``prefix.`` before every name."""
    return {f"{prefix}.{k}": v for k, v in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names start with ``prefix.``, without it."""
    start = prefix + "."
    return {k[len(start) :]: v for k, v in tensors.items() if k.startswith(start)}
