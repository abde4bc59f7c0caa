"""The two drivers: ``requests`` for workers, ``aiohttp`` for the triggerer. They move bytes, no more."""
