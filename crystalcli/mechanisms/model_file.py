"""One model, one file: safetensors with all metadata as canonical JSON under one key. No pickle anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open

from crystalcli.mechanisms import files
from crystalcli.mechanisms.model import CrystalModel, ModelSpec
from crystalcli.vocabulary.errors import InputError, UnsafeInput

FORMAT, VERSION, KEY = "crystal-model", 1, "crystal"


def save(path: Path, model: CrystalModel, provenance: Mapping[str, Any]) -> None:
    """Write ``model``; equal models and provenance give equal bytes."""
    head = {"format": FORMAT, "version": VERSION, "spec": model.spec.to_json(), "provenance": dict(provenance)}
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    tensors = {k: v.detach().cpu().contiguous() for k, v in sorted(model.state_dict().items())}
    files.write_bytes(path, safetensors.torch.save(tensors, {KEY: text}))


def read_head(path: Path) -> dict[str, Any]:
    """Metadata of a model file without its weights.

    Raises:
        InputError: not a model file of ours. UnsafeInput: a pickle.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:2] in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05"):
            raise UnsafeInput("is a pickle, which can run code; crystal reads safetensors only", path=path)
        with safe_open(path, framework="pt") as f:
            head: dict[str, Any] = json.loads((f.metadata() or {})[KEY])
    except (OSError, SafetensorError, KeyError, ValueError) as problem:
        raise InputError(f"not a crystal model: {problem}", path=path) from problem
    if head.get("format") != FORMAT or head.get("version") != VERSION:
        raise InputError(f"model format {head.get('format')} {head.get('version')}, need {FORMAT} {VERSION}", path=path)
    return head


def load(path: Path) -> tuple[CrystalModel, dict[str, Any]]:
    """Build the model of ``path`` and load its weights; returns it in evaluation mode with its provenance."""
    head = read_head(path)
    spec = ModelSpec.from_json(head["spec"])
    model = CrystalModel(spec)
    model.load_state_dict(safetensors.torch.load_file(path), strict=True)
    model.eval()
    return model, head["provenance"]
