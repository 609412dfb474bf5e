"""Where one can go from everywhere, in order."""

from dataclasses import dataclass

from cloud.accounts.service import Role


@dataclass(frozen=True)
class Place:
    """An entry of the main menu; its word is `nav.<name>`, shown to whoever may do what `role` may."""

    name: str
    path: str
    role: Role = Role.VIEWER


PLACES = (
    Place("overview", "/"),
    Place("activities", "/activities"),
    Place("members", "/members"),
    Place("rooms", "/rooms"),
    Place("terminals", "/terminals"),
    Place("commands", "/commands"),
)

WATCH = (
    Place("quarantine", "/quarantine"),
    Place("audit", "/audit", Role.ADMIN),
)
"""Below the line: what somebody should look at."""

KEEP = (
    Place("organisations", "/organisations"),
    Place("accounts", "/accounts", Role.ADMIN),
    Place("tokens", "/tokens"),
    Place("sessions", "/sessions"),
)
"""Below the next: what is set up once and rarely changed."""
