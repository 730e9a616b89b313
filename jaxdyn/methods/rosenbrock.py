"""Rosenbrock methods: linearly implicit steps for stiff systems. A method is its tableau: data, not code."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxdyn._record import record, static
from jaxdyn._types import Array
from jaxdyn.methods.controlled import Controlled
from jaxdyn.methods.elimination import solver_of
from jaxdyn.methods.method import Rhs, Step

__all__ = ["Rodas4", "Rodas5P", "Rosenbrock", "RosenbrockTableau"]


@dataclasses.dataclass(frozen=True)
class RosenbrockTableau:
    """Coefficients in the form that multiplies no stage by the Jacobian (Hairer & Wanner 1996, section IV.7).

    Stage i solves (I - gamma h J) u_i = gamma (h f(t + nodes_i h, x + sum_j a_ij u_j) + sum_j c_ij u_j
    + slopes_i h^2 df/dt), the step is x + sum_i b_i u_i, and its last stage is the error of the embedded method.
    """

    gamma: float
    a: tuple[tuple[float, ...], ...]
    c: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    nodes: tuple[float, ...]
    slopes: tuple[float, ...]
    order: int


# RODAS, the code of Hairer & Wanner 1996, Solving Ordinary Differential Equations II, section VI.4.
_RODAS4_A = (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950)
RODAS_4 = RosenbrockTableau(
    gamma=0.25,
    a=(
        (),
        (1.544,),
        (0.9466785280815826, 0.2557011698983284),
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        _RODAS4_A,
        (*_RODAS4_A, 1.0),
    ),
    c=(
        (),
        (-5.6688,),
        (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
    b=(*_RODAS4_A, 1.0, 1.0),
    nodes=(0.0, 0.386, 0.21, 0.63, 1.0, 1.0),
    slopes=(0.25, -0.1043, 0.1035, -0.0362, 0.0, 0.0),
    order=4,
)

# Steinebach 2023, BIT Numerical Mathematics 63, 27.
_RODAS5P_A = (
    -7.502846399306121,
    2.561846144803919,
    -11.627539656261098,
    -0.18268767659942256,
    0.030198172008377946,
)
RODAS_5P = RosenbrockTableau(
    gamma=0.21193756319429014,
    a=(
        (),
        (3.0,),
        (2.849394379747939, 0.45842242204463923),
        (-6.954028509809101, 2.489845061869568, -10.358996098473584),
        (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
        _RODAS5P_A,
        (*_RODAS5P_A, 1.0),
        (*_RODAS5P_A, 1.0, 1.0),
    ),
    c=(
        (),
        (-14.155112264123755,),
        (-17.97296035885952, -2.859693295451294),
        (147.12150275711716, -1.41221402718213, 71.68940251302358),
        (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
        (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
        (
            30.91273214028599,
            -3.1208243349937974,
            77.79954646070892,
            34.28646028294783,
            -19.097331116725623,
            -28.087943162872662,
        ),
        (
            37.80277123390563,
            -3.2571969029072276,
            112.26918849496327,
            66.9347231244047,
            -40.06618937091002,
            -54.66780262877968,
            -9.48861652309627,
        ),
    ),
    b=(*_RODAS5P_A, 1.0, 1.0, 1.0),
    nodes=(0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0),
    slopes=(
        0.21193756319429014,
        -0.42387512638858027,
        -0.3384627126235924,
        1.8046452872882734,
        2.325825639765069,
        0.0,
        0.0,
        0.0,
    ),
    order=5,
)


@record
class Rosenbrock(Controlled):
    """Any Rosenbrock method with an embedded error estimate: stiff systems at the price of one Jacobian a step.

    Parameters
    ----------
    rtol, atol, max_steps
        As of `ExplicitRungeKutta`: with `rtol` the error chooses the steps, without it they are fixed.
    tableau
        Coefficients.

    Notes
    -----
    *Step.* A step evaluates the field once a stage and its exact Jacobian (and derivative by time) once, by forward
    differentiation, and factors one matrix (dim, dim) for all stages: no iteration that could fail. Up to eight states
    elimination with pivots is written out, elementwise over lanes; beyond that LAPACK or its like is called. A matrix
    that is singular rejects the step. The order counts on the Jacobian of the equations as they are: a derivative that
    is wrong (`with_jacobian`, `custom_jvp`) lowers it to 1, and with `rtol` the price is many short steps.

    *Stiff order.* Where a component of fast rate L is forced, orders fall (Prothero & Robinson 1974): for L h >> 1
    the error goes like h^3 / L with `Rodas5P` and like h / L with `Rodas4`. The first step from a state off the slow
    manifold must still resolve the fast rate: with a fixed step that may take a short one, `rtol` finds it.

    Transforms: jit, vmap, lanes, forward-mode derivatives (they differentiate the Jacobian once more); reverse mode
    only with a fixed step.

    References
    ----------
    Hairer & Wanner 1996, Solving Ordinary Differential Equations II, sections IV.7 and VI.4.
    """

    tableau: RosenbrockTableau = static(default=RODAS_5P)

    @property
    def order(self) -> int:
        """Order of convergence."""
        return self.tableau.order

    def first(self, rhs: Rhs, t: Array, x: Array) -> None:
        """Nothing is reused."""
        return None

    def single(self, rhs: Rhs, t: Array, x: Array, dt: Array, reused: None) -> Step:
        """Advance `x` from `t` to `t + dt` in one step; the error estimate is per step."""
        tableau = self.tableau
        rate, slope, jac = _derivatives(rhs, t, x)
        solve = solver_of(jnp.eye(len(x), dtype=x.dtype) - (tableau.gamma * dt) * jac)
        stages: list[Array] = []
        for i, node in enumerate(tableau.nodes):
            if i:
                rate = rhs(t + node * dt, _sum(tableau.a[i], stages, x))
            driven = _sum(tableau.c[i], stages, dt * rate)
            if tableau.slopes[i] != 0.0:
                driven = driven + (tableau.slopes[i] * dt * dt) * slope
            stages.append(solve(tableau.gamma * driven))
        return Step(_sum(tableau.b, stages, x), stages[-1], None)


def _derivatives(rhs: Rhs, t: Array, x: Array) -> tuple[Array, Array, Array]:
    """Rate at (t, x), its derivative by time, and its Jacobian, all from one linearization."""
    rate, push = jax.linearize(rhs, jnp.asarray(t, x.dtype), x)
    slope = push(jnp.ones((), x.dtype), jnp.zeros_like(x))
    columns = jax.vmap(lambda v: push(jnp.zeros((), x.dtype), v), out_axes=1)
    return rate, slope, columns(jnp.eye(len(x), dtype=x.dtype))


def _sum(weights: tuple[float, ...], stages: list[Array], start: Array) -> Array:
    """Start and the weighted sum of the stages."""
    for weight, stage in zip(weights, stages, strict=True):
        start = start + (stage if weight == 1.0 else weight * stage)
    return start


@record
class Rodas4(Rosenbrock):
    """RODAS of Hairer and Wanner, order 4(3), L-stable and stiffly accurate: six stages, for rough tolerances.

    Hairer & Wanner 1996, Solving Ordinary Differential Equations II, section VI.4.
    """

    tableau: RosenbrockTableau = static(default=RODAS_4)


@record
class Rodas5P(Rosenbrock):
    """Steinebach's method, order 5(4), L-stable and stiffly accurate: eight stages, the first choice when stiff.

    Steinebach 2023, BIT Numerical Mathematics 63, 27, doi:10.1007/s10543-023-00967-x.

    Examples
    --------
    >>> import jaxdyn
    >>> stiff = jaxdyn.models.van_der_pol(mu=1000.0)
    >>> end = jaxdyn.final_state(stiff, t1=1000.0, method=jaxdyn.Rodas5P(rtol=1e-4))
    >>> int(end.status)
    0
    """

    tableau: RosenbrockTableau = static(default=RODAS_5P)
