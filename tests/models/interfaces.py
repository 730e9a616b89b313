"""Brain-machine interfaces at random."""


def random_params(random, count, d):
    """Parameters of interfaces for targets in d directions, a third of them of equal size in all."""
    ranges = {"sigma_k": (0.05, 1), "sigma_w": (0.05, 1), "gamma_k": (0.05, 2), "gamma_w": (0.05, 2)}
    params = {name: random.uniform(*ends, count) for name, ends in ranges.items()}
    params["tau"] = random.uniform(0.4, 2, (count, d))
    params["tau"][::3] = random.uniform(0.9, 2, (len(params["tau"][::3]), 1))
    return params
