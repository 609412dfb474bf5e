"""Readings: what a terminal measured of itself, over any span, from the time series."""
