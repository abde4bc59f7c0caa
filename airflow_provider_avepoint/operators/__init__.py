"""Operators of the AvePoint provider."""
