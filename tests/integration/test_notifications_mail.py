"""Mail servers as they are, and as they should not be: TLS, sign-in, and how they say goodbye; on both databases."""

from pathlib import Path

import pytest

from tests.authorities import Authorities
from tests.mail_server import PASSWORD, USER, Mailbox
from tests.notifying import Told


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_over_tls_with_a_verified_certificate_and_a_password(told: Told, tmp_path: Path, tls: str) -> None:
    ca = Authorities(tmp_path / "ca")
    with Mailbox(ca.server("127.0.0.1"), with_login=True, implicit=tls == "tls") as secured:
        told.server = secured.server(tls, ca, user=USER, password=PASSWORD)
        told.restart()
        told.add()
        told.gone()
        assert (len(secured.taken), secured.over_tls) == (1, [True])


@pytest.mark.parametrize(
    ("tls", "trusted", "login", "why"),
    [
        ("starttls", False, True, "mail_certificate"),
        ("none", True, True, "mail_password_open"),
        ("starttls", True, False, "mail_login"),
    ],
)
def test_mail_is_put_off_where_the_server_is_not_who_it_should_be_or_does_not_know_us(
    told: Told, tmp_path: Path, tls: str, trusted: bool, login: bool, why: str
) -> None:
    ca = Authorities(tmp_path / "ca")
    with Mailbox(ca.server("127.0.0.1"), with_login=True) as secured:
        trust = ca if trusted else Authorities(tmp_path / "other")
        told.server = secured.server(tls, trust, user=USER, password=PASSWORD if login else "wrong-" + PASSWORD)
        told.restart()
        told.add()
        told.gone()
        assert secured.taken == []
    (state, said) = told.watch.rows("SELECT state, why FROM notifications")[0]
    assert (state, said.startswith(f'{{"code":"{why}"')) == ("waiting", True)
    assert PASSWORD not in said


def test_a_mail_that_was_taken_is_delivered_whatever_the_server_says_when_we_leave(
    told: Told, mailbox: Mailbox
) -> None:
    mailbox.farewell = "421 too busy to say goodbye"
    told.add()
    told.gone()
    assert (len(mailbox.taken), told.states()) == (1, [("raised", "delivered")])


def test_a_password_that_the_sign_in_cannot_carry_is_said(told: Told, tmp_path: Path) -> None:
    ca = Authorities(tmp_path / "ca")
    with Mailbox(ca.server("127.0.0.1"), with_login=True) as secured:
        told.server = secured.server("starttls", ca, user=USER, password="口令" + PASSWORD)
        told.restart()
        told.add()
        told.gone()
    assert told.watch.rows("SELECT state, why FROM notifications") == [("waiting", '{"code":"mail_login_letters"}')]


def test_a_server_without_starttls_gets_nothing(told: Told, mailbox: Mailbox) -> None:
    told.server = mailbox.server("starttls")
    told.restart()
    told.add()
    told.gone()
    assert mailbox.taken == []
    assert told.watch.rows("SELECT why FROM notifications") == [('{"code":"mail_no_tls"}',)]
