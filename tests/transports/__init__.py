"""Tests of the two drivers, over real sockets on the loopback."""
