"""What ``crystal glass`` asks, beside its boxes; loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystal_glass.box_options import BOX, BoxOptions
from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.pictures import formats

HEAT, GUARDS, AFTER = "Melt and quench", "Guards", "After the quench"


@dataclass(frozen=True, kw_only=True)
class GlassOptions(BoxOptions):
    """Everything that ``crystal glass`` asks.

    Temperatures, steps and volume are those of Aykol et al., ICML 2023, sec. 2; what is not is said in docs/glass.md.
    """

    potential: str = common.potential()
    sampler: str = option("", "what moves the atoms", names="sampler")
    relaxer: str = option("", "what relaxes the glass", names="relaxer")
    melt: float = option(3000.0, "temperature of the melt", unit="K", min=1.0, max=20_000.0, panel=HEAT)
    cold: float = option(300.0, "temperature of the glass", unit="K", min=1.0, max=20_000.0, panel=HEAT)
    melt_steps: int = option(1500, "in the melt", min=1, panel=HEAT)
    quench_steps: int = option(2500, "from melt to glass, on a straight line", min=1, panel=HEAT)
    rate: float = option(0.0, "of the quench, in place of --quench-steps; 0: those", unit="K/ps", min=0.0, panel=HEAT)
    hold_steps: int = option(1500, "in the glass", min=1, panel=HEAT)
    dt: float = option(2.0, "length of a step", unit="fs", min=0.01, max=10.0, panel=HEAT)
    plan: str = option("", "stages in place of these: FILE.toml with [[stage]]", metavar="FILE", panel=HEAT)
    settle: int = option(
        50, "moves by which the packed atoms go down in the potential before they melt; 0: none", min=0, panel=HEAT
    )
    frame_every: int = option(50, "steps between two frames that are kept", min=1, panel=HEAT)
    batch_size: int = option(8, "boxes that melt side by side", min=1, max=10_000)
    eos_volumes: int = option(5, "short runs at as many volumes, for --volume eos", min=3, max=15, panel=BOX)
    eos_steps: int = option(1000, "of each of them, half of which count", min=10, panel=BOX)
    eos_temperature: float = option(0.0, "of them; 0: that of the melt", unit="K", min=0.0, max=20_000.0, panel=BOX)
    closest: float = option(
        0.6, "stop where atoms are nearer than this part of their covalent radii", min=0.0, max=1.0, panel=GUARDS
    )
    max_force: float = option(100.0, "stop beyond this force on an atom; 0: any", unit="eV/Å", min=0.0, panel=GUARDS)
    hotter: float = option(3.0, "stop beyond so many times the target temperature", min=1.0, panel=GUARDS)
    retries: int = option(
        2, "a box that was stopped begins again so often: other seed, half the step in the melt", min=0, panel=GUARDS
    )
    label_above: float = option(
        0.0, "keep frames with a larger sigma of an ensemble, to be labelled; 0: none", unit="meV/atom", min=0.0,
        panel=GUARDS,
    )  # fmt: skip
    label_apart: int = option(250, "steps between two frames that are kept to be labelled", min=1, panel=GUARDS)
    relax: Literal["cell", "isotropic", "ions", "none"] = option(
        "cell", "what is relaxed; the cell after the ions", panel=AFTER
    )
    fmax: float = option(0.05, "every force is below", unit="eV/Å", min=1e-6, panel=AFTER)
    relax_steps: int = option(1000, "moves of a relaxation at most", min=1, panel=AFTER)
    last_steps: int = option(500, "steps at the end that means are over; of the last stage at most", min=1, panel=AFTER)
    references: str = option(
        "elements",
        "formation energies from: elements (relaxed with the potential), none, or a CSV of element,eV",
        metavar="FILE",
        panel=AFTER,
    )
    compare: str = option(
        "", "energies of another theory: a CSV of id,energy or id,formation_energy in eV/atom, or structures",
        metavar="FILE", panel=AFTER,
    )  # fmt: skip
    trajectories: str = option(
        "", "trajectories of another theory to compare with, NAME.extxyz of each box", metavar="FOLDER", panel=AFTER
    )
    voltage: str = option("", "voltages of glasses that take up this element: Li", metavar="ELEMENT", panel=AFTER)
    keep_trajectories: bool = option(True, "keep the frames of every box", panel=AFTER)
    draw_boxes: bool = option(True, "pictures of every box (log, g(r), ramp, volumes): half a second each", panel=AFTER)
    shard: str = option("", "do only every m-th composition from the k-th: 1/4 … 4/4", metavar="K/M", panel=common.RUN)
    pictures: str = common.pictures()
    dtype: Literal["float64", "float32"] = option("float64", "in which a model evaluates; motion is float64")
    device: str = common.device()
    threads: int = common.threads()
    jobs: int = common.jobs()
    scheduler: str = common.scheduler()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", ",".join(formats(self.pictures)))
