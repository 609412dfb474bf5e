"""Starts the parts of Roomlink together on one machine; spawns their commands and uses the HTTP API, nothing else."""
