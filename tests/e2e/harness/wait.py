"""Waiting for a condition with a deadline. Nothing here waits for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How often a condition that nobody announces (a file, /proc, an HTTP answer) is looked at.
POLL_S = 0.02


def until(condition: Callable[[], T | None], within: float, what: str | Callable[[], str]) -> T:
    """Returns the first truthy value of `condition`, or fails naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {within:g} s: {text}")
        time.sleep(POLL_S)
