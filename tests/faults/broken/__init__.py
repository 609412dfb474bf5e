"""Clouds and kiosks that break one promise each, to see that the fault harness notices. Started as modules, never imported."""
