"""Records of runs as VASP and LAMMPS write them, made by code: two copper atoms and a zinc atom, moving a little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

SYMBOLS = ("Cu", "Cu", "Zn")
CELL = np.array([[4.0, 0, 0], [1.0, 5, 0], [0, 0.5, 6]])
PLACES = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.1, 0.75]])
FORCES = np.array([[0.1, 0, 0], [-0.3, 0.2, 0], [0.2, -0.2, 0]])
KBAR = np.array([[10.0, 6, 5], [6, 20, 4], [5, 4, 30]])
"""As VASP prints it: compression positive."""


@dataclass(frozen=True)
class Step:
    """One step: free energies of its electronic steps, what E(σ → 0) lies above, and a shift of the third atom."""

    free: Sequence[float] = (-9.0, -10.0, -10.00001)
    zero: float = 0.25
    shift: float = 0.0
    forces: np.ndarray = field(default_factory=lambda: FORCES)

    @property
    def places(self) -> np.ndarray:
        return PLACES + np.outer([0, 0, self.shift], [1, 0, 0])


def _varray(name: str, rows: np.ndarray, kind: str = "") -> str:
    body = "".join(f"<v{kind}> {'  '.join(f'{x:.8f}' for x in row)} </v>\n" for row in rows)
    return f'<varray name="{name}" >\n{body}</varray>\n'


def _energy(free: float, zero: float) -> str:
    names = (("e_fr_energy", free), ("e_wo_entrp", free - 1), ("e_0_energy", zero))
    return "<energy>" + "".join(f'<i name="{n}"> {x:.8f} </i>' for n, x in names) + "</energy>\n"


def _structure(places: np.ndarray, name: str = "", more: str = "") -> str:
    named = f' name="{name}"' if name else ""
    crystal = f"<crystal>\n{_varray('basis', CELL)}</crystal>\n"
    return f"<structure{named}>\n{crystal}{_varray('positions', places)}{more}</structure>\n"


def vasprun(steps: Sequence[Step], *, nelm: int = 60, pstress: float = 0.0, selective: bool = False) -> str:
    """A whole ``vasprun.xml``."""
    rows = "".join(f"<rc><c>{s:2}</c><c> 1</c></rc>" for s in SYMBOLS)
    flags = '<varray name="selective">' + "<v> F F F </v><v> T T T </v><v> T F T </v>" + "</varray>"
    parts = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<incar></incar>\n',
        '<kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>\n',
        f'<parameters><separator name="e"><i type="int" name="NELM"> {nelm}</i><i name="EDIFF"> 0.0001</i></separator>',
        f'<i name="PSTRESS"> {pstress} </i><i type="string" name="SYSTEM">x</i></parameters>\n',
        f'<atominfo><atoms> 3 </atoms><array name="atoms"><set>{rows}</set></array></atominfo>\n',
        _structure(PLACES, "initialpos", flags if selective else ""),
    ]
    volume = abs(np.linalg.det(CELL))
    for step in steps:
        electronic = "".join(f"<scstep><time>1 2</time>{_energy(x, x + step.zero)}</scstep>\n" for x in step.free)
        whole = step.free[-1] + 0.1 / 160.21766208 * pstress * volume
        parts.append(
            f"<calculation>\n{electronic}{_structure(step.places)}{_varray('forces', step.forces)}"
            f"{_varray('stress', KBAR)}{_energy(whole, whole - 77)}"
            "<eigenvalues><array><set><r> **** 1 </r></set></array></eigenvalues></calculation>\n"
        )
    return "".join(parts) + _structure(steps[-1].places, "finalpos") + "</modeling>\n"


def outcar(steps: Sequence[Step], *, nelm: int = 60, says: str = "aborting loop because EDIFF is reached") -> str:
    """What ASE's parser needs of an OUTCAR."""
    lines = [" vasp.6.3.0 20Jan22 complex", "", *(f" POTCAR:    PAW_PBE {s} 06Sep2000" for s in ("Cu", "Zn") * 2)]
    for element in ("Cu", "Zn"):
        lines += [f"   VRHFIN ={element}:", f"   TITEL  = PAW_PBE {element} 22Jun2005"]
    lines += [
        "   ions per type =               2   1",
        f"   NELM   =     {nelm};   NELMIN=  2; NELMDL= -5",
        "   ISPIN  =      1",
    ]
    xx, yy, zz, xy, yz, zx = KBAR[0, 0], KBAR[1, 1], KBAR[2, 2], KBAR[0, 1], KBAR[1, 2], KBAR[2, 0]
    for k, step in enumerate(steps, 1):
        lines += [f"--------------- Iteration {k:6d}({j:4d})  -----------" for j in range(1, len(step.free) + 1)]
        lines += [f"------------------------ {says} -----------"] if says else []
        lines += ["  in kB    " + " ".join(f"{x:.5f}" for x in (xx, yy, zz, xy, yz, zx))]
        lines += ["  external pressure =       -1.00 kB  Pullay stress =        0.00 kB", ""]
        lines += ["      direct lattice vectors                 reciprocal lattice vectors"]
        lines += ["".join(f" {x:13.9f}" for x in (*row, 0.0, 0.0, 0.0)) for row in CELL]
        lines += ["", " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 80]
        for place, force in zip(step.places @ CELL, step.forces, strict=True):
            lines.append("".join(f" {x:13.6f}" for x in (*place, *force)))
        lines += [" " + "-" * 80, "", "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 50]
        free = step.free[-1]
        lines += [f"  free  energy   TOTEN  = {free:18.8f} eV", ""]
        lines += [f"  energy  without entropy= {free:18.8f}  energy(sigma->0) = {free + step.zero:18.8f}", ""]
    return "\n".join(lines) + "\n General timing and accounting informations for this job:\n"


def xdatcar(steps: Sequence[Step], *, moving_cell: bool = False) -> str:
    """An XDATCAR; with a header for every frame if the cell moves."""
    head = "CuZn\n 1\n" + "".join(" ".join(f"{x:.6f}" for x in row) + "\n" for row in CELL) + "Cu Zn\n2 1\n"
    text = ""
    for k, step in enumerate(steps, 1):
        text += head if moving_cell or k == 1 else ""
        text += f"Direct configuration= {k:5d}\n" + "".join(" ".join(f"{x:.8f}" for x in p) + "\n" for p in step.places)
    return text


def dump(
    steps: Sequence[Step],
    *,
    columns: str = "id type element x y z fx fy fz c_pe",
    units: str = "",
    pbc: str = "pp pp pp",
    cell: np.ndarray = CELL,
) -> str:
    """A text dump of LAMMPS with the atoms in the wrong order, in a box whose corner is not the origin."""
    low = np.array([1.0, 2.0, 3.0])
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    high = low + np.diag(cell)
    bounds = [
        (low[0] + min(0, xy, xz, xy + xz), high[0] + max(0, xy, xz, xy + xz), xy),
        (low[1] + min(0, yz), high[1] + max(0, yz), xz),
        (low[2], high[2], yz),
    ]
    text = f"ITEM: UNITS\n{units}\n" if units else ""
    for k, step in enumerate(steps):
        text += f"ITEM: TIMESTEP\n{10 * k}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS xy xz yz {pbc}\n"
        text += "".join(" ".join(f"{x:.6f}" for x in row) + "\n" for row in bounds)
        text += f"ITEM: ATOMS {columns}\n"
        for j in (2, 0, 1):
            place, scaled = step.places[j] @ cell + low, step.places[j]
            known = {"id": j + 1, "type": 1 + (SYMBOLS[j] == "Zn"), "element": SYMBOLS[j], "c_pe": -1.5 - j}
            for axis, letter in enumerate("xyz"):
                known |= {letter: place[axis], f"{letter}u": place[axis], f"{letter}s": scaled[axis]}
                known |= {f"{letter}su": scaled[axis], f"f{letter}": step.forces[j, axis], f"v{letter}": 0.5 * axis}
            words = (known[c] for c in columns.split())
            text += " ".join(f"{w:.8f}" if isinstance(w, float) else str(w) for w in words) + "\n"
    return text
