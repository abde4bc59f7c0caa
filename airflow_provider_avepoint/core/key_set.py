"""A set of a million keys in less than half the memory that Python's own needs."""

from __future__ import annotations

from array import array

# Up to here, Python's set is faster and takes little.
_MOST_IN_SET = 200_000
_BUCKETS = 1 << 17
_MASK = _BUCKETS - 1


class KeySet:
    """A set of 64-bit hashes.

    A small one is a set. A large one spreads its keys over arrays by their lowest bits: of a million keys,
    eight share an array. A set takes about 65 bytes a key, the arrays about 25.
    """

    __slots__ = ("_buckets", "_few")

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._buckets: list[array[int]] = []

    def add(self, key: int) -> bool:
        """Add *key*; return whether it is new.

        :param key: what ``hash()`` gives.
        """
        if self._buckets:
            bucket = self._buckets[key & _MASK]
            if key in bucket:
                return False
            bucket.append(key)
            return True
        if key in self._few:
            return False
        self._few.add(key)
        if len(self._few) > _MOST_IN_SET:
            self._spread()
        return True

    def _spread(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        for key in self._few:
            self._buckets[key & _MASK].append(key)
        self._few = set()
