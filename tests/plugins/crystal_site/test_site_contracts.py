"""The parts of the package keep the contracts."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
from crystal_site import NEIGHBORHOOD, SITE

from crystalcli.contracts.validation import part_problems
from crystalcli.engine.cache.cache import Column
from crystalcli.testing import ArchitectureContract, HeadContract
from crystalcli.vocabulary.quantities import Quantity


class TestSite(HeadContract):
    part = SITE


class TestOneTargetManyLayers(HeadContract):
    part = SITE
    options = {"n_hidden": 3, "hidden": 7}
    targets = (Quantity("magmom", "µB", "site"),)
    means = (1.5,)
    scales = (2.0,)


class TestPositive(HeadContract):
    part = SITE
    options = {"positive": True}
    means = (3.0, 0.5)


class TestConserved(HeadContract):
    part = SITE
    options = {"conserve": "gap"}


class TestEveryCrystalTheSame(HeadContract):
    part = SITE
    options = {"weigh": "crystals", "target_weights": "gap=0.5"}


class TestNeighborhood(ArchitectureContract):
    part = NEIGHBORHOOD
    options = {"width": 16}


class TestFewNeighbors(ArchitectureContract):
    part = NEIGHBORHOOD
    options = {"width": 8, "neighbors": 3, "n_layers": 1}


def test_the_head_s_recipe_is_the_default_and_only_settings_have_one(tmp_path: Path) -> None:
    from common import small_cache

    from crystalcli.cli.main import run

    columns = [Column(Quantity("q", "e", "site"), np.arange(84.0), np.ones(84, dtype=bool))]
    cache = small_cache.write(tmp_path / "graphs.h5", columns=columns)
    report = io.StringIO()
    with redirect_stdout(report):
        assert run(["train", str(cache), "--head", "site", "--lr", "0.5", "--dry-run", "--json"]) == 0
    recipe = json.loads(report.getvalue())["recipe"]
    assert (recipe["epochs"], recipe["ema"], recipe["lr"]) == (60, 0.998, 0.5)
    assert part_problems(SITE) == []
    assert "no setting 'batch'" in part_problems(replace(SITE, recipe={"batch": 8}))[0]
    assert part_problems(replace(SITE, recipe=3))  # type: ignore[arg-type]
