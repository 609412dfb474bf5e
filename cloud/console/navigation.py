"""Where one can go from everywhere, in order."""

from dataclasses import dataclass

from cloud.accounts.service import Role


@dataclass(frozen=True)
class Place:
    """An entry of the main menu; its word is `nav.<name>`, shown to whoever may do what `role` may; `whole`: everywhere."""

    name: str
    path: str
    role: Role = Role.VIEWER
    whole: bool = False


PLACES = (
    Place("overview", "/"),
    Place("activities", "/activities"),
    Place("members", "/members"),
    Place("rooms", "/rooms"),
    Place("terminals", "/terminals"),
    Place("commands", "/commands"),
)

WATCH = (
    Place("alarms", "/alarms"),
    Place("quarantine", "/quarantine"),
    Place("audit", "/audit", Role.ADMIN, whole=True),
)
"""Below the line: what somebody should look at."""

KEEP = (
    Place("organisations", "/organisations"),
    Place("templates", "/templates"),
    Place("accounts", "/accounts", Role.ADMIN),
    Place("tokens", "/tokens"),
    Place("sessions", "/sessions"),
)
"""Below the next: what is set up once and rarely changed."""
