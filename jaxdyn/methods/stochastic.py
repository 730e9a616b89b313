"""Methods of stochastic systems: one step for given increments of the Wiener processes.

Each knows one of the two interpretations; an equation of the other one is converted exactly, see `SDE.correction`.
"""

from typing import Any, ClassVar

import jax

from jaxdyn._record import record
from jaxdyn._types import Array
from jaxdyn.methods.method import Rhs, Step
from jaxdyn.stochastic import SDE, Ito

__all__ = ["EulerMaruyama", "Milstein", "StochasticHeun", "StochasticMethod", "default_method"]


@record
class StochasticMethod:
    """Common ground of the methods; each one says how a step uses its increments."""

    stochastic: ClassVar[bool] = True

    def init(self, rhs: Rhs, t: Array, x: Array) -> None:
        """Nothing is reused."""
        return None

    def step(self, rhs: Rhs, t: Array, x: Array, dt: Array, carry: None) -> Step:
        """Advance `x` from `t` to `t + dt` with the noise that the system has in this step."""
        if not isinstance(rhs, SDE):
            raise TypeError(
                f"{type(self).__name__} advances stochastic systems, got {type(rhs).__name__}; make one with jaxdyn.sde"
            )
        return Step(self.advanced(rhs, t, x, dt, rhs.increments(t, dt)), None, None)

    def advanced(self, system: SDE, t: Array, x: Array, dt: Array, dw: Array) -> Array:
        """State after a step with the increments `dw` (m,)."""
        raise NotImplementedError


@record
class EulerMaruyama(StochasticMethod):
    """Euler's method with noise (Maruyama 1955): one evaluation of drift and diffusion a step.

    It solves Ito equations: x + a dt + b dW. Strong order 1/2, of additive noise 1; weak order 1.

    Kloeden & Platen 1992, section 10.2.
    """

    def advanced(self, system: SDE, t: Array, x: Array, dt: Array, dw: Array) -> Array:
        """State after a step with the increments `dw` (m,)."""
        return x + (system.ito_drift(t, x) * dt + system.kick(t, x, dw))


@record
class Milstein(StochasticMethod):
    """Milstein's method (1974): drift, diffusion, and the derivative of the diffusion along the noise.

    With the Stratonovich drift a it is x + a dt + b dW + (d(b dW)/dx) (b dW) / 2; of an Ito equation with one process
    that is the usual x + a dt + b dW + b b' (dW^2 - dt) / 2.

    Strong order 1 if the noise commutes: additive noise, one process, or one a state that depends on this state only.
    Else 1/2, for the areas between the paths of two processes are left out. Weak order 1.

    Kloeden & Platen 1992, section 10.3.
    """

    def advanced(self, system: SDE, t: Array, x: Array, dt: Array, dw: Array) -> Array:
        """State after a step with the increments `dw` (m,)."""
        if system.is_additive():
            return x + (system(t, x) * dt + system.kick(t, x, dw))
        kick = system.kick(t, x, dw)
        bend = jax.jvp(lambda y: system.kick(t, y, dw), (x,), (kick,))[1]
        return x + (system.stratonovich_drift(t, x) * dt + kick + bend / 2)


@record
class StochasticHeun(StochasticMethod):
    """Heun's method with noise (Rumelin 1982): two evaluations of drift and diffusion a step.

    It solves Stratonovich equations: the mean of the slopes at the start and at the end of a step by Euler. Strong
    order 1 if the noise commutes (see `Milstein`), else 1/2; weak order 1, of additive noise 2.

    Rumelin 1982, SIAM Journal on Numerical Analysis 19, 604-613, doi:10.1137/0719041; Kloeden & Platen 1992, section
    15.1, for additive noise.
    """

    def advanced(self, system: SDE, t: Array, x: Array, dt: Array, dw: Array) -> Array:
        """State after a step with the increments `dw` (m,)."""

        def change(t: Array, x: Array) -> Array:
            return system.stratonovich_drift(t, x) * dt + system.kick(t, x, dw)

        first = change(t, x)
        return x + (first + change(t + dt, x + first)) / 2


def default_method(system: SDE) -> Any:
    """Method of this interpretation that needs no conversion."""
    return EulerMaruyama() if isinstance(system.interpretation, Ito) else StochasticHeun()
