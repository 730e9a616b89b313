"""Integration methods: stateless records that take one step; the loop lives in `jaxdyn.integrate`."""

from jaxdyn.methods.method import Iterate, Method, Step
from jaxdyn.methods.rk import RK4, Euler, ExplicitRungeKutta, Heun, Tableau, Tsit5

__all__ = ["RK4", "Euler", "ExplicitRungeKutta", "Heun", "Iterate", "Method", "Step", "Tableau", "Tsit5"]
