"""A prediction as the work of a workflow: values on stdout or in a file, and beside it what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.run_options import ANYWHERE
from crystalcli.contracts.workflow import Running, Work
from crystalcli.engine.drawing import site_plots
from crystalcli.engine.evaluate import metrics
from crystalcli.engine.labels.label_requests import parse
from crystalcli.engine.model.latent import Latents
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.run import files
from crystalcli.engine.run.devices import choose_device
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.run_folder import sha256
from crystalcli.prediction.errors import Compared
from crystalcli.prediction.life import Life
from crystalcli.prediction.options import PredictOptions
from crystalcli.prediction.output import Writer, format_of, opened, that_fits
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.reading import GraphReading
from crystalcli.prediction.rows import Row
from crystalcli.prediction.sites import similar_table
from crystalcli.vocabulary.errors import Exit, NothingUsable, UsageError
from crystalcli.vocabulary.pictures import of_any_format, paths
from crystalcli.vocabulary.tables import json_line
from crystalcli.vocabulary.texts import file_word

FREE = ANYWHERE | {"model", "device", "seconds_per_file", "memory_per_job"}
"""Options that make no other files; the model counts by its content."""


class Predicting(Work):
    """What a prediction has looked up: the model, the form of the values, and that they may be written.

    Args:
        request: what is asked.
        host: hears of it, and takes the values where no file does.
        reading: of the inputs; none where only the plan is asked.

    Attributes:
        held: given back at the end.

    Raises:
        UsageError, InputError, EnvironmentProblem: no such model or device; files that are there.
    """

    def __init__(self, request: Request, host: Host, reading: GraphReading | None) -> None:
        self.held = ExitStack()
        self.host, self.reading = host, reading
        o: PredictOptions = request.options
        self.asked, self.output = o, o.output
        if o.threads:
            torch.set_num_threads(o.threads)
        self.kind = format_of(o.output, o.format, people=host.people)
        named = [] if o.latent is None else [o.latent]
        self.life = Life(o.output, named, _command(o), overwrite=request.overwrite)
        if o.similar is not None and o.output is None:
            raise UsageError("--similar needs an output file, beside which its table is written: -o FILE")
        self.among = None if o.similar is None else Latents.load(o.similar)
        self.vectors: list[tuple[str, Any, Any]] = []
        p = self.predictor = Predictor(
            o.model,
            device=o.device if o.scheduler else choose_device(o.device),
            batch_size=o.batch_size,
            allow_unseen=o.allow_unseen_elements,
            unseen_cure="; --allow-unseen-elements predicts nevertheless",
            labels=parse(o.labels) or (),
            latent=o.latent is not None or o.similar is not None,
            place=Place(0, o.scheduler),
            warn=host.warn,
        )
        self.kind = that_fits(self.kind, o.format, p.quantities)
        self.writer = Writer(
            self.kind,
            p.quantities,
            p.calibrations,
            says_domain=p.rows.domain.is_known,
            labelled=p.labelled,
            as_results=o.as_results,
        )
        self.known, self.labelled = 0, 0
        self.caches = [] if reading is None else [p.stem for p in reading.caches]
        self.compared = [Compared(q, p.model.head) for q in p.quantities]

    def close(self) -> None:
        """End the reading."""
        self.held.close()

    def describe(self) -> Mapping[str, Any]:
        """The resolved plan."""
        quantities = ", ".join(f"{q.name} [{q.unit or 'unit unknown'}]" for q in self.predictor.quantities)
        n = len(expand(self.asked.inputs))
        return {
            "model": str(self.predictor.path),
            "files": n,
            "format": self.kind,
            "targets": quantities,
        }

    def do(self, _run: Running) -> Mapping[str, Any]:
        """Predict.

        Raises:
            NothingUsable: no structure could be predicted.
        """
        with self.life.held():
            return self._do()

    def _do(self) -> dict[str, Any]:
        assert self.reading is not None
        failures: list[Failure] = []
        rows: list[dict[str, Any]] = []
        try:
            n = self._stream(self.reading, failures, rows)
        except NothingUsable:
            n = 0
        beside = self._write_failures(failures)
        if n == 0:
            see = f"; see {beside}" if beside else ""
            raise NothingUsable(f"none of {len(failures)} structures could be predicted{see}")
        p = self.predictor
        report = {
            "model": str(p.path),
            "output": _name(self.output),
            "n": n,
            **self._write_latents(),
            "extrapolating": p.noticed.extrapolated,
            "failed": [f.to_json() for f in failures],
            "failures_file": _name(beside),
            "without_column": self.writer.without_column,
            "calibrations": p.calibrations,
            "errors": {c.shown_as.name: row for c in self.compared if (row := self._errors(c)) is not None},
            "labelled": self.labelled,
            "labelled_known": self.known,
            "known_how": p.taught.how,
            "doubt": p.taught.doubt if self.labelled else "",
            "files_said": p.noticed.files.lines(),
            "warnings": dict(p.noticed.warned),
            **p.noticed.files.to_json(),
            "exit_code": int(Exit.SOME_FAILED if failures else Exit.OK),
        }
        return report | ({"rows": rows} if self.output is None else {})

    def _stream(self, reading: GraphReading, failures: list[Failure], rows: list[dict[str, Any]]) -> int:
        if self.output is not None:
            with opened(self.output, self.life.mark) as write:
                n = self._written(reading, failures, lambda row: write(self.writer.text(row)))
                if n == 0:
                    raise NothingUsable("no row for the table")
                write(self.writer.end())
            return n
        deliver = self.host.deliver
        if deliver is None:
            return self._written(reading, failures, lambda row: rows.append(self.writer.object(row)))
        n = self._written(reading, failures, lambda row: deliver(self.writer.text(row)))
        deliver(self.writer.end())
        return n

    def _written(self, reading: GraphReading, failures: list[Failure], write: Callable[[Row], object]) -> int:
        """Predict all, write what comes; how many."""
        n = 0
        total = reading.about()
        of = f" of {total}" if total else ""
        for k, item in enumerate(self.predictor.predict(reading), 1):
            self.host.progress(f"{k}{of} structures", k, total)
            if isinstance(item, Failure):
                failures.append(item)
                self.host.warn(str(item))
                continue
            n += 1
            self._take(item)
            write(item)
        return n

    def _take(self, row: Row) -> None:
        if row.labels:
            self.labelled += 1
            self.known += self.predictor.taught.knows(row.crystal, row.id, self.caches)
        for c in self.compared:
            c.add(row)
        if row.latent is not None:
            self.vectors.append((row.id, row.atoms.numbers, row.latent))

    def _write_latents(self) -> dict[str, Any]:
        """The vectors of the sites, and the sites that look alike; what there is to say of both."""
        said: dict[str, Any] = {"latent": None, "similar": None}
        if not self.vectors:
            return said
        found = Latents.joined(self.vectors)
        if (path := self.asked.latent) is not None:
            files.clear_dead(path)
            found.save(path)
            sites, width = found.vectors.shape
            said["latent"] = {"file": str(path), "sites": sites, "width": width}
        if self.among is not None and self.output is not None:
            path = self._beside("-similar.csv")
            files.write_text(path, similar_table(found, self.among))
            said["similar"] = str(path)
        return said

    def _write_failures(self, failures: list[Failure]) -> Path | None:
        """List them beside the output; where."""
        if self.output is None:
            return None
        path = self._beside(".failures.jsonl")
        if not failures:
            files.remove(path)
            return None
        files.write_text(path, "".join(json_line(f.to_json()) for f in failures))
        return path

    def _beside(self, ending: str) -> Path:
        """A file beside the output, without what a killed program left of it."""
        assert self.output is not None
        path = self.output.with_name(self.output.stem + ending)
        files.clear_dead(path)
        return path

    def _errors(self, compared: Compared) -> dict[str, Any] | None:
        """Errors of one target, with pictures beside the output; none without labels."""
        errors = compared.errors()
        if errors is None:
            return None
        kind = "parity" if isinstance(errors, metrics.Errors) else "confusion"
        return {
            "unit": compared.shown_as.unit,
            **errors.to_json(),
            **compared.more(),
            **compared.uncertainty(),
            **self._draw(compared, kind),
        }

    def _draw(self, compared: Compared, kind: str) -> dict[str, list[str]]:
        """Pictures of one target beside the output, without what a killed program left of them; where they are."""
        if self.output is None:
            return {"pictures": [], "pictures_by_element": []}
        home, stem = self.output.parent, f"{self.output.stem}-"
        picture = home / f"{stem}{kind}-{file_word(compared.quantity.name)}"
        for old in of_any_format([picture, *(home / name for name in site_plots.names(stem, compared.quantity))]):
            files.clear_dead(old)
        drawn, title = paths(picture, self.asked.pictures), str(self.predictor.path)
        compared.draw(drawn, title)
        by_element = compared.draw_elements(home, stem, title, self.asked.pictures)
        return {"pictures": [str(p) for p in drawn], "pictures_by_element": [str(p) for p in by_element]}


def _command(asked: PredictOptions) -> dict[str, Any]:
    """What makes the files, as plain values."""
    return {k: v for k, v in opt.to_dict(asked).items() if k not in FREE} | {"sha256": sha256(named_by(asked.model))}


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)
