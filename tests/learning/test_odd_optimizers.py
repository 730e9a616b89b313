"""Optimizers, plays and inputs out of the ordinary: what they give, and what they are told."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn.learning import game_jacobian, game_map, losses, optimizer_map, pack, unpack
from jaxdyn.learning.plays import Simultaneous
from jaxdyn.models import coadaptation_theory, games

RATE = {"learning_rate": 0.1}


def square(theta):
    return jnp.sum(theta**2)


class Changing:
    """Optimizers and schedules whose numbers change in place; each object equals itself after that."""

    def __init__(self, size):
        self.size = size
        self.kept = functools.partial(optax.sgd, self.schedule)

    def __call__(self, learning_rate):
        return optax.sgd(learning_rate * self.size)

    def factory(self, learning_rate):
        return optax.sgd(learning_rate * self.size)

    def schedule(self, n):
        return 0.1 * self.size * 1.0**n


class Transformation(Changing):
    def init(self, theta):
        return ()

    def update(self, gradient, state, theta):
        return -0.1 * self.size * gradient, state


@pytest.mark.parametrize(
    "arguments",
    [
        lambda own: (own, RATE),
        lambda own: (own.factory, RATE),
        lambda own: (optax.sgd, {"learning_rate": own.schedule}),
        lambda own: (own.kept, {}),
        lambda own: (own, {}),
    ],
    ids=["object", "method", "schedule", "partial", "transformation"],
)
def test_what_changes_in_place_is_seen_by_the_next_map(x64, tmp_path, arguments, request):
    """One step of size r from 1 on theta^2 ends at 1 - 2 r; a store of the first sweep is refused."""
    own = (Transformation if "transformation" in request.node.callspec.id else Changing)(1.0)

    def swept():
        optimizer, hyper = arguments(own)
        system = optimizer_map(scaled, optimizer, 1.0, hyper=hyper, loss_params={"size": 1.0})
        return jaxdyn.sweep(one_step, system, {"size": [1.0, 2.0]}, store=tmp_path / "s", progress=False)["x"]

    np.testing.assert_allclose(swept(), [0.8, 0.6], rtol=1e-15)
    own.size = 2.0
    with pytest.raises(ValueError, match="belongs to another sweep"):
        swept()


def scaled(theta, p):
    return p["size"] * theta**2


def one_step(system):
    return {"x": jaxdyn.final_state(system, n_steps=1).x[0]}


@pytest.mark.parametrize("eps", [1e-3, 1e-6])
def test_jacobians_at_a_minimum_of_roots_within_branches_and_of_cube_roots(x64, eps):
    """There norms and sums of squares vanish to second order, and roots stay away: only eps divides.

    Novograd after its first step: mu+ = b1 mu + g / eps, theta+ = theta - r mu+. Madgrad: z = x0 - s / eps, of which
    theta moves by 1 - momentum, with s+ = s + r sqrt(n + 1) g, where it adds 1e-6 to the rate.
    """
    rate, curvature = 0.1, 2.0
    for factory in (optax.novograd, optax.contrib.madgrad):
        hyper = {"learning_rate": rate, "eps": eps}
        system = optimizer_map(lambda theta: curvature * jnp.sum(theta**2) / 2, factory, jnp.zeros(1), hyper=hyper)
        names = list(system.state_names)
        matrix = np.asarray(jaxdyn.jacobian(system, t=3))
        assert np.all(np.isfinite(matrix))
        row, column = names.index("theta[0]"), names.index("theta[0]")
        slope = 1 - rate * curvature / eps
        if factory is optax.contrib.madgrad:
            slope = 0.9 - 0.1 * (rate + eps) * np.sqrt(4) * curvature / eps
        # optax takes the square root of the step number in float32.
        np.testing.assert_allclose(matrix[row, column], slope, rtol=1e-6)


def test_a_play_is_any_function():
    game = games.bilinear()

    def twice(game, thetas, states):
        return Simultaneous()(game, *Simultaneous()(game, thetas, states))

    made = functools.partial(game_map, game.losses, optax.sgd, game.start, hyper=RATE, loss_params=game.params)
    once, double = made(), made(play=twice)
    np.testing.assert_allclose(double(0, double.x0), once(1, once(0, once.x0)), rtol=1e-6)


def test_a_play_that_mixes_players_up_is_refused():
    start = {"x": jnp.ones(2), "y": jnp.ones(1)}
    for play in (lambda game, thetas, states: (thetas[::-1], states), lambda game, thetas, states: thetas):
        with pytest.raises(ValueError, match="a play must return"):
            game_map(lambda each: jnp.sum(each["x"]), optax.sgd, start, hyper=RATE, play=play)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda learning_rate: optax.polyak_sgd(learning_rate),
        optax.contrib.momo,
        optax.contrib.sophia,
        lambda learning_rate: optax.lbfgs(learning_rate),
        lambda learning_rate: optax.chain(optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(5)),
        lambda learning_rate: optax.lookahead(optax.sgd(learning_rate), 5, 0.5),
        optax.sm3,
        lambda learning_rate: 3,
    ],
)
def test_optimizers_that_do_not_fit_say_whose_they_are(optimizer):
    with pytest.raises((TypeError, ValueError), match=r"optimizer of 'theta' cannot .*line searches"):
        optimizer_map(square, optimizer, 1.0, hyper=RATE)


def of_state(start, after):
    return optax.GradientTransformation(lambda theta: start, lambda g, s, theta: (g, after(s, g)))


@pytest.mark.parametrize(
    ("optimizer", "match"),
    [
        (of_state((jnp.zeros(1), jnp.zeros(2)), lambda s, g: (s[1], s[0])), "trees like those before"),
        (of_state({"a": jnp.zeros(1)}, lambda s, g: {"b": s["a"]}), "trees like those before"),
        (of_state({"small": jnp.array(False)}, lambda s, g: {"small": jnp.sum(g**2) < 1e-3}), "'small' depends on"),
        (optax.chain(optax.zero_nans(), optax.sgd(0.1)), "found_nan.*depends on"),
    ],
)
def test_states_that_would_be_mixed_up_or_frozen(optimizer, match):
    with pytest.raises(ValueError, match=match):
        optimizer_map(square, optimizer, 1.0)


def both(theta):
    return theta["a"] ** 2 + theta["a_b"] ** 2


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: optimizer_map(square, optax.sgd, 1.0, hyper=0.1), TypeError, "hyper must be a dict"),
        (lambda: optimizer_map(square, optax.sgd, 1.0, hyper={1: 0.1}), TypeError, "hyper must be a dict"),
        (
            lambda: optimizer_map(lambda t, p: t, optax.sgd(0.1), 1.0, loss_params=[1.0]),
            TypeError,
            "loss_params must be a d",
        ),
        (lambda: optimizer_map(square, optax.sgd, jnp.zeros(0), hyper=RATE), ValueError, "hold no array"),
        (lambda: optimizer_map(square, optax.sgd, 1.0, hyper=RATE, at_step=2**31), ValueError, "fit 32 bits"),
        (
            lambda: optimizer_map(square, optax.sgd(0.1), 1.0, loss_params={"a": 1.0}),
            TypeError,
            "loss_params are given",
        ),
        (lambda: optimizer_map(lambda t, p: t, optax.sgd(0.1), 1.0), TypeError, "no loss_params are given"),
        (lambda: optimizer_map(lambda t: (t, t), optax.sgd(0.1), 1.0), TypeError, "one real number, got tuple"),
        (lambda: optimizer_map(lambda t: None, optax.sgd(0.1), 1.0), TypeError, "one real number, got NoneType"),
        (
            lambda: optimizer_map(lambda t: t["a.b"], optax.sgd(0.1), {"a": {"b": 1.0}, "a.b": 1.0}),
            ValueError,
            "two states would have the name a.b",
        ),
        (
            lambda: optimizer_map(lambda t: t["a[0]"], optax.sgd(0.1), {"a": jnp.ones(2), "a[0]": 1.0}),
            ValueError,
            r"two states would have the name a\[0\]",
        ),
        (lambda: game_map(both, optax.sgd, {}, hyper=RATE), TypeError, "one player's start or more"),
        (
            lambda: game_map(both, optax.sgd, {"a": 1.0, "a_b": 1.0}, hyper={"learning_rate": {"a": 0.1, "z": 0.2}}),
            ValueError,
            r"values for \['z'\], players are a, a_b",
        ),
        (
            lambda: game_map(
                both,
                {"a": lambda b_c: optax.sgd(b_c), "a_b": lambda c: optax.sgd(c)},
                {"a": 1.0, "a_b": 1.0},
                hyper={"c": {"a_b": 0.1}, "b_c": {"a": 0.2}},
            ),
            ValueError,
            "two hyper-parameters have the name 'a_b_c'",
        ),
        (lambda: losses_at(games.bilinear(), {"x": jnp.ones(2), "y": 1.0}), ValueError, "x and y must have one shape"),
        (
            lambda: losses_at(games.two_learners(), {"k": jnp.ones((2, 2)), "w": jnp.ones((2, 2))}),
            ValueError,
            "vectors",
        ),
        (lambda: losses_at(games.two_learners(), {"k": jnp.ones(2), "w": jnp.ones(3)}), ValueError, "vectors"),
        (lambda: games.quadratic("ab", {"x": 1.0}), TypeError, "must be real numbers"),
        (
            lambda: coadaptation_theory.stationary_state(
                {"tau": [1.0, 0.8], "sigma_k": 0.5, "sigma_w": 0.5}, 2, active=["yes", "no"]
            ),
            TypeError,
            "true or false",
        ),
    ],
)
def test_what_is_refused(unchecked, make, error, match):
    with pytest.raises(error, match=match):
        make()


def losses_at(game, start):
    return game_map(game.losses, optax.sgd, start, hyper=RATE, loss_params=game.params)


def test_no_part_of_a_number_is_dropped(unchecked):
    system = optimizer_map(square, optax.adam, jnp.ones(2), hyper=RATE)
    for refused in (
        lambda: pack(system, jnp.array([1j, 2.0])),
        lambda: losses(system, 1j * np.ones(6)),
        lambda: unpack(system, ["a"] * 6),
        lambda: unpack(system, None, 1.5),
    ):
        with pytest.raises(TypeError, match=r"real numbers|whole number"):
            refused()


def test_matrices_of_whole_numbers_can_be_swept():
    game = games.quadratic([[1, 2], [-2, 1]], {"x": 1.0, "y": 1.0})
    changed = losses_at(game, game.start).with_params(matrix=[[0.5, 0.0], [0.0, 0.5]])
    np.testing.assert_allclose(changed(0, [1.0, 1.0]), [0.95, 0.95], rtol=1e-6)


def test_sizes_of_parts_have_slopes_where_they_vanish():
    """The bilinear game has no potential part whatever its strength, and sqrt(2) strength of the other."""
    game = games.bilinear()

    def sizes(strength):
        found = game_jacobian(game.losses, game.start, loss_params={"strength": strength})
        return jnp.stack([found.potential_size, found.hamiltonian_size])

    np.testing.assert_allclose(jax.jacrev(sizes)(1.0), [0.0, np.sqrt(2)], rtol=1e-6)
