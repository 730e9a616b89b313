"""Explicit Runge-Kutta methods. A method is its tableau: data, not code."""

import dataclasses

import jax.numpy as jnp

from jaxdyn._record import record, static
from jaxdyn._types import Array
from jaxdyn.methods.controlled import Controlled
from jaxdyn.methods.method import Rhs, Step

__all__ = ["RK4", "Bosh3", "Euler", "ExplicitRungeKutta", "Heun", "Tableau", "Tsit5"]


@dataclasses.dataclass(frozen=True)
class Tableau:
    """Butcher tableau: rows `a`, weights `b`, nodes `c`, and the weights `error` of the embedded error estimate.

    A second estimate of lower order, `coarse_error`, makes the first one safe where it is small by chance.

    `reuses_last` marks a last stage that is the first stage of the next step (first same as last).
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    error: tuple[float, ...] | None = None
    coarse_error: tuple[float, ...] | None = None
    reuses_last: bool = False


EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), order=1)

HEUN = Tableau(a=((), (1.0,)), b=(0.5, 0.5), c=(0.0, 1.0), order=2, error=(-0.5, 0.5))

CLASSICAL = Tableau(
    a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 0.5, 0.5, 1.0),
    order=4,
)

BOGACKI_SHAMPINE = Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    order=3,
    error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    reuses_last=True,
)

# Tsitouras 2011, Computers and Mathematics with Applications 62, 770-775, table 1.
_TSIT5_B = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
    0.0,
)
TSITOURAS = Tableau(
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        _TSIT5_B[:6],
    ),
    b=_TSIT5_B,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    order=5,
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1 / 66,
    ),
    reuses_last=True,
)


@record
class ExplicitRungeKutta(Controlled):
    """Any explicit Runge-Kutta method: with a fixed step, or with steps that its error estimate and `rtol` decide.

    Parameters
    ----------
    rtol
        Error allowed in each step as a share of the state, root mean square over components; without it the step is
        fixed. It may be traced and differ between lanes.
    atol
        Error allowed besides, in state units, one number or one a component; default `rtol / 1000`.
    max_steps
        Most steps tried in one interval `dt`, static; more end the lane with STEP_LIMIT.
    tableau
        Butcher tableau.

    Raises
    ------
    TypeError, ValueError
        If a tableau without error estimate is given `rtol`, or a tolerance is not positive.

    Notes
    -----
    *Steps.* The error of a step (not of its unit of time) is kept, the higher order goes on, and a PI controller sets
    the length. Each interval `dt` ends with a step cut to end there: what is saved is the method's own solution and no
    interpolation of it. The lengths of steps are constants to derivatives: jvp differentiates the steps taken.

    Transforms: jit, vmap, lanes, forward-mode derivatives; reverse mode only with a fixed step.

    References
    ----------
    Hairer, Norsett & Wanner 1993, Solving Ordinary Differential Equations I, sections II.4 and II.5.
    """

    tableau: Tableau = static(default=EULER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive and self.tableau.error is None:
            name = type(self).__name__
            raise TypeError(f"{name} does not estimate its error and takes no rtol; use Tsit5(rtol=...)")

    @property
    def order(self) -> int:
        """Order of convergence."""
        return self.tableau.order

    def first(self, rhs: Rhs, t: Array, x: Array) -> Array | None:
        """First stage, where the tableau reuses it; nothing otherwise."""
        return rhs(t, x) if self.tableau.reuses_last else None

    def single(self, rhs: Rhs, t: Array, x: Array, dt: Array, reused: Array | None) -> Step:
        """Advance `x` from `t` to `t + dt` in one step; the error estimate is per step."""
        tableau = self.tableau
        stages: list[Array] = [rhs(t, x) if reused is None else reused]
        for row, node in zip(tableau.a[1:], tableau.c[1:], strict=True):
            stages.append(rhs(t + node * dt, x + _combine(dt, row, stages)))
        errors = [_combine(dt, row, stages) for row in (tableau.error, tableau.coarse_error) if row is not None]
        error = tuple(errors) if len(errors) > 1 else (errors or [None])[0]
        return Step(x + _combine(dt, tableau.b, stages), error, stages[-1] if tableau.reuses_last else None)


def _combine(dt: Array, weights: tuple[float, ...], stages: list[Array]) -> Array:
    """Step times the weighted sum of the stages; where weights are whole multiples of the first it is factored out."""
    used = [(weight, stage) for weight, stage in zip(weights, stages, strict=False) if weight != 0.0]
    if not used:
        return jnp.zeros_like(stages[0])
    first = used[0][0]
    if all((weight / first).is_integer() for weight, _ in used):
        terms = [stage if weight == first else (weight / first) * stage for weight, stage in used]
        return (dt * first) * sum(terms[1:], start=terms[0])
    terms = [(dt * weight) * stage for weight, stage in used]
    return sum(terms[1:], start=terms[0])


@record
class Euler(ExplicitRungeKutta):
    """Explicit Euler, order 1: one evaluation a step."""

    tableau: Tableau = static(default=EULER, repr=False)


@record
class Heun(ExplicitRungeKutta):
    """Heun's method (explicit trapezoid), order 2(1): two evaluations a step."""

    tableau: Tableau = static(default=HEUN, repr=False)


@record
class Bosh3(ExplicitRungeKutta):
    """Bogacki and Shampine's method, order 3(2): three evaluations a step.

    Bogacki & Shampine 1989, Applied Mathematics Letters 2, 321-325, doi:10.1016/0893-9659(89)90079-7.
    """

    tableau: Tableau = static(default=BOGACKI_SHAMPINE, repr=False)


@record
class RK4(ExplicitRungeKutta):
    """Classical Runge-Kutta method, order 4, with a fixed step: four evaluations a step (Kutta 1901)."""

    tableau: Tableau = static(default=CLASSICAL, repr=False)


@record
class Tsit5(ExplicitRungeKutta):
    """Tsitouras' method, order 5(4): six evaluations a step, which is fixed, or chosen with `rtol`.

    Tsitouras 2011, Computers and Mathematics with Applications 62, 770-775.

    Examples
    --------
    >>> import jaxdyn
    >>> oscillator = jaxdyn.flow(lambda t, x, p: (x[1], -x[0]), {}, [1.0, 0.0])
    >>> end = jaxdyn.final_state(oscillator, t1=3.0, method=jaxdyn.Tsit5(rtol=1e-5))
    >>> [round(float(v), 3) for v in end.x]
    [-0.99, -0.141]
    """

    tableau: Tableau = static(default=TSITOURAS, repr=False)
