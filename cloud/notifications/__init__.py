"""Notifications: whom to tell of alarms, by e-mail or signed webhook, when, and what became of it."""
