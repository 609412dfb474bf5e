"""Templates: settings for all terminals of an organisation's branch, of a room or of a kind at once."""
