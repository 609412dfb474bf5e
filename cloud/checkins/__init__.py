"""Check-ins as people look at them: who was where, and what became of it."""
