"""Does a campaign end at the hull that relaxing everything ends at, and what does it cost?

    python benchmarks/campaign_emt.py --seeds 20 --work FOLDER

Alloys of a few metals (``examples/screening``) are relaxed once through all stages with EMT: volume only, loose, tight,
with costs 5, 60 and 540. Campaigns are then replayed from that, one for every seed: other structures to train on, other
ensembles. The hull of a campaign is the exhaustive one if every phase that it lacks could raise it by less than 0.1
meV/atom; missing a phase whose twin of equal energy was found raises nothing.

    python benchmarks/campaign_emt.py --seeds 20 --work FOLDER --pretrain Al,Ni,Pd --epochs 90 --lr 0.003

lets the ensembles of every stage start from those of a related system, which is relaxed exhaustively and trained on
(all its candidates but one) once, and is not counted among the costs. With the same ``--pretrain-seed`` as the
candidates' own (0) it is decorated like them, as the paper's systems come from one set of prototypes; another seed
gives other crystals.
"""

import argparse
import json
import runpy
import time
from pathlib import Path

import ase.io
import torch

from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.drawing import plots
from crystalcli.engine.host import life
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.workflow import RELAX
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.workflow import SCREEN

EXAMPLE = Path(__file__).parent.parent / "examples" / "screening" / "make_candidates.py"
SAME = 1e-4
"""eV/atom: hulls nearer than that are the same; structures are relaxed to 0.01 eV/Å."""
STAGES = {
    "volume": (5, {"cell": "isotropic", "fix_below": 1e9, "smax": 0.5, "steps": 30}),
    "loose": (60, {"cell": "full", "fmax": 0.2, "smax": 1.0, "steps": 100}),
    "tight": (540, {"cell": "full", "fmax": 0.01, "smax": 0.05, "steps": 500}),
}
PLAN = """
candidates = "{work}/candidates.extxyz"
train = {train}
selection = "{selection}"
threshold = "{kappa}sigma"
robust = {robust}
seed = {seed}
kappas = [{kappas}]

[references]
{references}

[training]
learn = "{learn}"
ensemble = {ensemble}
epochs = {epochs}
lr = {lr}
batch_size = {batch}
residual_of = "{residual_of}"
fractions = "{fractions}"

[training.cgcnn]
n_conv = {n_conv}
width = {width}
{stages}
"""


def exhaustive(work: Path, elements: list[str], count: int, seed: int = 0) -> dict[str, float]:
    """Relax everything once; returns the energies of the elements, eV/atom."""
    make = runpy.run_path(str(EXAMPLE))
    table = work / "elements.json"
    if table.exists():
        return dict(json.loads(table.read_text()))
    work.mkdir(parents=True, exist_ok=True)
    for name, structures in (
        ("candidates", make["candidates"](elements, count, seed)),
        ("elements", make["pure"](elements)),
    ):
        start = work / f"{name}.extxyz"
        ase.io.write(start, structures, columns=["symbols", "positions"])
        for stage, (_, options) in STAGES.items():
            output = work / f"{name}-{stage}"
            asked = RelaxOptions(structures=(str(start),), potential="emt", relaxer="fire", **options)
            life.run(RELAX, Request(asked, {"relaxer": Chosen("fire")}, output))
            start = output / "relaxed.extxyz"
    energies = {a.get_chemical_symbols()[0]: float(a.get_potential_energy() / len(a)) for a in ase.io.read(start, ":")}
    table.write_text(json.dumps(energies))
    return energies


def one(args: argparse.Namespace, energies: dict[str, float], seed: int, starts: dict[str, Path]) -> life.Finished:
    """One campaign.

    Args:
        args: of the command line.
        energies: of the elements, eV/atom.
        seed: of everything random.
        starts: ensembles to start from, by stage.
    """
    stages = "".join(
        f'[[stages]]\nname = "{name}"\ncost = {cost}\nfile = "{args.work}/candidates-{name}/relaxed.extxyz"\n'
        + (f'from = "{starts[name]}"\n' if name in starts else "")
        for name, (cost, _) in STAGES.items()
    )
    references = "\n".join(f"{k} = {v!r}" for k, v in energies.items())
    plan = args.work / f"seed-{seed}.toml"
    plan.write_text(PLAN.format(**vars(args), seed=seed, stages=stages, references=references))
    options = ScreenOptions(campaign=plan, threads=args.threads)
    return life.run(SCREEN, Request(options, path=args.work / f"run-{args.name}-{seed}"))


def pretrained(args: argparse.Namespace) -> dict[str, Path]:
    """Ensembles of the related system, by stage: those of a campaign there that trains on all candidates but one."""
    if not args.pretrain:
        return {}
    elements = args.pretrain.split(",")
    count = args.pretrain_count or args.count
    work = args.work / f"{'-'.join(elements)}-{args.pretrain_seed}-{count}"
    energies = exhaustive(work, elements, count, args.pretrain_seed)
    its = {
        "epochs": args.pretrain_epochs,
        "lr": args.pretrain_lr,
        "train": count - 1,
        "kappas": "",
        "selection": "random",
    }
    its |= {"kappa": 2.0, "robust": 1.0, "selection": "random"}  # decide on the one candidate left, and on nothing here
    there = argparse.Namespace(**{**vars(args), **its, "work": work, "name": "all"})
    models = one(there, energies, 0, {}).path / "models"
    return {stage: models / f"{number}-{stage}" for number, stage in enumerate(list(STAGES)[:-1], 1)}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the relaxed structures and the runs")
    parser.add_argument("--name", default="a", help="of this set of campaigns")
    parser.add_argument("--elements", default="Al,Ni,Pt")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--train", type=int, default=60)
    parser.add_argument("--selection", default="random", help="as in a plan")
    parser.add_argument("--fractions", default="0.75,0.2,0.05", help="as in a plan")
    parser.add_argument("--kappa", type=float, default=2.0)
    parser.add_argument("--robust", type=float, default=1.0, help="as --robust of crystal screen")
    parser.add_argument("--kappas", default="0, 0.5, 1, 1.5, 2, 2.5, 3, 4")
    parser.add_argument("--learn", choices=("energy", "difference"), default="energy", help="as in a plan")
    parser.add_argument("--ensemble", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--residual-of", default="none")
    parser.add_argument("--n-conv", type=int, default=2)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument(
        "--pretrain", default="", help="elements of a related system to start from; empty: from scratch"
    )
    parser.add_argument("--pretrain-seed", type=int, default=0, help="of its candidates; 0: decorated as these are")
    parser.add_argument("--pretrain-count", type=int, default=0, help="of its candidates; 0: as many as there are here")
    parser.add_argument("--pretrain-epochs", type=int, default=100)
    parser.add_argument("--pretrain-lr", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    plots.save = lambda _figure, _path: None  # half of the time of such small trainings is for pictures
    energies = exhaustive(args.work, args.elements.split(","), args.count)
    starts = pretrained(args)
    rows = []
    for seed in range(args.first, args.first + args.seeds):
        start = time.monotonic()
        report = one(args, energies, seed, starts).data
        found = report["recall"]
        counts = [s["screened"] for s in report["stages"]]
        rows.append(
            {
                "seed": seed,
                "screened": counts,
                "share": report["share_of_exhaustive"],
                "recall": found["recall"],
                "rise_meV": 1000 * found["hull_rise"],
                "same_hull": found["hull_rise"] < SAME,
                "predictions": report.get("predictions", []),
                "sweep": [[r["kappa"], round(r["share"], 4), r["recall"], r["rise"] < SAME] for r in report["sweep"]],
                "seconds": round(time.monotonic() - start, 1),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    n = len(rows)
    shares = [r["share"] for r in rows]
    mean = {
        stage: {k: round(sum(r["predictions"][i][k] for r in rows) / n, 4) for k in rows[0]["predictions"][i]}
        for i, stage in enumerate(list(STAGES)[:-1])
        if rows[0]["predictions"]
    }
    kappas = [k[0] for k in rows[0]["sweep"]]
    print(
        json.dumps(
            {
                "candidates": args.count,
                "trained_on": args.train,
                "seeds": n,
                "same_hull": sum(r["same_hull"] for r in rows),
                "all_hull_phases": sum(r["recall"] == 1.0 for r in rows),
                "mean_share": sum(shares) / n,
                "max_share": max(shares),
                "predictions": mean,
                "by_kappa": [
                    {
                        "kappa": k,
                        "same_hull": sum(r["sweep"][i][3] for r in rows),
                        "mean_share": round(sum(r["sweep"][i][1] for r in rows) / n, 4),
                        "max_share": max(r["sweep"][i][1] for r in rows),
                        "recall": round(sum(r["sweep"][i][2] for r in rows) / n, 4),
                    }
                    for i, k in enumerate(kappas)
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
