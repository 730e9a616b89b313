"""Sizes of memory as they are written."""

__all__ = ["bytes_of"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def bytes_of(memory: str | int) -> int:
    """Number of bytes of a size such as "500MB", "2GiB" or 10**9."""
    text = str(memory).strip().upper().removesuffix("B")
    digits = text.rstrip("KMGI ")
    try:
        size = int(float(digits) * _UNITS[text[len(digits) :].strip()])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size <= 0:
        raise ValueError(f"memory must be a size such as '2GB' or a number of bytes, got {memory!r}")
    return size
