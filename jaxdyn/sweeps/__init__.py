"""Sweeps: a measure of one system over a labelled grid (the function is `jaxdyn.sweep`)."""
