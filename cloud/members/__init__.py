"""Members: the people whose attendance is kept."""
