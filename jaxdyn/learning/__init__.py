"""Learning as dynamics: optimizers and games as maps, fitting, slow points of trained networks."""

from jaxdyn.learning.cells import cell_map
from jaxdyn.learning.courses import SharpnessCourse, SharpnessCourseResult, sharpness_course
from jaxdyn.learning.curvature import Sharpness, sharpness
from jaxdyn.learning.fit import Fit, fit
from jaxdyn.learning.game_jacobians import GameJacobian, game_jacobian
from jaxdyn.learning.game_maps import game_map
from jaxdyn.learning.gauss_newton import gauss_newton
from jaxdyn.learning.optimizer_maps import optimizer_map
from jaxdyn.learning.plays import Alternating, ExtraGradient, Simultaneous, Stackelberg
from jaxdyn.learning.preconditioners import preconditioner
from jaxdyn.learning.slow import SlowPoints, slow_points
from jaxdyn.learning.thresholds import MeasuredThreshold, measured_threshold, stability_threshold
from jaxdyn.learning.training import losses, pack, unpack

__all__ = [
    "Alternating",
    "ExtraGradient",
    "Fit",
    "GameJacobian",
    "MeasuredThreshold",
    "Sharpness",
    "SharpnessCourse",
    "SharpnessCourseResult",
    "Simultaneous",
    "SlowPoints",
    "Stackelberg",
    "cell_map",
    "fit",
    "game_jacobian",
    "game_map",
    "gauss_newton",
    "losses",
    "measured_threshold",
    "optimizer_map",
    "pack",
    "preconditioner",
    "sharpness",
    "sharpness_course",
    "slow_points",
    "stability_threshold",
    "unpack",
]
