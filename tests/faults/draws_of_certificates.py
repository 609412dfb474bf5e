"""Faults that only mutual TLS knows: certificates renewed, a terminal revoked and enrolled again, the authority rotated.

As in draws.py each does its damage and gives back what heals it. Called by the harness.
"""

from demo.world import WorldError
from tests.faults.certificates import ByCertificate
from tests.faults.draws import Fault, Heal, Round
from tests.faults.recovery import Stuck, state_of
from tests.process import wait_until

CUT_WITHIN_S = 30.0
"""The product promises ten seconds; a machine that is busy with other things takes longer."""
RENEWED_WITHIN_S = 120.0


def renew_certificate(now: Round) -> Heal:
    """A kiosk comes back with a certificate that must be renewed at once, or that has ended: it does so by itself, over HTTPS."""
    kiosk, certificates = now.kiosk(), _certificates(now)
    kiosk.process.kill()
    ended = now.chance.random() < 0.5
    short = certificates.give_short(kiosk, now.stack.ledger(), ended=ended)

    def heal() -> None:
        kiosk.start()
        if not wait_until(lambda: certificates.serial_of(kiosk) not in (None, short), RENEWED_WITHIN_S):
            raise Stuck(f"the certificate was not renewed\n{state_of(now.stack, [kiosk])}")
        now.renewed += 1

    return heal


def revoke_terminal(now: Round) -> Heal:
    """A kiosk is shut out while people go on coming to it; then it is enrolled again, and what it holds must arrive."""
    kiosk, certificates, api = now.kiosk(), _certificates(now), now.stack.api()
    certificates.revoke(kiosk, api)
    if now.is_alone and not wait_until(lambda: _presence(now, kiosk.name) == "offline", CUT_WITHIN_S):
        raise AssertionError(f"{kiosk.name} is revoked, and its session goes on")

    def heal() -> None:
        certificates.enrol_again(kiosk, api)
        api.close()
        now.revoked += 1

    return heal


def rotate_authority(now: Round) -> Heal:
    """Another intermediate gives certificates from now on; those of the old one stay good."""
    _certificates(now).rotate(now.stack.run_command)
    now.rotated += 1
    return lambda: None


CERTIFICATE_FAULTS: tuple[Fault, ...] = (renew_certificate, revoke_terminal, rotate_authority)


def _certificates(now: Round) -> ByCertificate:
    certificates = now.stack.certificates
    assert certificates is not None, "only a stack with certificates draws these"
    return certificates


def _presence(now: Round, terminal: str) -> str | None:
    api = now.stack.api()
    try:
        return str(api.get(f"/terminals/{terminal}")["presence"])
    except WorldError:
        return None
    finally:
        api.close()
