"""Credentials, the keys that sign them, and printed cards."""
