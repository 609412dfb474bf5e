"""A certificate renews itself over real HTTPS: when it is time, by which clock, and what it does when that fails."""

import random
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.certificates.authority import make_terminal, new_key
from edge import identity
from edge.clock import SteppedClock
from edge.enrolment import Claimed
from edge.identity import BrokerAt, Claim, Identity
from edge.renewal import FIRST_RETRY_S, LOOK_EVERY_S, MOST_LATER, MOST_RETRY_ENDED_S, MOST_RETRY_S, Renewal
from edge.tls import cloud_context
from firmware_specs.messages import Clock as Quality
from tests.enrolment_double import DAY, TERMINAL, EnrolmentDouble, Pki, pem
from tests.process import HOST, wait_until

LIFE = 91 * DAY
NOW = datetime.now(UTC).replace(microsecond=0)
DUE_AFTER = LIFE * (2 / 3 + MOST_LATER)


class Terminal:
    """A claimed terminal, whose certificate was made ``age`` ago."""

    def __init__(self, folder: Path, pki: Pki, age: timedelta, quality: Quality = Quality.SYNCED) -> None:
        self.folder = folder / "identity"
        self.clock = SteppedClock(int(NOW.timestamp() * 1e6), quality)
        key = identity.pending_key(self.folder)
        leaf = make_terminal(pki.issuer, TERMINAL, key.public_key, NOW - age)
        told = Claim(
            terminal=TERMINAL,
            profile="kiosk",
            broker=BrokerAt(host=HOST, port=8883),
            cloud_url="",
            password="for files",
        )
        chain, root = pem(leaf, pki.issuer.certificate).encode(), pem(pki.root.certificate).encode()
        identity.keep_claim(self.folder, told, chain, root, None)

    def identity(self) -> Identity:
        known = identity.load(self.folder)
        assert known is not None
        return known

    def context(self) -> ssl.SSLContext:
        return cloud_context(None, self.identity(), self.clock)

    def renewal(self, cloud: EnrolmentDouble) -> Renewal:
        return Renewal(self.folder, cloud.url, self.context, self.clock, random.Random(1))


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


def test_young_certificate_is_left_alone_until_two_thirds_of_its_life(tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 10 * DAY)
    with EnrolmentDouble(pki) as cloud:
        renewal = terminal.renewal(cloud)
        assert renewal.turn() == LOOK_EVERY_S
        terminal.clock.set_wall(int((NOW - 11 * DAY + LIFE * 2 / 3).timestamp() * 1e6))
        assert renewal.turn() == LOOK_EVERY_S  # two thirds, and not yet the while by chance
        assert cloud.renewals == 0
        terminal.clock.set_wall(int((NOW - 11 * DAY + DUE_AFTER).timestamp() * 1e6))
        assert renewal.turn() == LOOK_EVERY_S
        assert cloud.renewals == 1
        assert cloud.asked == ["POST /api/v1/enrolment/renewals"]


def test_terminals_claimed_together_do_not_renew_together(tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 10 * DAY)
    with EnrolmentDouble(pki) as cloud:
        due = [
            Renewal(terminal.folder, cloud.url, terminal.context, terminal.clock, random.Random(seed))._due_at(
                terminal.identity()
            )
            for seed in range(200)
        ]
    assert min(due) >= terminal.identity().renews_at
    assert max(due) - min(due) > 4 * DAY
    assert max(due) < terminal.identity().ends_at - 20 * DAY


def test_renewed_certificate_is_in_force_and_its_key_is_the_same(tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    before = terminal.identity()
    with EnrolmentDouble(pki, broker_port=8884) as cloud:
        terminal.renewal(cloud).turn()
        (issued,) = cloud.issued
    after = terminal.identity()
    assert after.certificate == issued != before.certificate
    assert after.signer.public_key == before.signer.public_key
    assert (after.claim.broker.port, after.claim.password) == (8884, "for files")
    assert after.ends_at - NOW > 89 * DAY
    identity.check_certificates(
        identity.read_certificates(terminal.folder / "certificate.pem"), after.root, TERMINAL, after.signer.public_key
    )


def test_terminal_back_from_a_long_holiday_renews(tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 300 * DAY)
    with EnrolmentDouble(pki) as cloud:
        terminal.renewal(cloud).turn()
    assert terminal.identity().ends_at > NOW


@pytest.mark.parametrize("years", [-20, 20])
@pytest.mark.parametrize("age", [10 * DAY, 80 * DAY, 300 * DAY], ids=["young", "due", "ended"])
def test_terminal_whose_clock_is_years_off_goes_by_the_clouds(
    age: timedelta, years: int, tmp_path: Path, pki: Pki
) -> None:
    terminal = Terminal(tmp_path, pki, age, Quality.UNSET)
    terminal.clock.set_wall(int((NOW + years * 365 * DAY).timestamp() * 1e6))
    with EnrolmentDouble(pki) as cloud:
        terminal.renewal(cloud).turn()
        assert cloud.renewals == (age > 60 * DAY)
        assert cloud.asked[0] == "GET /healthz"


@pytest.mark.parametrize("quality", [Quality.SYNCED, Quality.HOLDOVER])
def test_dates_of_the_cloud_count_only_for_a_clock_that_is_right(quality: Quality, tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY, quality)
    with EnrolmentDouble(pki, server_begins_at=NOW - 200 * DAY) as cloud:
        renewal = terminal.renewal(cloud)
        renewal.turn()
        assert cloud.renewals == (quality is Quality.HOLDOVER)
        assert ("Set the clock" in (renewal.problem or "")) == (quality is Quality.SYNCED)


@pytest.mark.parametrize(("age", "longest_s"), [(80 * DAY, MOST_RETRY_S), (300 * DAY, MOST_RETRY_ENDED_S)])
def test_failures_are_tried_again_ever_more_rarely_and_forgotten_when_it_goes_well(
    age: timedelta, longest_s: float, tmp_path: Path, pki: Pki
) -> None:
    terminal = Terminal(tmp_path, pki, age)
    with EnrolmentDouble(pki, fail_next=[503] * 12) as cloud:
        renewal = terminal.renewal(cloud)
        waits = [renewal.turn() for _ in range(12)]
        assert renewal.problem == "The cloud answered 503."
        assert FIRST_RETRY_S / 2 <= waits[0] <= FIRST_RETRY_S
        assert all(longest_s / 2 <= wait_s <= longest_s for wait_s in waits[-3:])
        assert renewal.turn() == LOOK_EVERY_S
        assert (renewal.problem or "") == ""
        assert cloud.renewals == 1


def test_revoked_terminal_is_refused_and_goes_on_with_what_it_has(
    tmp_path: Path, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    before = terminal.identity().certificate
    with EnrolmentDouble(pki, revoked={before.serial_number}) as cloud:
        renewal = terminal.renewal(cloud)
        renewal.turn()
        renewal.turn()
    assert renewal.problem == "The cloud answered 403: The certificate is revoked."
    assert caplog.text.count("was not renewed") == 1
    assert terminal.identity().certificate == before


def test_cloud_that_is_away_is_a_sentence(tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    with EnrolmentDouble(pki) as cloud:
        renewal = terminal.renewal(cloud)
    assert renewal.turn() <= FIRST_RETRY_S
    assert "cannot be reached" in (renewal.problem or "")


@pytest.mark.parametrize("what", ["other key", "other root", "old", "nothing"])
def test_answer_that_is_not_for_this_terminal_changes_nothing(what: str, tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    before = terminal.identity()
    other = Pki(tmp_path / "other")
    leaves = {
        "other key": make_terminal(pki.issuer, TERMINAL, new_key().public_key(), NOW),
        "other root": make_terminal(other.issuer, TERMINAL, before.signer.public_key, NOW),
        "old": make_terminal(pki.issuer, TERMINAL, before.signer.public_key, NOW - 85 * DAY),
    }
    with EnrolmentDouble(pki) as cloud:
        sent = pem(leaves[what]) if what in leaves else ""
        cloud.spoil = lambda answer: answer | {"certificate": sent}
        renewal = terminal.renewal(cloud)
        assert renewal.turn() <= FIRST_RETRY_S
    assert (renewal.problem or "").startswith("The cloud sent ")
    assert terminal.identity().certificate == before.certificate


def test_full_disk_leaves_the_old_certificate_in_force(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    before = terminal.identity().certificate

    def full(file: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(identity, "write_private", full)
    with EnrolmentDouble(pki) as cloud:
        renewal = terminal.renewal(cloud)
        renewal.turn()
    assert "No space left" in (renewal.problem or "")
    assert terminal.identity().certificate == before


def test_claim_that_overtakes_a_renewal_stays_in_force(tmp_path: Path, pki: Pki) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    claimed_anew: list[Terminal] = []

    def overtaken(answer: dict[str, Any]) -> dict[str, Any]:
        claimed_anew.append(Terminal(tmp_path, pki, timedelta(0)))
        return answer

    with EnrolmentDouble(pki, spoil=overtaken, broker_port=8884) as cloud:
        renewal = terminal.renewal(cloud)
        renewal.turn()
    assert cloud.renewals == len(claimed_anew) == 1
    assert "claimed anew meanwhile" in (renewal.problem or "")
    assert terminal.identity().ends_at == NOW + 90 * DAY
    assert terminal.identity().claim.broker.port == 8883


def test_thread_renews_and_ends_when_it_is_told_to(tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(tmp_path, pki, 80 * DAY)
    with EnrolmentDouble(pki) as cloud:
        renewal = terminal.renewal(cloud)
        monkeypatch.setattr(renewal, "_chance", _AtOnce())
        renewal.start()
        assert wait_until(lambda: cloud.renewals == 1 and renewal.problem is None)
        renewal.stop()
    assert not any(thread.name == "renewal" for thread in threading.enumerate())


class _AtOnce(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return a


def test_password_does_not_show_in_what_came() -> None:
    told = Claimed.model_construct(password="secret")
    assert "secret" not in repr(told)
