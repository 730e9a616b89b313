"""Orbits against a parameter: attractors, their periods and where these double, sweeps with memory."""
