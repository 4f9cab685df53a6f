"""What the host does for the workflows of plugins, which cannot reach readers and models themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.vocabulary.errors import InputError

if TYPE_CHECKING:
    from crystalcli.contracts.dynamics import Potential
    from crystalcli.contracts.records import Part
    from crystalcli.nouns.structures.entry import Entry


@dataclass(frozen=True)
class Services(Host):
    """A host in full; see :class:`crystalcli.contracts.host.Host`."""

    def structures(self, files: Sequence[str]) -> Iterator[Entry | InputError]:
        """Structures of the files, in order, and an error for each that cannot be read."""
        from crystalcli.engine.read.reading import Failure
        from crystalcli.engine.read.supervised_reading import read_inputs
        from crystalcli.nouns.structures.read_options import UNLABELLED

        for item in read_inputs([Path(f) for f in files], UNLABELLED):
            if isinstance(item, Failure):
                yield InputError(item.reason, path=item.path, code=item.code)
                continue
            for text in item.warnings:
                self.warn(f"{item.id}: {text}")
            yield item

    def potential(self, request: Request, option: str = "potential", **more: Any) -> Potential:
        """The potential that an option names, with the options of its part."""
        from crystalcli.engine.potential.potentials import named

        chosen = request.parts.get(option)
        return named(getattr(request.options, option), options=chosen.options if chosen else {}, **more)

    def model_file(self, text: str) -> Path | None:
        """The model file that the value of an option means; none where it means none."""
        from crystalcli.engine.potential.potential_names import model_file

        return model_file(text)

    def part(self, family: str, chosen: Chosen) -> Part:
        """The record of a part, its options looked at; without a name the default."""
        from crystalcli.contracts import options as opt
        from crystalcli.engine.registry.plugin_manager import registry

        record = registry().get(family, chosen.name or registry().default(family))
        opt.make(record.options, chosen.options, owner=f"{family} {record.name}")
        return record

    def writing(self, path: Path) -> AbstractContextManager[IO[bytes]]:
        """A file that appears whole when the block is left; what a killed program left beside it goes."""
        from crystalcli.engine.run import files

        if path.parent.is_dir():
            files.clear_dead(path)
        return files.writing(path)
