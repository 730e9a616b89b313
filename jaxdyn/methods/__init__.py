"""Integration methods: stateless records that take one step; the loop lives in `jaxdyn.integrate`."""

from jaxdyn.methods.controlled import Controlled
from jaxdyn.methods.diffrax_solvers import Diffrax
from jaxdyn.methods.dopri8 import Dopri8
from jaxdyn.methods.method import Iterate, Method, Step
from jaxdyn.methods.rk import RK4, Bosh3, Euler, ExplicitRungeKutta, Heun, Tableau, Tsit5
from jaxdyn.methods.rosenbrock import Rodas4, Rodas5P, Rosenbrock, RosenbrockTableau
from jaxdyn.methods.stochastic import EulerMaruyama, Milstein, StochasticHeun, StochasticMethod
from jaxdyn.methods.symplectic import Composition, Leapfrog, Symplectic, Yoshida4, Yoshida6
from jaxdyn.methods.taylor import Taylor

__all__ = [
    "RK4",
    "Bosh3",
    "Composition",
    "Controlled",
    "Diffrax",
    "Dopri8",
    "Euler",
    "EulerMaruyama",
    "ExplicitRungeKutta",
    "Heun",
    "Iterate",
    "Leapfrog",
    "Method",
    "Milstein",
    "Rodas4",
    "Rodas5P",
    "Rosenbrock",
    "RosenbrockTableau",
    "Step",
    "StochasticHeun",
    "StochasticMethod",
    "Symplectic",
    "Tableau",
    "Taylor",
    "Tsit5",
    "Yoshida4",
    "Yoshida6",
]
