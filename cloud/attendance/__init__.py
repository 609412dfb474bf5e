"""Attendance and its corrections."""
