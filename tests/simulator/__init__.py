"""The simulator's tests: over real sockets, against what the vendor's documents say."""
