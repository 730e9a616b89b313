"""Games as maps: ways of play against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn.learning import Alternating, ExtraGradient, Simultaneous, Stackelberg, game_map, losses, pack, unpack
from jaxdyn.models import games


def played(game, rate=0.3, play=None, **options):
    hyper = {"learning_rate": dict.fromkeys(game.start, rate)}
    return game_map(game.losses, optax.sgd, game.start, hyper=hyper, loss_params=game.params, play=play, **options)


def test_the_two_learner_game_is_that_of_the_library(x64):
    game = games.two_learners(tau=1.1, sigma_k=0.4, sigma_w=0.6)
    rates = {"learning_rate": {"k": 0.3, "w": 0.4}}
    ours = game_map(game.losses, optax.sgd, game.start, hyper=rates, loss_params=game.params)
    theirs = jaxdyn.models.two_learner_descent(tau=1.1, sigma_k=0.4, sigma_w=0.6, gamma_k=0.3, gamma_w=0.4)
    assert ours.state_names == theirs.state_names
    assert list(ours.params) == ["k_learning_rate", "w_learning_rate", "tau", "sigma_k", "sigma_w"]
    runs = [jaxdyn.trajectory(system, n_steps=100).x for system in (ours, theirs)]
    np.testing.assert_allclose(*runs, rtol=0, atol=1e-14)  # some roundings a step of a contraction
    for system, names in ((ours, ("k_learning_rate", "w_learning_rate")), (theirs, ("gamma_k", "gamma_w"))):
        changed = system.with_params(**dict(zip(names, (0.9, 1.1), strict=True)))
        runs.append(jaxdyn.jacobian(changed, [0.3, 0.7]))
    np.testing.assert_allclose(runs[2], runs[3], rtol=0, atol=1e-15)


def test_the_two_learner_game_of_vectors(x64):
    theirs = jaxdyn.models.vector_learner_descent(n=3)
    vectors = dict(zip("kw", jnp.split(theirs.x0, 2), strict=True))
    game = games.two_learners()
    rates = {"learning_rate": {"k": 0.3, "w": 0.4}}
    ours = game_map(game.losses["k"], optax.sgd, vectors, hyper=rates, loss_params=game.params)
    assert ours.state_names == ("k[0]", "k[1]", "k[2]", "w[0]", "w[1]", "w[2]")
    runs = [jaxdyn.trajectory(system, n_steps=50).x for system in (ours, theirs)]
    np.testing.assert_allclose(*runs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rate", [0.1, 0.7, 1.5])
def test_ways_of_play_on_the_bilinear_game(x64, rate):
    """One step is 1 +- i r; with an extra-gradient 1 - r^2 +- i r; alternating: determinant 1, trace 2 - r^2."""
    expected = {
        Simultaneous(): np.array([1 + 1j * rate, 1 - 1j * rate]),
        ExtraGradient(): np.array([1 - rate**2 + 1j * rate, 1 - rate**2 - 1j * rate]),
        Alternating(): np.roots([1, -(2 - rate**2), 1]),
    }
    for play, values in expected.items():
        got = jaxdyn.eigenvalues(played(games.bilinear(), rate, play))
        np.testing.assert_allclose(got, sorted(values, key=lambda z: -z.imag), rtol=0, atol=1e-14)
    assert jaxdyn.spectral_radius(jaxdyn.eigenvalues(played(games.bilinear(), rate))) > 1
    alternating = jaxdyn.eigenvalues(played(games.bilinear(), rate, Alternating()))
    np.testing.assert_allclose(np.abs(alternating), 1, atol=1e-14)


def test_alternating_play_leaves_the_circle_beyond_rate_2(x64):
    values = jaxdyn.eigenvalues(played(games.bilinear(), 2.1, Alternating()))
    assert jaxdyn.spectral_radius(values) > 1.1


@pytest.mark.parametrize("play", [Simultaneous(), ExtraGradient()], ids=["simultaneous", "extra"])
def test_measured_rate_is_the_spectral_radius(x64, play):
    """The step is a multiple of a rotation: distances change by the radius, exactly, 200 times."""
    system = played(games.bilinear(), 0.3, play)
    run = jaxdyn.trajectory(system, n_steps=200).x
    rate = (np.linalg.norm(run[-1]) / np.linalg.norm(run[0])) ** (1 / 200)
    radius = float(jaxdyn.spectral_radius(jaxdyn.eigenvalues(system)))
    np.testing.assert_allclose(rate, radius, rtol=1e-13)
    assert radius == pytest.approx(abs(1 + 0.3j if isinstance(play, Simultaneous) else 0.91 + 0.3j), rel=1e-13)


@pytest.mark.parametrize("penalty", [0.0, 0.3, 2.0])
def test_dirac_gan(x64, penalty):
    """Mescheder et al. 2018: eigenvalues of the flow -(g +- sqrt(g^2 - 1)) / 2; steps are 1 + rate times these."""
    game = games.dirac_gan(penalty)
    root = np.emath.sqrt(penalty**2 - 1)
    flow = -np.array([penalty + root, penalty - root]) / 2
    for play, values in ((None, 1 + 0.2 * flow), (ExtraGradient(), 1 + 0.2 * flow + (0.2 * flow) ** 2)):
        got = jaxdyn.eigenvalues(played(game, 0.2, play), [0.0, 0.0])
        np.testing.assert_allclose(np.sort_complex(got), np.sort_complex(values), rtol=0, atol=1e-14)


def test_stackelberg_on_a_quadratic_game(x64):
    """With M = [[a, b], [c, d]] the follower answers y = -c x / d, so the leader's total slope is

    a x + b y - (c / d) b x, where b x is the slope of its loss by y: row (a - b c / d, b).
    """
    (a, b), (c, d) = matrix = [[1.0, 2.0], [-0.5, 1.5]]
    system = played(games.quadratic(matrix, {"x": 1.0, "y": -1.0}), 0.1, Stackelberg(leader="x"))
    expected = np.eye(2) - 0.1 * np.array([[a - b * c / d, b], [c, d]])
    np.testing.assert_allclose(jaxdyn.jacobian(system), expected, rtol=0, atol=1e-15)


def test_stackelberg_with_several_followers(x64):
    """Followers' Jacobian F and how it moves with the leader, c: the leader's slope is row 0 less c . F^-T (b x)."""
    matrix = np.array([[1.0, 2.0, 0.3], [-0.5, 1.5, 0.2], [0.7, -0.1, 2.0]])
    game = games.quadratic(matrix, {"x": 1.0, "y": -1.0, "z": 0.5})
    system = played(game, 0.1, Stackelberg(leader="x"))
    total = matrix.copy()
    total[0, 0] -= matrix[1:, 0] @ np.linalg.solve(matrix[1:, 1:].T, matrix[0, 1:])
    np.testing.assert_allclose(jaxdyn.jacobian(system), np.eye(3) - 0.1 * total, rtol=0, atol=1e-14)


def test_alternating_follows_the_order_of_the_players(x64):
    game = games.bilinear()
    there = played(game, 0.5, Alternating())
    back = played(game._replace(start=dict(reversed(game.start.items()))), 0.5, Alternating())
    np.testing.assert_allclose(there(0, [1.0, 0.5]), [1 - 0.5 * 0.5, 0.5 + 0.5 * 0.75], rtol=0)
    np.testing.assert_allclose(back(0, [0.5, 1.0]), [0.5 + 0.5 * 1.0, 1 - 0.5 * 1.0], rtol=0)


def test_optimistic_play_contracts(x64):
    """theta+ = theta - r (2 g - g_before): z^2 = z - i r (2 z - 1) on the bilinear game (Daskalakis et al. 2018)."""
    game = games.bilinear()
    optimistic = optax.optimistic_gradient_descent
    system = game_map(game.losses, optimistic, game.start, hyper={"learning_rate": 0.3}, loss_params=game.params)
    values = jaxdyn.eigenvalues(system, t=5)
    expected = np.concatenate([np.roots([1, -1 + 2j * s, -1j * s]) for s in (0.3, -0.3)])
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(expected), rtol=0, atol=1e-14)
    assert jaxdyn.spectral_radius(values) < 1


def test_players_with_optimizers_of_their_own(x64):
    game = games.two_learners()
    system = game_map(
        game.losses,
        {"w": optax.sgd, "k": optax.adam},
        game.start,
        hyper={"learning_rate": {"k": 0.01, "w": 0.4}, "b1": {"k": 0.8}, "momentum": {"w": 0.5}},
        loss_params=game.params,
    )
    assert system.state_names == ("k", "w", "mu.k", "nu.k", "trace.w")
    assert list(system.params)[:4] == ["k_learning_rate", "w_learning_rate", "k_b1", "w_momentum"]
    thetas = {"k": jnp.asarray(0.71), "w": jnp.asarray(0.70)}
    each = {"k": optax.adam(0.01, b1=0.8), "w": optax.sgd(0.4, momentum=0.5)}
    states = {name: each[name].init(thetas[name]) for name in "kw"}
    params = {name: jnp.asarray(value) for name, value in game.params.items()}
    for _ in range(10):
        slopes = {name: jax.grad(game.losses[name])(thetas, params)[name] for name in "kw"}
        for name in "kw":
            with jax.numpy_dtype_promotion("standard"):
                updates, states[name] = each[name].update(slopes[name], states[name], thetas[name])
            thetas[name] = thetas[name] + updates
    end = jaxdyn.final_state(system, n_steps=10).x
    got, optimizer = unpack(system, end, 10)
    np.testing.assert_allclose([got["k"], got["w"]], [thetas["k"], thetas["w"]], rtol=1e-14)
    np.testing.assert_allclose(optimizer["k"][0].nu, states["k"][0].nu, rtol=1e-13)
    np.testing.assert_array_equal(pack(system, got, optimizer), end)
    assert losses(system, end).keys() == {"k", "w"}


def test_one_rate_for_all_players():
    game = games.bilinear()
    system = game_map(game.losses, optax.sgd, game.start, hyper={"learning_rate": 0.5}, loss_params=game.params)
    assert list(system.params) == ["learning_rate", "strength"]


@pytest.mark.parametrize("play", [Simultaneous(), Alternating(), ExtraGradient(), Stackelberg("k")], ids=repr)
def test_all_play_runs_natively_in_lanes(play):
    system = played(games.two_learners(), 0.3, play)

    def end(rate):
        return jaxdyn.final_state(system.with_params(k_learning_rate=rate), n_steps=20).x

    rates = jnp.linspace(0.1, 0.5, 256)
    report = jaxdyn.explain(end, rates)
    assert not report.fallbacks
    assert report.why is None
    # 20 steps of some 20 roundings each, on a contraction to numbers of order 1.
    np.testing.assert_allclose(jaxdyn.lanes(end)(rates), jax.vmap(end)(rates), rtol=0, atol=400 * 6e-8)
