"""Tests of the core: pure functions with literals, flows driven by hand."""
