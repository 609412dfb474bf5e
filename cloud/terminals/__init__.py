"""Terminals: registration, their twins and the files their twins name."""
