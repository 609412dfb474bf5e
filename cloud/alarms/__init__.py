"""Alarms: rules about terminals, what they find, and what people do about it."""
