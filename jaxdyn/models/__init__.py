"""The library of systems. Each name in `REGISTRY` is a factory: `models.lorenz63(rho=28)` gives a fresh system."""

from jaxdyn.models._model import Model, describe
from jaxdyn.models.chaotic_flows import henon_heiles, lorenz63, lorenz96, rossler
from jaxdyn.models.chaotic_maps import henon, ikeda, logistic, standard_map
from jaxdyn.models.coadaptation import (
    coadaptive_descent,
    coadaptive_error,
    coadaptive_flow,
    decoder_cost,
    encoder_cost,
)
from jaxdyn.models.coadaptation_search import coadaptive_search
from jaxdyn.models.delay_lines import mackey_glass
from jaxdyn.models.learners import (
    multiplicative_map,
    two_learner_descent,
    two_learner_error,
    two_learner_flow,
    vector_learner_descent,
    vector_learner_flow,
)
from jaxdyn.models.linear import line_attractor, line_attractor_flow, linear_flow, linear_map
from jaxdyn.models.mechanics import kepler, pendulum, pleiades
from jaxdyn.models.networks import feedforward, hebbian_pair, hebbian_pair_fast, random_rnn, random_rnn_map
from jaxdyn.models.neurons import fitzhugh_nagumo, hodgkin_huxley, morris_lecar, wilson_cowan
from jaxdyn.models.oscillators import brusselator, duffing, kuramoto, van_der_pol
from jaxdyn.models.stiff import robertson
from jaxdyn.models.stochastic import (
    double_well,
    geometric_brownian_motion,
    noisy_fitzhugh_nagumo,
    ornstein_uhlenbeck,
)

__all__ = [
    "REGISTRY",
    "Model",
    "brusselator",
    "coadaptive_descent",
    "coadaptive_error",
    "coadaptive_flow",
    "coadaptive_search",
    "decoder_cost",
    "describe",
    "double_well",
    "duffing",
    "encoder_cost",
    "feedforward",
    "fitzhugh_nagumo",
    "geometric_brownian_motion",
    "hebbian_pair",
    "hebbian_pair_fast",
    "henon",
    "henon_heiles",
    "hodgkin_huxley",
    "ikeda",
    "kepler",
    "kuramoto",
    "line_attractor",
    "line_attractor_flow",
    "linear_flow",
    "linear_map",
    "logistic",
    "lorenz63",
    "lorenz96",
    "mackey_glass",
    "morris_lecar",
    "multiplicative_map",
    "noisy_fitzhugh_nagumo",
    "ornstein_uhlenbeck",
    "pendulum",
    "pleiades",
    "random_rnn",
    "random_rnn_map",
    "robertson",
    "rossler",
    "standard_map",
    "two_learner_descent",
    "two_learner_error",
    "two_learner_flow",
    "van_der_pol",
    "vector_learner_descent",
    "vector_learner_flow",
    "wilson_cowan",
]

REGISTRY: dict[str, Model] = {
    entry.about.name: entry
    for entry in (
        brusselator,
        coadaptive_descent,
        coadaptive_flow,
        coadaptive_search,
        double_well,
        duffing,
        fitzhugh_nagumo,
        geometric_brownian_motion,
        hebbian_pair,
        hebbian_pair_fast,
        henon,
        henon_heiles,
        hodgkin_huxley,
        ikeda,
        kepler,
        kuramoto,
        line_attractor,
        line_attractor_flow,
        linear_flow,
        linear_map,
        logistic,
        lorenz63,
        lorenz96,
        mackey_glass,
        morris_lecar,
        multiplicative_map,
        noisy_fitzhugh_nagumo,
        ornstein_uhlenbeck,
        pendulum,
        pleiades,
        random_rnn,
        random_rnn_map,
        robertson,
        rossler,
        standard_map,
        two_learner_descent,
        two_learner_flow,
        van_der_pol,
        vector_learner_descent,
        vector_learner_flow,
        wilson_cowan,
    )
}
"""Every model by its name."""
