"""Learning as dynamics: optimizers and games as maps, fitting, slow points of trained networks."""

from jaxdyn.learning.cells import cell_map
from jaxdyn.learning.fit import Fit, fit
from jaxdyn.learning.game_jacobians import GameJacobian, game_jacobian
from jaxdyn.learning.game_maps import game_map
from jaxdyn.learning.gauss_newton import gauss_newton
from jaxdyn.learning.optimizer_maps import optimizer_map
from jaxdyn.learning.plays import Alternating, ExtraGradient, Simultaneous, Stackelberg
from jaxdyn.learning.slow import SlowPoints, slow_points
from jaxdyn.learning.training import losses, pack, unpack

__all__ = [
    "Alternating",
    "ExtraGradient",
    "Fit",
    "GameJacobian",
    "Simultaneous",
    "SlowPoints",
    "Stackelberg",
    "cell_map",
    "fit",
    "game_jacobian",
    "game_map",
    "gauss_newton",
    "losses",
    "optimizer_map",
    "pack",
    "slow_points",
    "unpack",
]
