"""Figures of trajectories, phase planes, spectra and sweeps.

Every function draws into `ax` (or a new figure) and returns the axes; `style()` makes them fit for print.
"""

from jaxdyn.plot.boundaries import boundary
from jaxdyn.plot.components import slow_points
from jaxdyn.plot.orbits import orbit_diagram
from jaxdyn.plot.planes import phase_plane
from jaxdyn.plot.returns import cobweb, return_map
from jaxdyn.plot.running import convergence
from jaxdyn.plot.spectra import eigenvalues
from jaxdyn.plot.style import OKABE_ITO, PAPER, style
from jaxdyn.plot.sweeps import sweep
from jaxdyn.plot.trajectories import phase_trajectory, trajectory

__all__ = [
    "OKABE_ITO",
    "PAPER",
    "boundary",
    "cobweb",
    "convergence",
    "eigenvalues",
    "orbit_diagram",
    "phase_plane",
    "phase_trajectory",
    "return_map",
    "slow_points",
    "style",
    "sweep",
    "trajectory",
]
