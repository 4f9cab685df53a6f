"""How long is the way from CIF files to predictions, beside what the released CGCNN code does?

The twin parses with pymatgen, finds neighbors with ``get_all_neighbors``, sorts and cuts them in Python, expands and
stores the distances, joins padded tables graph by graph and predicts without flushing denormals. Ours is what
``crystal build-graphs`` and ``crystal predict`` do in one process. Files are the first of a table with CIF texts; CPU
time of one process, stages in turn, block by block; batches of 256 as in the released code::

    python benchmarks/cif_to_prediction.py $CRYSTAL_DATA/mp-formation-energy/test.csv.gz --count 2560 --blocks 5
"""

from __future__ import annotations

import argparse
import csv
import gc
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Structure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference.cgcnn import gaussians, like

from crystalcli.contracts.records import Statistics
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.vocabulary.quantities import Quantity

CUTOFF, NEIGHBORS = 8.0, 12
STAGES = ("CIF to cached graphs", "batched inference")


def unpacked(table: Path, count: int, folder: Path) -> list[Path]:
    """The first CIF texts of a table as files."""
    csv.field_size_limit(1 << 30)
    with gzip.open(table, "rt", encoding="utf-8") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]
    paths = []
    for row in rows:
        paths.append(folder / f"{row['id']}.cif")
        paths[-1].write_text(row["cif"], encoding="utf-8")
    return paths


def twin_graph(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers (N,), neighbors (N, 12) and expanded distances (N, 12, 41), as released."""
    crystal = Structure.from_file(str(path))
    every = [sorted(found, key=lambda n: n[1]) for found in crystal.get_all_neighbors(CUTOFF, include_index=True)]
    table, lengths = [], []
    for found in every:
        cut = found[:NEIGHBORS]
        missing = NEIGHBORS - len(cut)
        table.append([n[2] for n in cut] + [0] * missing)
        lengths.append([n[1] for n in cut] + [CUTOFF + 1.0] * missing)
    expanded = gaussians(torch.tensor(lengths, dtype=torch.float64)).float().numpy()
    return np.array([s.specie.Z for s in crystal]), np.array(table), expanded


def twin_batch(graphs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, ...]:
    """Graph by graph, as released."""
    numbers, tables, expanded, base = [], [], [], 0
    for z, table, u in graphs:
        numbers.append(torch.as_tensor(z))
        tables.append(torch.as_tensor(table) + base)
        expanded.append(torch.as_tensor(u))
        base += len(z)
    return torch.cat(numbers), torch.cat(tables), torch.cat(expanded)


def spent(work: Callable[[], object]) -> float:
    """CPU seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def models() -> tuple[CrystalModel, torch.nn.Module]:
    """Ours with the published sizes, and the twin with the same weights."""
    parts = (PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("crystal"))
    model = CrystalModel(ModelSpec(*parts, (Quantity("target"),), Statistics())).eval()
    return model, like(model).eval()


@torch.no_grad()
def block(
    paths: list[Path], cache: Path, model: CrystalModel, twin: torch.nn.Module, batch: int, freeze_twin: bool
) -> dict[str, object]:
    """CPU seconds of both, by stage, for some files."""
    ours, theirs = [], []
    plan = BuildPlan(tuple(map(str, paths)), cache, "cgcnn", targets=("none",), overwrite=True)
    gc.freeze()  # else the collector walks all of torch, which workers of crystal do not load; the released code does
    ours.append(spent(lambda: build(plan)))
    if not freeze_twin:
        gc.unfreeze()
    graphs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    theirs.append(spent(lambda: graphs.extend(twin_graph(p) for p in paths)))
    data, rest = GraphDataset.open([cache]), range(0, len(paths), batch)
    values: list[list[torch.Tensor]] = [[], []]

    def predict() -> None:
        torch.set_flush_denormal(True)
        for k in rest:
            graph = data.batch(np.arange(k, min(k + batch, len(data)))).graph
            values[0].append(model(graph)["target"].value)
        torch.set_flush_denormal(False)

    def predict_twin() -> None:
        for k in rest:
            some = graphs[k : k + batch]
            numbers, table, u = twin_batch(some)
            values[1].append(twin(model.features.elements(numbers), table, u, [len(z) for z, _, _ in some]))

    ours.append(spent(predict))
    theirs.append(spent(predict_twin))
    same = np.isclose(torch.cat(values[0]).numpy(), torch.cat(values[1]).double().numpy(), atol=1e-4)
    return {"ours": ours, "twin": theirs, "same": int(same.sum())}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="CSV, gzipped, with columns id and cif")
    parser.add_argument("--count", type=int, default=2560)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--freeze-twin", action="store_true", help="no collector walks torch for the twin either")
    chosen = parser.parse_args()
    table = chosen.table or Path(os.environ.get("CRYSTAL_DATA", "."), "mp-formation-energy", "test.csv.gz")
    if not table.exists():
        raise SystemExit(f"{table}: not there; name a table, or set CRYSTAL_DATA to the folder of the data sets")
    warnings.simplefilter("ignore")  # of pymatgen, about rounded coordinates
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, twin = models()
    with tempfile.TemporaryDirectory() as name:
        paths = unpacked(table, chosen.count, Path(name))
        cache = Path(name) / "graphs.h5"
        block(paths[:16], cache, model, twin, chosen.batch, chosen.freeze_twin)  # imports and first calls
        parts = [paths[k :: chosen.blocks] for k in range(chosen.blocks)]
        found = [block(sorted(p), cache, model, twin, chosen.batch, chosen.freeze_twin) for p in parts]
    times = {who: np.array([f[who] for f in found]) for who in ("ours", "twin")}
    ratios = times["twin"] / times["ours"]
    whole = times["twin"].sum(1) / times["ours"].sum(1)
    result = {
        "question": "CIF files to predictions, beside the released way",
        "files": len(paths),
        "same_predictions": sum(int(f["same"]) for f in found),
        "ms_per_file": {
            who: dict(zip(STAGES, (1e3 * t.sum(0) / len(paths)).round(3).tolist(), strict=True))
            for who, t in times.items()
        },
        "times_faster": {s: round(statistics.median(ratios[:, k]), 2) for k, s in enumerate(STAGES)}
        | {"CIF to prediction": round(statistics.median(whole), 2)},
        "blocks": chosen.blocks,
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
