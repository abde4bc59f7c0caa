"""The set of keys that a long listing keeps."""

from __future__ import annotations

import random

from airflow_provider_avepoint.core.key_set import KeySet


def test_a_key_is_new_once() -> None:
    """Whatever its sign and however many there are: as Python's set says."""
    rng = random.Random(1)
    keys = [*range(-300, 300), -(2**63), 2**63 - 1, *(rng.getrandbits(64) - 2**63 for _ in range(200_000))]
    ours, theirs = KeySet(), set[int]()
    for key in [*keys, *rng.choices(keys, k=20_000), *keys[:1000]]:
        assert ours.add(key) is (key not in theirs)
        theirs.add(key)
