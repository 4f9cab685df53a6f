"""The command line of a workflow that has no run folder: its results are files that its own options name, or stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from crystalcli.cli.console import Face
from crystalcli.cli.invocation import Invocation
from crystalcli.cli.streams import deliver, refuse_closed
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Stop, exit_code
from crystalcli.engine.run import files, progress
from crystalcli.vocabulary.errors import Stopped, UsageError


def _refuse_folder(output: Path | None) -> None:
    """Raise UsageError where a file is to be written and a folder is named."""
    if output is not None and (output.name in ("", "..") or output.is_dir()):
        raise UsageError("is a folder, not a file; name a file in it", path=output)


@dataclass
class FileRunning:
    """See :class:`crystalcli.contracts.workflow.Running`."""

    reporter: Host
    stop: Stop


@dataclass
class FileInvocation(Invocation):
    """One command line of a workflow without a run folder."""

    def code(self) -> int:
        """Do it; the exit code."""
        request = self._asked(Path())
        _refuse_folder(request.options.output)
        answer, delivers = self.face, self.workflow.delivers(request.options)
        self.face = Face(json=answer.json or delivers, quiet=answer.quiet)
        if delivers and not request.dry_run:
            refuse_closed()
        data = self._described(request) if request.dry_run else self._done(request, delivers and not answer.json)
        answer.result(data)
        return int(exit_code(data))

    def _described(self, request: Request) -> Mapping[str, Any]:
        with self.face.own_stdout(), closing(self.workflow.prepared(request, self._services())) as work:
            data = work.describe()
        self._show(self.workflow.plan(data))
        return data

    def _done(self, request: Request, delivers: bool) -> Mapping[str, Any]:
        with self._stopping() as stop, self._reporter() as reporter, self._followed(request, reporter) as followed:
            to_stdout = partial(deliver, sys.stdout) if delivers else None
            host = replace(followed, deliver=to_stdout, people=delivers and sys.stdout.isatty())
            with self.face.own_stdout(), closing(self.workflow.prepared(request, host)) as work:
                if "torch" in sys.modules:  # what has no use for it does not load it for this
                    from crystalcli.engine.run.devices import prepare_cpu

                    prepare_cpu()
                # it asks for no more of a run: its record says that its home is a file
                data = dict(work.do(cast(Run, FileRunning(host, stop))))
        data["exit_code"] = int(exit_code(data))
        self._show(self.workflow.show(data))
        return data

    @contextmanager
    def _followed(self, request: Request, reporter: Host) -> Iterator[Host]:
        """Its progress is kept in a hidden file beside what it writes, while it works and when it was stopped."""
        output: Path | None = request.options.output
        if output is None:
            yield reporter
            return
        name = progress.beside(output)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        facts = {"command": self.workflow.name, "argv": sys.argv, "started": began}
        notes = progress.Notes(lambda text: files.note(name, text), facts=facts)
        try:
            yield replace(reporter, hear=progress.both(reporter.hear, notes.hear))
        except Stopped:
            raise
        except BaseException:
            files.remove_note(name)
            raise
        files.remove_note(name)

    @contextmanager
    def _stopping(self) -> Iterator[Stop]:
        """Signals ask to stop, if it can go on; else they interrupt it."""
        from crystalcli.engine.run import stopping

        if not self.workflow.resumes:
            yield stopping.StopSignal()
            return
        with stopping.StopSignal(stopping.seconds(self.values["time_limit"])).listening() as stop:
            yield stop

    def _warn(self, text: str) -> None:
        """All are said: there is no log that would hold the rest."""
        self.face.warn(text)

    def _beside_the_bar(self, text: str) -> None:
        """There is no log: what is said is seen above the bar, too."""
        self.face.line(text)
