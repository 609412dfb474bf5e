"""Rooms, known by the number on their plate."""
