"""Sliders over the parameters and the start of a system, beside its phase plane and its time series."""

from jaxdyn.interactive.explorer import Explorer, explore

__all__ = ["Explorer", "explore"]
