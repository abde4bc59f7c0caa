"""Triggers of the AvePoint provider."""
