"""How a command ends other than well."""

__all__ = ["FAILURE", "INTERRUPTED", "WRONG_INPUT", "Interrupted"]

WRONG_INPUT, FAILURE, INTERRUPTED = 2, 1, 130


class Interrupted(Exception):
    """Ctrl-C, with what to say about it."""
