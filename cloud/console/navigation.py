"""Where one can go from everywhere, in order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """An entry of the main menu; its word is `nav.<name>`."""

    name: str
    path: str


PLACES = (
    Place("overview", "/"),
    Place("activities", "/activities"),
    Place("members", "/members"),
    Place("rooms", "/rooms"),
    Place("terminals", "/terminals"),
)

WATCH = (
    Place("quarantine", "/quarantine"),
    Place("audit", "/audit"),
)
"""Below the line: what somebody should look at."""
