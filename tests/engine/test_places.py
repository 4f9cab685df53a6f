"""Words that say where work is done."""

from pathlib import Path

import pytest

from crystalcli.engine.run.places import Place
from crystalcli.vocabulary.errors import UsageError


@pytest.mark.parametrize("wish", ["Slurm:short", "slurm:short:0", "slurm:a:b", "short", "tcp:8786x", "no/such/file"])
def test_what_means_no_scheduler_is_refused(wish: str) -> None:
    with pytest.raises(UsageError, match=r"--scheduler .*slurm:.*not '"):
        Place(0, wish)


@pytest.mark.parametrize("wish", ["", "slurm", "slurm:short", "slurm:short:20", "host:8786", "tls://h:1", "[::1]:86"])
def test_what_may_mean_one(wish: str, tmp_path: Path) -> None:
    assert Place(0, wish).scheduler == wish
    (tmp_path / "s.json").write_text("{}")
    assert Place(0, str(tmp_path / "s.json"))
    with pytest.raises(UsageError, match="no such scheduler file"):
        Place(0, str(tmp_path / "other.json"))
