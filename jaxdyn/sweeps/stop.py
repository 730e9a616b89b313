"""Stopping between chunks: Ctrl-C and SIGTERM let a sweep finish what it is computing, and save it."""

import os
import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["Stop"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Context in which the first of these signals is only noted, and a second one does what it always did.

    Only the main thread of a program gets signals; elsewhere this does nothing. A signal that the program ignores, as
    under nohup, stays ignored.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {number: h for number, h in handlers.items() if h not in (None, signal.SIG_IGN)}
            for number in self._before:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def act(self, said: str) -> None:
        """Do what the signal asks for, if there was one: KeyboardInterrupt with a message, or the end."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt(said)
        if self.signal is not None:
            os.kill(os.getpid(), self.signal)
            raise SystemExit(128 + self.signal)  # the program's own handler let it live
