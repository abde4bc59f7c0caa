"""Sensors of the AvePoint provider."""
