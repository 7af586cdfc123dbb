"""Virtual time that runs with the real one, for servers and demonstrations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_STEP_S: Final = 0.01  # real seconds between two steps


@contextmanager
def running(advance: Callable[[float], None], speed: float) -> Iterator[None]:
    """Call *advance* with what has passed, *speed* times as fast as it really does."""
    over = threading.Event()

    def run() -> None:
        last = time.monotonic()
        while not over.wait(_STEP_S):
            now = time.monotonic()
            advance((now - last) * speed)
            last = now

    thread = threading.Thread(target=run, name="azurevm-realtime", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
