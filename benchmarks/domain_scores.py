"""Which score of a structure tells that its prediction is far off? Several, for a model and labelled caches.

python benchmarks/domain_scores.py MODEL TRAIN VAL CACHE... [--large 0.2] [--share 0.25] [-o FILE]

Of every score: the area under the ROC curve for errors above --large; their share among the --share structures of
highest score; and with a threshold that 10 % of VAL exceed, how many are flagged and how many of the large errors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.out_of_domain import LANDMARKS, SILENT, structure_vectors
from crystalcli.engine.run.devices import prepare_cpu

Floats = NDArray[np.float64]


def said(model: Any, cache: Path, only: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Errors, σ and its parts, and vectors of the members, of the structures of a cache with a label."""
    data, name = GraphDataset.open([cache]), model.spec.targets[0].name
    every = np.arange(len(data))
    index = np.array([k for k in every if not only or data.ids[k] in only])
    found: dict[str, list[torch.Tensor]] = {k: [] for k in ("error", "sigma", "noise", "spread")}
    vectors: list[list[torch.Tensor]] = [[] for _ in model.models]
    with torch.no_grad():
        for k in range(0, len(index), 128):
            batch = data.batch(index[k : k + 128], [name])
            each = model.each(batch.graph)
            p = model.joined(each, batch.graph)[name]
            for kept, one in zip(vectors, each, strict=True):
                kept.append(structure_vectors(batch.graph, one.embedding))
            numbers = {"error": p.value - batch.labels[name].value, "sigma": p.sigma, "noise": p.aleatoric}
            for word, value in (numbers | {"spread": p.epistemic}).items():
                found[word].append(value)
    owner = np.repeat(every, data.atom_counts())
    shares = np.zeros((len(every), 119))
    np.add.at(shares, (owner, data.atomic_numbers()), 1.0)
    shares /= shares.sum(1, keepdims=True)
    joined = {k: torch.cat(v).double().numpy() for k, v in found.items()}
    return {**joined, "vectors": [torch.cat(v).double().numpy() for v in vectors], "shares": shares[index]}


def scores(one: Mapping[str, Any], taught: Mapping[str, Any]) -> dict[str, Floats]:
    """Every score, larger for what is less like the training."""
    found = {
        "σ": one["sigma"],
        "σ_e, spread of the members": one["spread"],
        "σ_a, learned noise": one["noise"],
        "distance of compositions": cdist(one["shares"], taught["shares"], "cityblock").min(1),
        "rarest pair of elements": -_rarest_pair(one["shares"] > 0.0, taught["shares"] > 0.0),
    }
    several: dict[str, list[Floats]] = {}
    for vectors, reference in zip(one["vectors"], taught["vectors"], strict=True):
        middle, scale = reference.mean(0), reference.std(0)
        counts = scale > SILENT * scale.max()
        plain = [(v - middle)[:, counts] / scale[counts] for v in (vectors, reference)]
        inverse = np.linalg.inv(np.cov(reference.T) + 1e-6 * reference.var(0).mean() * np.eye(len(middle)))
        white = [(v - middle) @ np.linalg.cholesky(inverse) for v in (vectors, reference)]
        distances = np.sort(cdist(*plain), axis=1)
        several.setdefault("nearest, of standard deviations", []).append(distances[:, 0])
        several.setdefault("mean of the ten nearest", []).append(distances[:, :10].mean(1))
        several.setdefault("nearest, decorrelated", []).append(cdist(*white).min(1))
        several.setdefault("Mahalanobis", []).append(np.sqrt((white[0] ** 2).sum(1)))
    found |= {name: np.mean(each, axis=0) for name, each in several.items()}
    return found


def _rarest_pair(has: NDArray[np.bool_], taught: NDArray[np.bool_]) -> Floats:
    together = taught.T.astype(float) @ taught.astype(float)
    return np.array([together[np.ix_(row, row)].min() for row in has])


def area(score: Floats, large: NDArray[np.bool_]) -> float:
    """Chance that a large error has the higher score than another one."""
    n = int(large.sum())
    return float((rankdata(score)[large].sum() - n * (n + 1) / 2) / (n * (len(large) - n)))


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("caches", nargs="+", type=Path, help="of the training, of validation, others")
    parser.add_argument("--large", type=float, default=0.2)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("-o", "--output", type=Path)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    prepare_cpu()
    model, provenance = model_file.load(named_by(wish.model))
    known = sorted(provenance["split"]["train"])
    chosen = frozenset(known[:: max(len(known) // LANDMARKS, 1)])
    taught, held = said(model, wish.caches[0], chosen), said(model, wish.caches[1])
    limits = {name: float(np.quantile(s, 0.9)) for name, s in scores(held, taught).items()}
    result: dict[str, Any] = {}
    for cache in wish.caches[2:]:
        one = said(model, cache)
        large = np.abs(one["error"]) > wish.large
        table: dict[str, Any] = {"n": len(large), "large": float(large.mean()), "bias": float(one["error"].mean())}
        for name, score in scores(one, taught).items():
            first = np.argsort(-score, kind="stable")[: round(wish.share * len(score))]
            table[name] = {
                "area": round(area(score, large), 3),
                "caught of the first": round(float(large[first].sum() / large.sum()), 3),
                "flagged": round(float((score > limits[name]).mean()), 3),
                "caught": round(float((score > limits[name])[large].mean()), 3),
            }
        result[str(cache)] = table
    text = json.dumps(result, indent=1, ensure_ascii=False)
    print(text)
    if wish.output:
        wish.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
