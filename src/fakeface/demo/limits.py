"""How often one address may ask: against accidents, not attacks.

A question is counted when it is answered, after its upload and its place in the queue. Whoever serves the
page to strangers puts a proxy in front of it that limits uploads, too.
"""

from __future__ import annotations

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

MAX_FILE_SIZE = "20 MB"
MAX_WAITING = 20
RATE = "30/minute"


class RateLimit:
    """At most so many pictures an address, counted over a moving window; kept in memory.

    Args:
        rate: as the package ``limits`` writes it, for instance ``30/minute``.
    """

    def __init__(self, rate: str = RATE) -> None:
        self._item = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admits(self, address: str) -> bool:
        """Whether ``address`` may ask once more; counts the question if so."""
        return self._limiter.hit(self._item, address)

    @property
    def words(self) -> str:
        """The limit for people."""
        return f"at most {self._item.amount} pictures in {self._item.get_expiry()} seconds"
