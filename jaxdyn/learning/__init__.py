"""Learning as dynamics: training by any optimizer, and games of several learners, as maps."""

from jaxdyn.learning.game_jacobians import GameJacobian, game_jacobian
from jaxdyn.learning.game_maps import game_map
from jaxdyn.learning.optimizer_maps import optimizer_map
from jaxdyn.learning.plays import Alternating, ExtraGradient, Simultaneous, Stackelberg
from jaxdyn.learning.training import losses, pack, unpack

__all__ = [
    "Alternating",
    "ExtraGradient",
    "GameJacobian",
    "Simultaneous",
    "Stackelberg",
    "game_jacobian",
    "game_map",
    "losses",
    "optimizer_map",
    "pack",
    "unpack",
]
