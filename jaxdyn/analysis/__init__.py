"""Analyses: one question a file, each a function of one system that returns a record."""
