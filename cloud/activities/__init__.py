"""Activities and their occurrences."""
