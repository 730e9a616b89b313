"""Batched dynamics in JAX: trajectories, fixed points, stability, Lyapunov spectra, sections, events and sweeps.

Everything public is a name of this module or of `jaxdyn.methods`, `reducers`, `errors`, `learning`, `models` and
`plot`. Records that analyses return are in the modules of their functions. `jaxdyn.sweep` and `jaxdyn.lanes` are
functions; the packages that hold them are `jaxdyn.sweeps` and `jaxdyn.engine`.
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

from jaxdyn._imports import uncollected as _uncollected

with _uncollected():
    from jaxdyn import errors, methods, reducers
    from jaxdyn._version import __version__ as __version__
    from jaxdyn.about import About, Symbol
    from jaxdyn.analysis.correlation import correlation_dimension
    from jaxdyn.analysis.covariant import covariant_lyapunov_vectors
    from jaxdyn.analysis.dimension import kaplan_yorke_dimension, kaplan_yorke_estimate, pesin_entropy
    from jaxdyn.analysis.finite_time_lyapunov import finite_time_lyapunov
    from jaxdyn.analysis.fixed_points import fixed_points
    from jaxdyn.analysis.hopf import hopf_point
    from jaxdyn.analysis.indicators import chaos_indicators
    from jaxdyn.analysis.local import eigenvalues, jacobian, linearize
    from jaxdyn.analysis.local_lyapunov import local_lyapunov
    from jaxdyn.analysis.lyapunov import lyapunov_spectrum
    from jaxdyn.analysis.maximal_lyapunov import maximal_lyapunov
    from jaxdyn.analysis.nullclines import nullclines
    from jaxdyn.analysis.perturbation_growth import perturbation_growth
    from jaxdyn.analysis.power_method import power_method
    from jaxdyn.analysis.qr_algorithm import qr_algorithm
    from jaxdyn.analysis.section_points import section_points
    from jaxdyn.analysis.stability import Stability, spectral_abscissa, spectral_radius, stability, stability_label
    from jaxdyn.analysis.transient import transient_growth
    from jaxdyn.analysis.until import StdError
    from jaxdyn.analysis.zero_one import zero_one_test
    from jaxdyn.coupling import coupled
    from jaxdyn.derivatives import with_jacobian, with_jvp
    from jaxdyn.derived import driven, nth_iterate, samples
    from jaxdyn.engine.engines import Mosaic, Native, Vmap, Xla
    from jaxdyn.engine.explain import explain
    from jaxdyn.engine.transform import lanes
    from jaxdyn.errors import FailedLanesError, JaxdynWarning, Status, raise_if_failed
    from jaxdyn.events import Event, crossings
    from jaxdyn.flow_maps import stroboscopic
    from jaxdyn.integrate import All, At, Every, Final, Trajectory, final_state, trajectory
    from jaxdyn.methods import RK4, Dopri8, Euler, EulerMaruyama, Heun, Leapfrog, Rodas5P, Taylor, Tsit5
    from jaxdyn.orbits.attractor import attractor_points
    from jaxdyn.orbits.diagram import orbit_diagram
    from jaxdyn.orbits.doublings import period_doublings
    from jaxdyn.orbits.follow import follow
    from jaxdyn.passages import first_passage
    from jaxdyn.reducers.run import reduce
    from jaxdyn.reversal import time_reversed
    from jaxdyn.sections import poincare
    from jaxdyn.stochastic import SDE, Ito, Stratonovich, sde
    from jaxdyn.subsystems import frozen
    from jaxdyn.sweeps.run import sweep
    from jaxdyn.sweeps.store import open_store as open
    from jaxdyn.system import Flow, Map, System, flow, iterated_map

if _TYPE_CHECKING:
    from jaxdyn import learning, models, plot
    from jaxdyn.interactive import explore

_LAZY_MODULES = ("learning", "models", "plot")

__all__ = [
    "RK4",
    "SDE",
    "About",
    "All",
    "At",
    "Dopri8",
    "Euler",
    "EulerMaruyama",
    "Event",
    "Every",
    "FailedLanesError",
    "Final",
    "Flow",
    "Heun",
    "Ito",
    "JaxdynWarning",
    "Leapfrog",
    "Map",
    "Mosaic",
    "Native",
    "Rodas5P",
    "Stability",
    "Status",
    "StdError",
    "Stratonovich",
    "Symbol",
    "System",
    "Taylor",
    "Trajectory",
    "Tsit5",
    "Vmap",
    "Xla",
    "attractor_points",
    "chaos_indicators",
    "correlation_dimension",
    "coupled",
    "covariant_lyapunov_vectors",
    "crossings",
    "driven",
    "eigenvalues",
    "errors",
    "explain",
    "explore",
    "final_state",
    "finite_time_lyapunov",
    "first_passage",
    "fixed_points",
    "flow",
    "follow",
    "frozen",
    "hopf_point",
    "iterated_map",
    "jacobian",
    "kaplan_yorke_dimension",
    "kaplan_yorke_estimate",
    "lanes",
    "learning",
    "linearize",
    "local_lyapunov",
    "lyapunov_spectrum",
    "maximal_lyapunov",
    "methods",
    "models",
    "nth_iterate",
    "nullclines",
    "open",
    "orbit_diagram",
    "period_doublings",
    "perturbation_growth",
    "pesin_entropy",
    "plot",
    "poincare",
    "power_method",
    "qr_algorithm",
    "raise_if_failed",
    "reduce",
    "reducers",
    "samples",
    "sde",
    "section_points",
    "spectral_abscissa",
    "spectral_radius",
    "stability",
    "stability_label",
    "stroboscopic",
    "sweep",
    "time_reversed",
    "trajectory",
    "transient_growth",
    "with_jacobian",
    "with_jvp",
    "zero_one_test",
]


def __getattr__(name: str) -> object:
    if name in _LAZY_MODULES:
        return _importlib.import_module(f"jaxdyn.{name}")
    if name == "explore":  # needs matplotlib
        return _importlib.import_module("jaxdyn.interactive").explore
    raise AttributeError(f"module 'jaxdyn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
