"""Relaxers and samplers as they are asked: one that gives anything else than was agreed is named, with its plugin.

Only types and shapes are looked at, which costs some microseconds a step and waits for no device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated, Force, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.contracts.records import Relaxer, Sampler
from crystalcli.contracts.validation import call_problems
from crystalcli.engine.registry.at_fault import fault_of
from crystalcli.engine.registry.working_folder import staying
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import PluginFault


class _Mover:
    """The module that a part builds, and what is said of it where it does not keep the contract.

    Args:
        part: its record.
        options: for it.
        verbs: methods that it must have, and how many arguments they are called with.
        keywords: with which ``step`` is called, too.

    Raises:
        PluginFault: it has not.
    """

    def __init__(self, part: Relaxer | Sampler, options: Any, verbs: Mapping[str, int], *keywords: str) -> None:
        self.part = part
        made: Any = part.build(options)  # of a plugin: it may be anything
        self.module = made
        for verb, count in verbs.items():
            method = getattr(self.module, verb, None)
            if not callable(method):
                raise self.fault(f"builds a {type(self.module).__name__} without a method {verb}()")
            if said := call_problems(verb, method, count, *keywords if verb == "step" else ()):
                raise self.fault(f"builds a {type(self.module).__name__} whose {said[0]}")
        self.moves: Callable[..., Any] = staying()(self.module.step)

    def fault(self, does: str) -> PluginFault:
        """What is wrong, with the name of the plugin."""
        return fault_of(self.part.family, self.part.name, does)

    def parts_of(self, made: Any, n: int, wanted: str) -> tuple[Any, ...]:
        """``made`` by a step, if it is ``n`` things."""
        if not isinstance(made, tuple) or len(made) != n:
            many = f"{len(made)} things" if isinstance(made, tuple) else f"a {type(made).__name__}"
            raise self.fault(f"gives {many} for a step, not {wanted}")
        return made

    def like(self, made: Any, before: Tensor, what: str) -> None:
        """Refuse ``made`` if it is no tensor like ``before``."""
        if not isinstance(made, Tensor):
            raise self.fault(f"gives a {type(made).__name__} for {what}, not a tensor")
        if made.shape != before.shape or made.dtype != before.dtype:
            is_, wanted = (f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (made, before))
            raise self.fault(f"gives {what} of shape {is_}, not {wanted}")


class AskedRelaxer(_Mover):
    """A relaxer whose steps are looked at. Raises PluginFault where one is none."""

    def __init__(self, part: Relaxer, options: Any) -> None:
        super().__init__(part, options, {"init": 3, "step": 5})

    def init(self, x: Tensor, index: Tensor, n_structures: int) -> Any:
        """As :meth:`crystalcli.contracts.dynamics.RelaxerModule.init`."""
        return staying()(self.module.init)(x, index, n_structures)

    def step(self, state: Any, x: Tensor, energy: Tensor, forces: Tensor, active: Tensor) -> tuple[Tensor, Any]:
        """As :meth:`crystalcli.contracts.dynamics.RelaxerModule.step`."""
        new, state = self.parts_of(self.moves(state, x, energy, forces, active), 2, "(x, state)")
        self.like(new, x, "x")
        return new, state


class AskedSampler(_Mover):
    """A sampler whose steps are looked at. Raises PluginFault where one is none."""

    def __init__(self, part: Sampler, options: Any) -> None:
        verbs = {"init": 3, "step": 4, "conserved": 3}
        super().__init__(part, options, verbs, "dt", "temperature", "generator")
        said = getattr(self.module, "needs_stress", None)
        if not isinstance(said, bool):
            raise self.fault(f"builds a {type(self.module).__name__} that does not say needs_stress, True or False")
        self.needs_stress = said
        self.noisy: bool = getattr(self.module, "noisy", True)

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:
        """As :meth:`crystalcli.contracts.dynamics.SamplerModule.init`."""
        return self._state(staying()(self.module.init)(systems, temperature, generator))

    def step(
        self,
        systems: Systems,
        evaluated: Evaluated,
        state: State,
        force: Force,
        *,
        dt: float,
        temperature: Tensor,
        generator: StructureNoise,
    ) -> tuple[Systems, Evaluated, State]:
        """As :meth:`crystalcli.contracts.dynamics.SamplerModule.step`."""
        made = self.moves(systems, evaluated, state, force, dt=dt, temperature=temperature, generator=generator)
        moved, found, state = self.parts_of(made, 3, "(systems, evaluated, state)")
        if not isinstance(moved, Systems):
            raise self.fault(f"gives a {type(moved).__name__} for systems, not Systems")
        for name in ("positions", "velocities", "cell"):
            self.like(getattr(moved, name), getattr(systems, name), name)
        if not isinstance(found, Evaluated):
            raise self.fault(f"gives a {type(found).__name__} for evaluated, not Evaluated")
        return moved, found, self._state(state)

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:
        """As :meth:`crystalcli.contracts.dynamics.SamplerModule.conserved`."""
        kept: Tensor = self.module.conserved(systems, evaluated, state)
        self.like(kept, evaluated.energy, "what is conserved")
        return kept

    def _state(self, made: Any) -> State:
        if not isinstance(made, dict):
            raise self.fault(f"gives a {type(made).__name__} for its state, not a dict of tensors")
        for name, value in made.items():
            if not isinstance(value, Tensor):
                raise self.fault(f"gives a {type(value).__name__} for '{name}' of its state, not a tensor")
        return dict(made)
