"""What every model that a plugin brings must do."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
from ase.data import chemical_symbols

from crystalcli.contracts.records import ReadyModel
from crystalcli.nouns.structures.entry import Entry


class ReadyModelContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest."""

    part: ClassVar[ReadyModel]

    def test_its_file_is_that_of_its_card(self) -> None:
        """The file is there, its hash is the one of the card, and the card says licence and level of theory."""
        from crystalcli.engine.model import ready

        assert ready.checked(self.part).is_file()
        card = ready.card(self.part)
        assert all(card[k].strip() for k in ("licence", "level")), "licence and level of theory are empty"
        json.dumps(card, allow_nan=False)

    def test_it_predicts(self) -> None:
        """It can be loaded with the plugins that are here, and says a finite value of a crystal of its elements."""
        import ase.build

        from crystalcli.engine.model import ready
        from crystalcli.prediction.predictor import Predictor
        from crystalcli.prediction.rows import Row

        predictor = Predictor(ready.checked(self.part))
        known = sorted(predictor.model.spec.statistics.elements)
        symbol = chemical_symbols[known[len(known) // 2]] if known else "Si"
        atoms = ase.build.bulk(symbol, "fcc", a=4.1, cubic=True)
        atoms.rattle(0.05, seed=1)
        (row,) = predictor.of_entries([Entry("a", atoms, "a")])
        assert isinstance(row, Row), row
        for q in predictor.quantities:
            assert np.isfinite(np.asarray(row.values[q.name])).all(), f"{q.name} is not finite"
