"""What could not be understood: looked at, replayed after a fix, or discarded with a reason."""
