"""Every page of the console, on a stack in whose town something goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud.audit.service import Change
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.scope import EVERYWHERE
from cloud.templates import service as templates
from cloud.templates.service import TemplateForm
from tests.e2e.console_stack import Stack, running_stack
from tests.e2e.console_town import BULK, quarantine, send_commands


@contextmanager
def busy_stack(folder: Path) -> Iterator[Stack]:
    """A running cloud with check-ins of every kind, and something in quarantine."""
    with running_stack(folder) as stack:
        for number in range(9):
            stack.town.check_in(number % 8, number % 3)
        stack.town.check_in(None, 1)
        stack.town.check_in(None, 0, method="guest", waits=0, credential_id=None, subject=None)
        stack.town.check_in(4, 1, outcome="refused", reason="not_for_this_activity")
        with transaction(stack.town.engine) as session:
            change = Change("test", utc_now())
            for form in (
                TemplateForm(kind="kiosk", settings={"resend_timeout_s": 10.0}),
                TemplateForm(
                    organisation_id=stack.town.organisation_id, settings={"language": "en", "health_every_s": 30.0}
                ),
            ):
                templates.create(session, change, EVERYWHERE, form)
        quarantine(stack.town.engine, "kiosk-302-a", b'{"type":"dance","x":"<script>alert(1)</script>"}\n\x00\xff')
        send_commands(stack.town)
        yield stack


def pages(stack: Stack) -> list[str]:
    """Their addresses, as an admin may open them."""
    town = stack.town
    return [
        "/", "/activities", f"/activities/{town.occurrences[0]}", "/members", f"/members/{town.members[0]}", "/terminals/import",
        "/members/import", "/templates", "/rooms", "/terminals", "/terminals/kiosk-302-a", "/terminals/kiosk-210-a",
        "/terminals/kiosk-302-a/timeline", "/terminals/map",
        f"/terminals?organisation={town.organisation_id}", "/quarantine", "/quarantine/1", "/audit", "/organisations",
        "/alarms", "/alarms?state=cleared", *(f"/alarms/{each}" for each in town.alarms()), "/alarm-rules",
        "/maintenance-windows", "/receivers",
        "/accounts", "/tokens", "/sessions", "/search?q=302", "/members/mem_0000000000000000",
        "/members?search=%E6%97%A0%E4%BA%BA",
        "/commands", f"/commands/{BULK}", f"/commands/{BULK}?state=done",
    ]  # fmt: skip
