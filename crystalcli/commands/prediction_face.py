"""How predictions come out: the values on stdout or in a file, all talk on stderr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from crystalcli.commands.console import Face
from crystalcli.commands.streams import deliver, refuse_closed
from crystalcli.mechanisms.drawing import site_plots
from crystalcli.mechanisms.labelling.label_requests import parse
from crystalcli.mechanisms.models.latent import Latents
from crystalcli.mechanisms.models.model_head import named_by
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.devices import choose_device
from crystalcli.mechanisms.running.display import shown
from crystalcli.mechanisms.running.places import Place
from crystalcli.mechanisms.running.run_folder import sha256
from crystalcli.mechanisms.scoring import metrics
from crystalcli.mechanisms.structure_files.inputs import expand
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.vocabulary.errors import Exit, NothingUsable, UsageError
from crystalcli.vocabulary.pictures import DEFAULT, of_any_format, paths
from crystalcli.vocabulary.texts import file_word
from crystalcli.workflows.predict.prediction import Predictor, Row
from crystalcli.workflows.predict.prediction_errors import Compared
from crystalcli.workflows.predict.prediction_life import Life
from crystalcli.workflows.predict.prediction_output import Writer, failure_line, format_of, opened
from crystalcli.workflows.predict.prediction_reading import Reading
from crystalcli.workflows.predict.prediction_sites import similar_table


@dataclass(frozen=True)
class PredictionWish:
    """What was typed."""

    model: Path
    inputs: tuple[str, ...]
    output: Path | None
    format: str | None
    labels: tuple[str, ...]
    allow_unseen: bool
    batch_size: int
    device: str
    threads: int
    overwrite: bool
    latent: Path | None = None
    similar: Path | None = None
    scheduler: str = ""
    as_results: bool = False
    pictures: str = DEFAULT

    def command(self, model: Path) -> dict[str, Any]:
        """What makes the files: all but where and by how many threads, the model by its content."""
        free = ("model", "device", "threads", "overwrite", "scheduler")
        typed = {k: v if v is None else str(v) for k, v in vars(self).items() if k not in free}
        return typed | {"sha256": sha256(model)}


class PredictionFace:
    """Runs a prediction for a person or a program.

    Values go to stdout unless there is an output file or ``--json``; then talk goes to stderr.
    """

    def __init__(self, face: Face, wish: PredictionWish, *, dry_run: bool = False) -> None:
        self.wish = wish
        self.json = face
        to_stdout = wish.output is None
        self.talk = Face(json=face.json or to_stdout, quiet=face.quiet)
        prepare_cpu()
        if wish.threads:
            torch.set_num_threads(wish.threads)
        self.kind = format_of(wish.output, wish.format)
        if to_stdout and not dry_run:
            refuse_closed()
        named = [] if wish.latent is None else [wish.latent]
        command = wish.command(named_by(wish.model))
        self.life = Life(wish.output, named, command, overwrite=wish.overwrite)
        if wish.similar is not None and wish.output is None:
            raise UsageError("--similar needs an output file, beside which its table is written: -o FILE")
        self.among = None if wish.similar is None else Latents.load(wish.similar)
        self.vectors: list[tuple[str, Any, Any]] = []
        self.predictor = Predictor(
            wish.model,
            device=wish.device if wish.scheduler else choose_device(wish.device),
            batch_size=wish.batch_size,
            allow_unseen=wish.allow_unseen,
            labels=parse(wish.labels) or (),
            latent=wish.latent is not None or wish.similar is not None,
            place=Place(0, wish.scheduler),
            warn=face.warn,
        )
        p = self.predictor
        self.writer = Writer(
            self.kind,
            p.quantities,
            p.calibrations,
            says_domain=p.domain.is_known,
            labelled=p.labelled,
            as_results=wish.as_results,
        )
        self.compared = [Compared(q, p.model.head) for q in p.quantities]

    def describe(self) -> int:
        """Show the resolved plan."""
        quantities = ", ".join(f"{q.name} [{q.unit or 'unit unknown'}]" for q in self.predictor.quantities)
        n = len(expand(self.wish.inputs))
        self.talk.say(f"{self.predictor.path}: predicts {quantities}; {n} files as {self.kind}; nothing was written")
        self.json.result(
            {"model": str(self.predictor.path), "files": n, "format": self.kind, "targets": quantities, "exit_code": 0}
        )
        return Exit.OK

    def run(self, reading: Reading) -> int:
        """Predict; returns the exit code."""
        with self.life.held():
            return self._run(reading)

    def _run(self, reading: Reading) -> int:
        failures: list[Failure] = []
        objects: list[dict[str, Any]] = []
        try:
            n = self._stream(reading, failures, objects)
        except NothingUsable:
            n = 0
        beside = self._write_failures(failures)
        if n == 0:
            raise NothingUsable(f"none of {len(failures)} structures could be predicted{beside}")
        self._write_latents()
        report = self._report(n, failures)
        for line in self.predictor.files.lines():
            self.talk.say(line)
        if self.predictor.extrapolated:
            self.talk.say(f"{self.predictor.extrapolated} of {n} are extrapolations; each row says why")
        if self.writer.without_column:
            self.talk.warn(
                f"{self.writer.without_column} structures have labels that came too late for a column 'true'; "
                "they are in the errors; -o FILE.jsonl holds them"
            )
        code = Exit.SOME_FAILED if failures else Exit.OK
        if failures:
            self.talk.warn(f"{n} predicted, {len(failures)} failed{beside}")
        elif self.wish.output is not None:
            self.talk.say(f"{n} predicted -> {self.wish.output}")
        report |= self.predictor.files.to_json()
        self.json.result({**report, "exit_code": int(code), **({"rows": objects} if self.wish.output is None else {})})
        return code

    def _stream(self, reading: Reading, failures: list[Failure], objects: list[dict[str, Any]]) -> int:
        if self.wish.output is not None:
            with opened(self.wish.output, self.life.mark) as write:
                n = self._written(reading, failures, lambda row: write(self.writer.text(row)))
                if n == 0:
                    raise NothingUsable("no row for the table")
                write(self.writer.end())
            return n
        if self.json.json:
            return self._written(reading, failures, lambda row: objects.append(self.writer.object(row)))
        n = self._written(reading, failures, lambda row: deliver(self.writer.text(row)))
        deliver(self.writer.end())
        return n

    def _written(self, reading: Reading, failures: list[Failure], write: Callable[[Row], object]) -> int:
        """Predict all, write what comes; how many."""
        n = 0
        for item in self.predictor.predict(reading):
            if isinstance(item, Failure):
                failures.append(item)
                self.talk.warn(str(item))
                continue
            n += 1
            self._take(item)
            write(item)
        return n

    def _take(self, row: Row) -> None:
        for c in self.compared:
            c.add(row)
        if row.latent is not None:
            self.vectors.append((row.id, row.atoms.numbers, row.latent))

    def _write_latents(self) -> None:
        """The vectors of the sites, and the sites that look alike."""
        if not self.vectors:
            return
        found = Latents.joined(self.vectors)
        if self.wish.latent is not None:
            files.clear_dead(self.wish.latent)
            found.save(self.wish.latent)
            self.talk.say(f"{len(found.vectors)} vectors of {found.vectors.shape[1]} numbers -> {self.wish.latent}")
        if self.among is not None and self.wish.output is not None:
            path = self._beside("-similar.csv")
            files.write_text(path, similar_table(found, self.among))
            self.talk.say(f"similar sites -> {path}")

    def _write_failures(self, failures: list[Failure]) -> str:
        if self.wish.output is None:
            return ""
        path = self._beside(".failures.jsonl")
        if not failures:
            files.remove(path)
            return ""
        files.write_text(path, "".join(failure_line(f) for f in failures))
        return f"; see {path}"

    def _beside(self, ending: str) -> Path:
        """A file beside the output, without what a killed program left of it."""
        assert self.wish.output is not None
        path = self.wish.output.with_name(self.wish.output.stem + ending)
        files.clear_dead(path)
        return path

    def _draw(self, compared: Compared, kind: str) -> None:
        """Pictures of one target beside the output, without what a killed program left of them."""
        assert self.wish.output is not None
        home, stem = self.wish.output.parent, f"{self.wish.output.stem}-"
        picture = home / f"{stem}{kind}-{file_word(compared.quantity.name)}"
        for old in of_any_format([picture, *(home / name for name in site_plots.names(stem, compared.quantity))]):
            files.clear_dead(old)
        drawn = paths(picture, self.wish.pictures)
        compared.draw(drawn, f"{self.predictor.path}")
        for path in drawn:
            self.talk.say(f"{kind} plot -> {path}")
        for path in compared.draw_elements(home, stem, f"{self.predictor.path}", self.wish.pictures):
            self.talk.say(f"plot by element -> {path}")

    def _report(self, n: int, failures: list[Failure]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for c in self.compared:
            errors = c.errors()
            if errors is None:
                continue
            q = c.shown_as
            found[q.name] = {"unit": q.unit, **errors.to_json(), **c.more(), **c.uncertainty()}
            if isinstance(errors, metrics.Errors):
                as_said = replace(q, unit=errors.unit or q.unit)
                said = (
                    f"{errors.word} {shown(errors.mae, as_said)}, RMSE {shown(errors.rmse, as_said)}, "
                    f"max error {shown(errors.max_error, as_said)}"
                )
            else:
                area = "" if errors.roc_auc is None else f"ROC-AUC {errors.roc_auc:.4f}, "
                said = f"accuracy {errors.accuracy:.4f}, {area}log loss {errors.log_loss:.4f}"
            self.talk.say(f"{c.quantity.name}: {said} ({errors.n} labels)")
            for line in sigma_lines(c.quantity.name, c.uncertainty(), self.predictor.calibrations):
                self.talk.say(line)
            if self.wish.output is not None:
                kind = "parity" if isinstance(errors, metrics.Errors) else "confusion"
                self._draw(c, kind)
        return {
            "model": str(self.predictor.path),
            "output": None if self.wish.output is None else str(self.wish.output),
            "n": n,
            "extrapolating": self.predictor.extrapolated,
            "failed": [{"id": f.id, "path": f.path, "stage": f.stage, "reason": f.reason} for f in failures],
            "errors": found,
        }


def sigma_lines(name: str, found: Mapping[str, Any], calibrations: Mapping[str, str]) -> list[str]:
    """What errors say of the σ of target ``name``: how many lie inside, and whether it was calibrated."""
    if not found:
        return []
    said, c = [], found["calibration"]
    if c is not None:
        rank = "" if c["spearman"] is None else f", rank correlation with the error {c['spearman']:.2f}"
        said.append(
            f"sigma of {name} ({calibrations[name]}): {c['within_1_sigma']:.1%} within 1σ, {c['within_2_sigma']:.1%} "
            f"within 2σ, mean z² {c['mean_z2']:.2f}{rank}"
        )
    if found["intervals"]:
        shares = ", ".join(f"of {level} % {share:.1%}" for level, share in found["intervals"].items())
        said.append(f"intervals of {name} hold: {shares}")
    return said
