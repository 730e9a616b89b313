"""Problems of work and precision, and the programs that solve them: lanes of different starts, float64, end states."""

import copy
import dataclasses
import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from adapters import jitcode_integrator, quiet, symbolic_rates
from contest import Program, Unavailable

import jaxdyn

CORES = os.cpu_count() or 1
COARSE = (1e-3, 1e-4, 1e-6, 1e-8, 1e-10)
"""Tolerances of methods of order 5."""
ALL = (*COARSE, 1e-12)


_COMPILED: dict[Any, Any] = {}
"""Programs that serve all tolerances."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One system from many starts."""

    title: str
    system: Any
    starts: np.ndarray[Any, Any]
    t1: float
    stiff: bool = False

    def field(self, t: float, x: np.ndarray[Any, Any]) -> Any:
        """Equations in Python's own numbers, which are faster one at a time than arrays of a few."""
        return self.system.field(t, x.tolist(), self._numbers)

    @functools.cached_property
    def _numbers(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.system.params.items()}

    def part(self, n: int) -> np.ndarray[Any, Any]:
        """Some of the lanes, evenly spread: which ones."""
        return np.linspace(0, len(self.starts) - 1, min(n, len(self.starts))).astype(int)


NAMES = ("neuron", "lorenz", "galaxy", "relaxation")


def problems(n: int) -> dict[str, Problem]:
    """All problems, `n` lanes each."""
    uniform, double = np.random.default_rng(1).uniform, jnp.float64
    x, y, angle = uniform(-0.2, 0.2, n), uniform(-0.3, 0.3, n), uniform(0, 2 * np.pi, n)
    # Energy 1/12, at which orbits are regular.
    speed = np.sqrt(1 / 6 - x**2 - y**2 - 2 * x**2 * y + 2 / 3 * y**3)
    models = jaxdyn.models
    return {
        "neuron": Problem(
            "FitzHugh-Nagumo, t = 100",
            models.fitzhugh_nagumo(dtype=double),
            np.stack([uniform(-2, 2, n), uniform(-0.5, 1.5, n)], 1),
            100.0,
        ),
        "lorenz": Problem(
            "Lorenz, t = 10",
            models.lorenz63(dtype=double),
            np.stack([uniform(-10, 10, n), uniform(-10, 10, n), uniform(15, 35, n)], 1),
            10.0,
        ),
        "galaxy": Problem(
            "Hénon-Heiles, t = 100",
            models.henon_heiles(dtype=double),
            np.stack([x, y, speed * np.cos(angle), speed * np.sin(angle)], 1),
            100.0,
        ),
        "relaxation": Problem(
            "Van der Pol, mu = 1000, t = 2000",
            models.van_der_pol(mu=1000.0, dtype=double),
            np.stack([uniform(1, 2.5, n), np.zeros(n)], 1),
            2000.0,
            stiff=True,
        ),
    }


@dataclasses.dataclass(frozen=True)
class Contender:
    """One method of one library."""

    library: str
    method: str
    program: Callable[[Problem, float, np.ndarray[Any, Any]], Program]
    """From the problem, the tolerance and the starts: end states."""
    tolerances: tuple[float, ...] = ALL
    lanes: int | None = None
    """Lanes that it gets, if it goes through one at a time; their time is scaled."""
    cores: int = CORES
    """Cores that it uses; one at a time, its time is divided as if all shared the lanes without loss."""
    stiff: bool = False
    note: str = ""


def ours(method: Callable[[float], Any], problem: Problem, tolerance: float, starts: Any) -> Program:
    """`jaxdyn.lanes` of the last state."""
    chosen = method(tolerance)

    def end(x0: jax.Array) -> jax.Array:
        return jaxdyn.final_state(problem.system.with_state(x0), t1=problem.t1, method=chosen).x

    return functools.partial(jaxdyn.lanes(end), jnp.asarray(starts))


def scipys(method: str, problem: Problem, tolerance: float, starts: Any) -> Program:
    """`scipy.integrate.solve_ivp`, lane by lane."""
    from scipy.integrate import solve_ivp

    options = {"method": method, "rtol": tolerance, "atol": 1e-3 * tolerance}
    return lambda: np.stack([solve_ivp(problem.field, (0, problem.t1), x0, **options).y[:, -1] for x0 in starts])


def diffraxs(method: str, block: int | None, problem: Problem, tolerance: float, starts: Any) -> Program:
    """`jax.vmap` of `diffrax.diffeqsolve`; with `block`, so many lanes at a time."""
    try:
        import diffrax
    except ImportError:
        raise Unavailable("not installed") from None
    key = (method, block, problem.title, len(starts))
    if key not in _COMPILED:
        params, rate = problem.system.params, problem.system.field

        def end(x0: jax.Array, tolerance: Any) -> Any:
            return diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, x, args: jnp.stack(rate(t, x, params))),
                getattr(diffrax, method)(),
                t0=0.0,
                t1=problem.t1,
                dt0=None,
                y0=x0,
                stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=1e-3 * tolerance),
                saveat=diffrax.SaveAt(t1=True),
                adjoint=diffrax.ForwardMode(),
                max_steps=1_000_000,
                throw=False,
            ).ys[0]  # pyright: ignore

        whole = jax.vmap(end, in_axes=(0, None))
        parts = functools.partial(_in_parts, end, block)
        _COMPILED[key] = jax.jit(whole if block is None else parts)
    return functools.partial(_COMPILED[key], jnp.asarray(starts), tolerance)


def _in_parts(end: Any, block: int | None, starts: jax.Array, tolerance: Any) -> jax.Array:
    return jax.lax.map(lambda x0: end(x0, tolerance), starts, batch_size=block)


def heyokas(problem: Problem, tolerance: float, starts: Any) -> Program:
    """Taylor series of heyoka, several lanes in one SIMD vector, one thread a core."""
    try:
        import heyoka
    except ImportError:
        raise Unavailable("not installed") from None
    width, (n, dim) = heyoka.recommended_simd_size(float), starts.shape
    symbols = heyoka.make_vars(*(f"x{i}" for i in range(dim)))
    rates = list(zip(symbols, symbolic_rates(problem.system, symbols), strict=True))
    one = heyoka.taylor_adaptive_batch(rates, np.zeros((dim, width)), tol=tolerance)
    integrators = [copy.deepcopy(one) for _ in range(CORES)]
    lanes = np.pad(starts, ((0, -n % width), (0, 0)), mode="edge").reshape(-1, width, dim)
    end, pool = np.empty((len(lanes), dim, width)), ThreadPoolExecutor(CORES)

    def part(k: int) -> None:
        for i in range(k, len(lanes), CORES):
            integrators[k].set_time(0.0)
            integrators[k].state[:] = lanes[i].T
            integrators[k].propagate_until(problem.t1)
            end[i] = integrators[k].state

    def run() -> Any:
        list(pool.map(part, range(CORES)))
        return np.moveaxis(end, 1, -1).reshape(-1, dim)[:n].copy()

    return run


def jitcodes(method: str, problem: Problem, tolerance: float, starts: Any) -> Program:
    """JiTCODE: the field compiled to C, SciPy's integrators, lane by lane."""
    integrator = _compiled(problem)

    def one(x0: Any) -> Any:
        integrator.set_initial_value(x0, 0.0)
        return integrator.integrate(problem.t1)

    def run() -> Any:
        with quiet():
            integrator.set_integrator(method, rtol=tolerance, atol=1e-3 * tolerance, nsteps=1_000_000)
            return np.stack([one(x0) for x0 in starts])

    return run


def _compiled(problem: Problem) -> Any:
    """JiTCODE's integrator, compiled once."""
    try:
        import jitcode
    except ImportError:
        raise Unavailable("not installed") from None
    if ("jitcode", problem.title) not in _COMPILED:
        try:
            rates = symbolic_rates(problem.system, [jitcode.y(i) for i in range(problem.system.dim)])
            _COMPILED["jitcode", problem.title] = jitcode_integrator(rates)
        except Exception as error:
            raise Unavailable(f"could not compile: {error}") from None
    return _COMPILED["jitcode", problem.title]


def numbalsodas(problem: Problem, tolerance: float, starts: Any) -> Program:
    """NumbaLSODA: named, so that a reader sees that it did not take part."""
    there = importlib.util.find_spec("numbalsoda") is not None
    raise Unavailable("no program for it here" if there else "not installed")


def contenders() -> Iterator[Contender]:
    """Everybody; several settings of one method compete, the fastest at each error counts."""
    for name, tolerances in (("Tsit5", COARSE), ("Dopri8", ALL), ("Taylor", ALL)):
        method = getattr(jaxdyn, name)
        yield Contender("jaxdyn", name, functools.partial(ours, lambda r, m=method: m(rtol=r)), tolerances)
    for name in ("Rodas5P", "Rodas5", "Rodas4"):  # the first stiff method that there is
        if (method := getattr(jaxdyn, name, None)) is not None:
            make = functools.partial(ours, lambda r, m=method: m(rtol=r))
            yield Contender("jaxdyn", name, make, COARSE, stiff=True)
            break
    for name, tolerances in (("Tsit5", COARSE), ("Dopri8", ALL)):
        for block, note in ((None, "whole batch"), (64, "64 lanes at a time")):
            yield Contender("diffrax", name, functools.partial(diffraxs, name, block), tolerances, note=note)
    make = functools.partial(diffraxs, "Kvaerno5", None)
    yield Contender("diffrax", "Kvaerno5", make, COARSE[:4], lanes=64, stiff=True, note="64 lanes, whole batch")
    yield Contender("heyoka", "Taylor", heyokas, ALL)
    one = {"lanes": 4, "cores": 1, "note": "4 lanes on one core, scaled to all cores"}
    for name, tolerances in (("RK45", COARSE[:4]), ("DOP853", ALL), ("LSODA", ALL)):
        yield Contender("SciPy", name, functools.partial(scipys, name), tolerances, **one)
    for name in ("LSODA", "Radau"):
        yield Contender("SciPy", name, functools.partial(scipys, name), COARSE, stiff=True, **one)
    yield Contender("JiTCODE", "dop853", functools.partial(jitcodes, "dop853"), ALL, **one)
    yield Contender("NumbaLSODA", "LSODA", numbalsodas, **one)
