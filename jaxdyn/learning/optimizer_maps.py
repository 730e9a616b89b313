"""One learner: any optax optimizer on any loss, as a map."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxdyn.about import About
from jaxdyn.learning.building import training_map
from jaxdyn.learning.hyper import all_params, players_of
from jaxdyn.learning.training import made_losses
from jaxdyn.system import Map

__all__ = ["optimizer_map"]


def optimizer_map(
    loss: Callable[..., Any],
    optimizer: Any,
    params: Any,
    *,
    hyper: Mapping[str, Any] | None = None,
    loss_params: Mapping[str, Any] | None = None,
    at_step: int | None = None,
) -> Map:
    """Training as a map: one step of an optimizer takes parameters and optimizer state to their next values.

    All of jaxdyn then works on training: fixed points and their eigenvalues, Lyapunov spectra, orbit diagrams and
    sweeps over learning rates.

    Parameters
    ----------
    loss
        Pure function `loss(theta) -> number`, or `loss(theta, p)` if `loss_params` are given, where `p` holds all
        parameters of the map by name.
    optimizer
        A factory such as `optax.adam`, called with `hyper`; or a finished transformation, `optax.adam(1e-3)`, of which
        nothing can be swept. Factories of one's own work alike:
        `lambda learning_rate: optax.chain(optax.clip(1.0), optax.sgd(learning_rate))`.
    params
        Where training starts: a number, an array or a tree of them, theta of the loss, of one floating dtype.
    hyper
        Arguments of the factory by name. Numbers and arrays become parameters of the map under their names: they can be
        swept, differentiated and replaced, and a new value never compiles anew. Schedules (functions of the step),
        None, truth values and texts are handed on as they are.
    loss_params
        Parameters of the loss by name, parameters of the map like the others.
    at_step
        Freezes the counters of the optimizer at this step, static: the map is then autonomous. At a late one (10**6)
        bias corrections are gone, and fixed points and eigenvalues are those of the long run.

    Returns
    -------
    Map
        Its state is theta, then what the optimizer remembers, such as averages of gradients; names are `theta[0]`,
        `W[0,1]`, `mu.W[0,1]`. Counters of steps are no state but the time of the map, which schedules and bias
        corrections make non-autonomous. `unpack`, `pack` and `losses` go between state vectors and trees.

    Raises
    ------
    TypeError
        If the factory does not take the hyper-parameters, one of them decides which equations there are, or parameters
        are not floating arrays of one dtype.
    ValueError
        If the loss is no real number, two parameters have one name, or the optimizer state holds integers that do not
        count steps or depend on gradients (MultiSteps, apply_if_finite, zero_nans), or random keys.

    Notes
    -----
    Optimizers that must see the loss as well as its gradient (line searches, polyak_sgd) do not fit.

    The derivative of the step exists where the averages of squared gradients vanish, as at every minimum: there the
    slope of their square root counts as large and not as infinite, so that Adam's Jacobian is finite and exact. At a
    minimum of curvature lambda it has the eigenvalue b2, and those of averaged gradients with momentum b1 and the
    rate learning_rate / (sqrt(eps_root) + eps), which is huge: the minimum itself is unstable unless eps is not small
    beside learning_rate lambda (Cohen et al. 2022, arXiv:2207.14484).

    Transforms: jit, vmap, lanes, sweep, grad, like any map.

    Examples
    --------
    >>> import jaxdyn, optax
    >>> descent = jaxdyn.learning.optimizer_map(
    ...     lambda theta, p: p["curvature"] * theta**2 / 2,
    ...     optax.sgd,
    ...     1.0,
    ...     hyper={"learning_rate": 0.1, "momentum": 0.9},
    ...     loss_params={"curvature": 2.0},
    ... )
    >>> descent.state_names, list(descent.params)
    (('theta', 'trace'), ['learning_rate', 'momentum', 'curvature'])
    >>> [f"{abs(value):.4f}" for value in jaxdyn.eigenvalues(descent, [0.0, 0.0])]  # sqrt(momentum), twice
    ['0.9487', '0.9487']
    """
    players, values = players_of(["theta"], [optimizer], hyper)
    made = made_losses([loss], ["theta"], takes_params=loss_params is not None, is_game=False)
    about = About(name="optimizer_map", title="Training of one learner")
    return training_map(made, players, [params], all_params(values, loss_params), at_step=at_step, about=about)
