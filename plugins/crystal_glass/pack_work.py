"""The work of ``crystal pack``: boxes into one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystal_glass.box_options import EOS, PackOptions
from crystal_glass.boxes import boxes_of, frame, phases, refuse_hopeless, rounded
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Running, Work
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError

ENDINGS = ("", ".xyz", ".extxyz")
"""Of a file of boxes."""


class Packing(Work):
    """Boxes with their volumes looked up.

    Raises:
        UsageError: no composition, no volume, or a file that is there.
    """

    def __init__(self, request: Request, host: Host) -> None:
        o: PackOptions = request.options
        self.options = o
        if o.volume == EOS:
            raise UsageError(f"--volume {EOS} takes runs of a potential: crystal glass has it, crystal pack has none")
        if o.output.suffix.lower() not in ENDINGS:
            raise UsageError("would be extended XYZ under this name; give -o FILE.extxyz", path=o.output)
        if o.output.exists() and not request.overwrite and not request.dry_run:
            raise UsageError("is there; --overwrite replaces it", path=o.output)
        self.boxes = boxes_of(o, phases(o, host))
        for line in rounded(self.boxes):
            host.warn(line)
        refuse_hopeless(self.boxes, o, host)
        self.inputs = [Path(p) for p in (*o.phases, *((o.compositions,) if o.compositions else ()))]

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        return {"boxes": [b.told() for b in self.boxes], "output": str(self.options.output)}

    def do(self, run: Running) -> Mapping[str, Any]:
        """Pack them all."""
        o, failed, rows = self.options, [], []
        with run.reporter.writing(o.output) as file:
            for k, one in enumerate(self.boxes, 1):
                try:
                    packed = one.packed(o)
                except InputError as problem:
                    failed.append({"id": one.name, "reason": problem.reason})
                    continue
                told = one.told()
                rows.append({**told, "nearest": packed.nearest, "steps": packed.steps})
                file.write(frame(packed, told).encode())
                run.reporter.progress(f"{k} of {len(self.boxes)} packed", k, len(self.boxes))
            if not rows:
                raise NothingUsable(f"no box could be packed: {failed[0]['id']}: {failed[0]['reason']}")
        return {"boxes": rows, "failed": failed, "output": str(o.output), "exit_code": 3 if failed else 0}
