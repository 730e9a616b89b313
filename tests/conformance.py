"""What goes through the battery of `battery.py`: every model with every method and analysis. A new one is one line."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn._types import matmul

N_STEPS = 4
SMALL = {"n": 4, "points": 6}
"""Sizes of models that come in any size."""

MODELS = {
    name: {option: SMALL[option] for option in model.options if option in SMALL}
    for name, model in jaxdyn.models.REGISTRY.items()
}
"""Options of every model of the library."""


@dataclasses.dataclass(frozen=True)
class Analysis:
    """A function of a system; `applies_to` says of which.

    A `heavy` one compiles for seconds. It is called as it is, relying on the jit inside it, and one model of
    each kind and dimension stands for all: it knows a system by nothing else. So does one that calls nothing
    that the `basic` ones do not: all its other models are left to the slow tests.
    """

    name: str
    run: Callable[[Any], Any]
    applies_to: Callable[[Any], bool] = lambda system: True
    heavy: bool = False
    basic: bool = False


def is_stochastic(system: Any) -> bool:
    return isinstance(system, jaxdyn.SDE)


def is_flow(system: Any) -> bool:
    return not system.discrete and not is_stochastic(system)


def step_of(system: Any) -> dict[str, Any]:
    """Keyword of the step, as users of flows and maps write it."""
    return {} if system.discrete else {"dt": system.about.dt}


def advance(method: Any = None) -> Callable[[Any], Any]:
    return lambda system: jaxdyn.final_state(system, n_steps=N_STEPS, method=method, **step_of(system))


def has_series(system: Any) -> bool:
    """Not where the equations hold the absolute value or a choice."""
    return is_flow(system) and system.about.name != "hodgkin_huxley"


def has_ordered_eigenvalues(system: Any) -> bool:
    """Not where pairs on the imaginary axis have real parts of rounding size, by which they are ordered."""
    return system.about.name != "pleiades"


def has_isolated_points(system: Any) -> bool:
    """Not where fixed points form a line, a circle or a sphere: which ones are found is then left to rounding.

    And not where trials are random, so that there are none.
    """
    lines = ("line_attractor", "line_attractor_flow", "robertson")
    vectors = ("vector_learner_flow", "vector_learner_descent")
    matrices = ("coadaptive_flow", "coadaptive_descent", "coadaptive_search")
    return system.about.name not in (*lines, "kuramoto", *vectors, *matrices)


def is_separable(system: Any) -> bool:
    """Hamiltonian, with a kinetic energy of the momenta alone; positions come first."""
    return is_flow(system) and system.about.name in ("henon_heiles", "kepler", "pendulum", "pleiades")


def pair_of(system: Any) -> Any:
    """Two copies that each receive something else."""
    pair = jaxdyn.coupled(system, [[0.0, 0.02], [0.01, 0.0]], names=("strength", "links"))
    return pair.with_state(pair.x0 * np.repeat([1, 1.01], system.dim).astype(pair.dtype))


def find_fixed_points(system: Any) -> Any:
    return jaxdyn.fixed_points(system, n_starts=6, max_points=3)


def largest_exponent(system: Any) -> Any:
    return jaxdyn.lyapunov_spectrum(system, n_steps=N_STEPS, n_transient=1, n_exponents=1, **step_of(system))


def largest_of_one_vector(system: Any) -> Any:
    return jaxdyn.maximal_lyapunov(system, n_steps=N_STEPS, n_transient=1, **step_of(system))


def exponents_of_windows(system: Any) -> Any:
    return jaxdyn.local_lyapunov(system, n_steps=N_STEPS, window=2, n_transient=1, n_exponents=1, **step_of(system))


def exponents_of_start(system: Any) -> Any:
    """With a power of the propagator's square for its directions: those of equal rates are left to rounding."""
    found = jaxdyn.finite_time_lyapunov(system, n_steps=2, **step_of(system))
    rows = jnp.exp(found.exponents)[:, None] * found.directions
    return dataclasses.replace(found, directions=matmul(rows.T, rows))


def indicators(system: Any) -> Any:
    return jaxdyn.chaos_indicators(system, n_steps=N_STEPS, n_transient=1, running_every=2, **step_of(system))


def covariant_vectors(system: Any) -> Any:
    """Two segments, so that states are computed a second time."""
    settings = {"n_steps": N_STEPS, "n_transient_forward": 1, "n_transient_backward": 2, "save_every": 2, "segment": 4}
    return jaxdyn.covariant_lyapunov_vectors(system, **settings, **step_of(system))


def reduced(system: Any) -> Any:
    """Reducers whose whole numbers do not depend on the rounding of a system at rest."""
    kept = jaxdyn.reducers
    given = {"mean": kept.Mean(0), "spread": kept.Variance(-1), "spikes": kept.Spikes(0, threshold=0.123)}
    return jaxdyn.reduce(system, given, n_steps=N_STEPS, n_transient=1, **step_of(system))


def wait(system: Any) -> Any:
    return jaxdyn.first_passage(system, 0, 0.123, n_steps=N_STEPS, **step_of(system))


def settled_map(system: Any) -> Any:
    return jaxdyn.attractor_points(system, n_points=N_STEPS, n_transient=1)


def settled_flow(system: Any) -> Any:
    """Few steps to a maximum, which most models do not see: then there is none in any lane."""
    return jaxdyn.attractor_points(system, n_points=1, n_transient=1, max_steps=8, **step_of(system))


def is_small(system: Any) -> bool:
    """A spectrum of all exponents compiles for long in many dimensions."""
    return system.dim <= 4


def is_autonomous_oscillator(system: Any) -> bool:
    """Where a run comes back to its first state's value, and all directions of it are passed."""
    names = ("van_der_pol", "fitzhugh_nagumo", "brusselator", "rossler", "henon_heiles", "lorenz63")
    return is_flow(system) and system.about.name in names


def return_to_section(system: Any) -> Any:
    """A coordinate section: the first state at a value between those that it takes."""
    level = 1.5 if system.about.name == "brusselator" else 0.1
    settings = {"dt": system.about.dt, "direction": 0, "max_steps": 2000}
    section = jaxdyn.poincare(system, {system.state_names[0]: level}, **settings)
    return jaxdyn.section_points(section, n_points=2)


def once_a_period(system: Any) -> Any:
    return jaxdyn.final_state(jaxdyn.stroboscopic(system, 3 * system.about.dt, n_steps=3), n_steps=2)


def time_passed(t: Any, x: Any, p: Any) -> Any:
    return t


def events(system: Any) -> Any:
    """Every flow passes the middle of its second step."""
    event = jaxdyn.Event(time_passed, 1.5 * system.about.dt)
    return jaxdyn.crossings(system, event, n_steps=N_STEPS, capacity=2, **step_of(system))


def breed(system: Any) -> Any:
    """Large perturbations: with tiny ones, rates are mostly the rounding of differences."""
    return jaxdyn.perturbation_growth(system, n_steps=N_STEPS, size=0.1, rescale_every=2, **step_of(system))


def grow_at_start(system: Any) -> Any:
    """With the square of the departure from normality: 0 up to rounding for a normal matrix, the root is not."""
    found = jaxdyn.transient_growth(system, times=range(3) if system.discrete else [0.0, system.about.dt])
    return dataclasses.replace(found, henrici_departure=found.henrici_departure**2)


ANALYSES = [
    Analysis("final_state", advance(), basic=True),
    Analysis("final_state_euler", advance(jaxdyn.Euler()), is_flow),
    Analysis("final_state_heun", advance(jaxdyn.Heun()), is_flow),
    Analysis("final_state_tsit5", advance(jaxdyn.Tsit5()), is_flow),
    Analysis("final_state_dopri8", advance(jaxdyn.Dopri8()), is_flow),
    Analysis("final_state_taylor", advance(jaxdyn.Taylor(order=6)), has_series),
    Analysis("final_state_adaptive", advance(jaxdyn.Tsit5(rtol=1e-9)), is_flow),
    Analysis("final_state_leapfrog", advance(jaxdyn.Leapfrog()), is_separable),
    Analysis("final_state_yoshida4", advance(jaxdyn.methods.Yoshida4()), is_separable),
    Analysis("final_state_yoshida6", advance(jaxdyn.methods.Yoshida6()), is_separable),
    Analysis("final_state_reversed", lambda s: advance()(jaxdyn.time_reversed(s)), is_flow),
    Analysis("final_state_coupled", lambda s: advance()(pair_of(s)), is_small),
    Analysis("final_state_milstein", advance(jaxdyn.methods.Milstein()), is_stochastic),
    Analysis("final_state_stochastic_heun", advance(jaxdyn.methods.StochasticHeun()), is_stochastic),
    Analysis("final_state_rodas", advance(jaxdyn.Rodas5P()), is_flow),
    Analysis("trajectory", lambda s: jaxdyn.trajectory(s, n_steps=N_STEPS, save=jaxdyn.Every(2), t0=1, **step_of(s))),
    Analysis("reduce", reduced, is_small),
    Analysis("first_passage", wait, heavy=True),
    Analysis("attractor_points", settled_map, lambda system: is_small(system) and system.discrete),
    Analysis("attractor_points_of_flow", settled_flow, lambda s: is_small(s) and is_flow(s), heavy=True),
    Analysis("crossings", events, is_flow, heavy=True),
    Analysis("stroboscopic", once_a_period, is_flow),
    Analysis("poincare", return_to_section, is_autonomous_oscillator, heavy=True),
    Analysis("jacobian", jaxdyn.jacobian, basic=True),
    Analysis("eigenvalues", jaxdyn.eigenvalues, has_ordered_eigenvalues),
    Analysis("linearize", jaxdyn.linearize),
    Analysis("fixed_points", find_fixed_points, has_isolated_points, heavy=True),
    Analysis("lyapunov_spectrum", largest_exponent, heavy=True),
    Analysis("maximal_lyapunov", largest_of_one_vector, heavy=True),
    Analysis("local_lyapunov", exponents_of_windows, heavy=True),
    Analysis("finite_time_lyapunov", exponents_of_start, is_small, heavy=True),
    Analysis("chaos_indicators", indicators, is_small, heavy=True),
    Analysis("covariant_lyapunov_vectors", covariant_vectors, is_small, heavy=True),
    Analysis("perturbation_growth", breed, heavy=True),
    Analysis("transient_growth", grow_at_start, heavy=True),
]


def build(name: str, dtype: Any = None) -> Any:
    return jaxdyn.models.REGISTRY[name](**MODELS[name], dtype=dtype)


def cases(*, compiled: bool = True) -> list[Any]:
    """Every model with every analysis that applies to it; tests that compile nothing are quick with all."""
    found, seen = [], set()
    for name in reversed(MODELS):
        system = build(name)
        for analysis in filter(lambda analysis: analysis.applies_to(system), ANALYSES):
            kind = (analysis.name, type(system), min(system.dim, 3))
            if analysis.heavy and kind in seen:
                continue
            slow = analysis.heavy or (compiled and not analysis.basic and (kind in seen or system.dim > 12))
            seen.add(kind)
            marks = [pytest.mark.slow] * slow
            found.append(pytest.param(name, analysis, id=f"{name}-{analysis.name}", marks=marks))
    return found[::-1]
