"""Hooks of the AvePoint provider."""
