"""The method that a request names, with its tolerances."""

import math

import jaxdyn
from jaxdyn import methods
from jaxdyn._cli_request import Request
from jaxdyn.about import unknown_name
from jaxdyn.steps import method_of
from jaxdyn.system import System

__all__ = ["method_asked"]

ADAPTIVE = {
    "tsit5": methods.Tsit5,
    "dopri8": methods.Dopri8,
    "bosh3": methods.Bosh3,
    "heun": methods.Heun,
    "taylor": methods.Taylor,
    "rodas5p": methods.Rodas5P,
    "rodas4": methods.Rodas4,
}
"""Methods that a tolerance can make adaptive; all but Taylor series also take steps of fixed size."""

METHODS = {
    **ADAPTIVE,
    "rk4": methods.RK4,
    "euler": methods.Euler,
    "leapfrog": methods.Leapfrog,
    "yoshida4": methods.Yoshida4,
    "yoshida6": methods.Yoshida6,
    "euler_maruyama": methods.EulerMaruyama,
    "milstein": methods.Milstein,
    "stochastic_heun": methods.StochasticHeun,
}


def method_asked(request: Request, system: System) -> methods.Method:
    """Method of a flow; a tolerance alone asks for the one that suits most."""
    name = request.method
    if name is not None and name not in METHODS:
        raise request.error(f"no method {unknown_name(name, list(METHODS))}", "measure_options", "method")
    tolerances = _tolerances(request)
    rtol = request.option("rtol")
    if not tolerances:
        if name == "taylor":
            raise request.error(f"taylor takes its order from {rtol}; give {rtol}", "measure_options", "method")
        return method_of(system, None if name is None else METHODS[name]())
    if name is not None and name not in ADAPTIVE:
        message = f"{name} takes steps of fixed size; {rtol} is for {', '.join(ADAPTIVE)}"
        raise request.error(message, "measure_options", "rtol")
    if isinstance(system, jaxdyn.SDE):
        message = f"{request.system} is stochastic, whose methods take steps of fixed size; leave out {rtol}"
        raise request.error(message, "measure_options", "rtol")
    return method_of(system, ADAPTIVE[name or "tsit5"](**tolerances))


def _tolerances(request: Request) -> dict[str, float]:
    """Tolerances that are set, checked."""
    given = {name: getattr(request, name) for name in ("rtol", "atol") if getattr(request, name) is not None}
    for name, value in given.items():
        if not (math.isfinite(value) and value > 0):
            message = f"{request.option(name)} must be a positive number, got {value}"
            raise request.error(message, "measure_options", name)
    if given and "rtol" not in given:
        message = f"{request.option('atol')} needs {request.option('rtol')} as well"
        raise request.error(message, "measure_options", "atol")
    return given
