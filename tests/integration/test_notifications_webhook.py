"""Alarms are told by webhook: a real HTTP receiver, both databases. Signed, tried again, never to a private address."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.alarms.standing import Standing
from cloud.database import transaction
from cloud.errors import Invalid
from cloud.notifications import receivers
from cloud.notifications.addresses import Allowed
from cloud.notifications.failures import Undelivered
from cloud.notifications.receivers import ReceiverForm
from cloud.notifications.webhook import Poster
from cloud.scope import EVERYWHERE
from tests.alarming import Watch
from tests.authorities import Authorities
from tests.notifying import Told
from tests.process import HOST, free_port, wait_until
from tests.town import Town
from tests.webhook_receiver import Hook

LOOPBACK = Allowed.of("127.0.0.0/8")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


@pytest.fixture
def told(town: Town, tmp_path: Path) -> Told:
    watch = Watch(town, town.now)
    watch.present("online", "kiosk-1", "kiosk-2")
    watch.turn()
    return Told(watch, tmp_path)


def test_an_alarm_is_posted_once_signed_with_what_programs_and_people_need(told: Told, hook: Hook) -> None:
    receiver_id, secret = told.add(kind="webhook", address=hook.url, name="值班群")
    told.gone()
    told.restart()
    told.turn(60)
    (request,) = hook.taken
    assert secret is not None
    assert request.is_signed_by(secret)
    assert request.headers["content-type"] == "application/json"
    assert request.data["receiver"] == {"id": receiver_id, "name": "值班群"}
    (one,) = request.data["notifications"]
    assert (one["what"], one["alarm_id"], one["severity"], one["place_id"]) == (
        "raised", told.alarm(), "critical", "kiosk-1",
    )  # fmt: skip
    assert one["url"].endswith(f"/alarms/{one['alarm_id']}")
    assert "Terminal offline" in request.data["text"]
    assert secret not in json.dumps(told.watch.rows("SELECT secret_encrypted FROM receivers"))


def test_what_is_sent_again_has_the_same_id_and_a_signature_of_its_own_time(told: Told, hook: Hook) -> None:
    _, secret = told.add(kind="webhook", address=hook.url)
    hook.answers = [(500, {}), (429, {"Retry-After": "600"})]
    told.gone()
    told.turn(40)
    told.turn(500)
    assert len(hook.taken) == 2  # it was asked to wait for ten minutes
    told.turn(150)
    assert secret is not None
    assert len({each.message_id for each in hook.taken}) == 1
    assert [each.is_signed_by(secret) for each in hook.taken] == [True] * 3
    assert told.states() == [("raised", "delivered")]


@pytest.mark.parametrize(
    ("status", "state"), [(400, "dead"), (404, "dead"), (410, "dead"), (408, "waiting"), (503, "waiting")]
)
def test_what_is_refused_for_good_is_a_dead_letter_at_once(told: Told, hook: Hook, status: int, state: str) -> None:
    told.add(kind="webhook", address=hook.url)
    hook.answers = [(status, {})]
    told.gone()
    assert told.watch.rows("SELECT state, why FROM notifications") == [
        (state, f'{{"code":"status","status":{status}}}')
    ]


def test_a_new_secret_signs_beside_the_old_one_for_a_day(told: Told, hook: Hook) -> None:
    receiver_id, old = told.add(kind="webhook", address=hook.url)
    with transaction(told.watch.engine) as session:
        new = receivers.renew_secret(session, told.change, EVERYWHERE, receiver_id, told.box)
    told.gone()
    told.turn(24 * 3600)
    told.gone("kiosk-2")
    assert old is not None
    assert [(each.is_signed_by(old), each.is_signed_by(new)) for each in hook.taken] == [(True, True), (False, True)]


def test_without_the_key_file_nothing_is_sent_unsigned(told: Told, hook: Hook) -> None:
    told.add(kind="webhook", address=hook.url)
    told.box.path.unlink()
    told.gone()
    assert hook.taken == []
    assert told.watch.rows("SELECT state, why FROM notifications") == [("waiting", '{"code":"key_file"}')]


def test_a_new_secret_helps_at_once_after_the_key_file_was_lost(told: Told, hook: Hook) -> None:
    receiver_id, _ = told.add(kind="webhook", address=hook.url)
    told.box.path.unlink()
    with transaction(told.watch.engine) as session:
        new = receivers.renew_secret(session, told.change, EVERYWHERE, receiver_id, told.box)
    told.gone()
    (request,) = hook.taken
    assert request.is_signed_by(new)


def test_one_that_hangs_delays_no_other(told: Told, hook: Hook) -> None:
    told.within_s = 60.0
    told.restart()
    with Hook(hang=True) as slow:
        for _ in range(3):
            told.add(kind="webhook", address=slow.url)
        told.add(kind="webhook", address=hook.url)
        told.watch.present("offline", "kiosk-1")
        told.watch.turn(301)
        told.once()
        assert wait_until(lambda: len(hook.taken) == 1 and len(slow.taken) == 3)
        assert told.notifier.under_way >= 3
        told.watch.present("online", "kiosk-1")
        told.watch.turn(2)
        told.once()
        assert wait_until(lambda: _told(told, hook, 2))  # it hears the end while the others still hang
        assert len(slow.taken) == 3
        slow.released.set()
        told.turn()
    assert {state for _, state in told.states()} == {"delivered"}


def _told(told: Told, hook: Hook, times: int) -> bool:
    told.once()
    return len(hook.taken) == times


def test_those_that_fail_have_half_of_the_places(told: Told, hook: Hook) -> None:
    told.within_s = 60.0
    told.restart()
    with Hook(hang=True) as slow:
        for _ in range(9):
            told.add(kind="webhook", address=slow.url)
        told.watch.run("UPDATE receivers SET failed_at = created_at + ?", [(1,)])
        told.add(kind="webhook", address=hook.url)
        told.watch.present("offline", "kiosk-1")
        told.watch.turn(301)
        told.once()
        assert wait_until(lambda: len(hook.taken) == 1)
        assert wait_until(lambda: len(slow.taken) == 4)
        slow.released.set()
        told.turn()
        told.turn()
        told.turn()
    assert {state for _, state in told.states()} == {"delivered"}


def test_an_answer_that_drips_ends_at_the_deadline(told: Told) -> None:
    with Hook(hang=True) as slow, pytest.raises(Undelivered) as failed:
        Poster(ssl.create_default_context(), LOOPBACK, 0.3).post(slow.url, {}, b"{}")
    assert (failed.value.code, failed.value.final) == ("timeout", False)


def test_a_redirect_is_not_followed_wherever_it_leads(told: Told, hook: Hook) -> None:
    with Hook() as private:
        told.add(kind="webhook", address=hook.url)
        hook.answers = [(307, {"Location": private.url})]
        told.gone()
        assert private.taken == []
    assert told.watch.rows("SELECT state, why FROM notifications") == [("dead", '{"code":"redirect","status":307}')]


def test_a_host_that_led_to_a_public_address_when_it_was_kept_is_judged_again_when_it_is_sent_to(
    told: Told, hook: Hook
) -> None:
    told.add(kind="webhook", address=hook.url.replace("http:", "https:"))
    told.allow = ""
    told.restart()
    told.gone()
    assert hook.taken == []
    assert told.watch.rows("SELECT state, why FROM notifications") == [
        ("dead", '{"code":"private_address","host":"127.0.0.1"}')
    ]


def test_the_connection_goes_to_the_address_that_was_judged(hook: Hook) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int, **_more: Any) -> list[Any]:
        """Loopback, which is allowed here, at first; later an address where nothing is."""
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port))]

    poster = Poster(ssl.create_default_context(), Allowed.of("127.0.0.1"), look_up=rebinding)
    poster.post(f"http://somewhere.example:{hook.port}/alarms", {}, b"{}")
    assert (asked, hook.taken[0].headers["host"]) == (["somewhere.example"], f"somewhere.example:{hook.port}")
    with pytest.raises(Undelivered, match="private_address"):
        poster.post(f"https://somewhere.example:{hook.port}/alarms", {}, b"{}")
    assert len(hook.taken) == 1


def test_a_certificate_is_of_the_hosts_name_and_of_a_trusted_authority(tmp_path: Path) -> None:
    ca = Authorities(tmp_path / "ca")
    trusting = ssl.create_default_context(cafile=ca.root_file)
    with Hook(ca.server("hook.example")) as secured:

        def there(_host: str, port: int, **_more: Any) -> list[Any]:
            return [(2, 1, 6, "", (HOST, port))]

        Poster(trusting, LOOPBACK, look_up=there).post(f"https://hook.example:{secured.port}/", {}, b"{}")
        for context, host in ((trusting, "other.example"), (ssl.create_default_context(), "hook.example")):
            with pytest.raises(Undelivered, match="certificate"):
                Poster(context, LOOPBACK, look_up=there).post(f"https://{host}:{secured.port}/", {}, b"{}")
        assert len(secured.taken) == 1


def test_what_takes_no_connection_or_speaks_no_http_is_tried_again() -> None:
    poster = Poster(ssl.create_default_context(), LOOPBACK, 5.0)
    with pytest.raises(Undelivered, match="no_connection") as refused:
        poster.post(f"http://{HOST}:{free_port()}/", {}, b"{}")
    assert not refused.value.final
    with Hook() as plain, pytest.raises(Undelivered) as broken:
        poster.post(plain.url.replace("http:", "https:"), {}, b"{}")
    assert (broken.value.code in {"certificate", "broken_answer"}, broken.value.final) == (True, False)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://169.254.169.254/latest/meta-data", "private_address"),
        ("https://[::ffff:10.0.0.1]/", "private_address"),
        ("https://2130706433/", "private_address"),
        ("https://[::1]:8080/", "private_address"),
        ("http://8.8.8.8/", "https_needed"),
        ("https://nowhere.invalid/", "host_unknown"),
        ("https://a b.example/", "url"),
        ("https://x.example/\r\nHost: y", "url"),
        ("https://somebody:open@x.example/", "url_password"),
    ],
)
def test_an_address_that_may_not_be_posted_to_is_refused_when_it_is_given(address: str, code: str) -> None:
    form = ReceiverForm.model_construct(kind=receivers.Kind.WEBHOOK, address=address)
    with pytest.raises(Invalid) as refused:
        receivers.check_address(form, Poster(ssl.create_default_context()), None)
    (fault,) = refused.value.faults
    assert (fault.where, fault.code) == ("body.address", code)
    assert "open" not in fault.says


def test_neither_address_nor_secret_is_in_the_audit_or_the_log(
    told: Told, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    _, secret = told.add(kind="webhook", address=f"{hook.url}?token=open-sesame")
    hook.answers = [(500, {})]
    told.gone()
    assert secret is not None
    audit = json.dumps(told.watch.rows("SELECT action, detail FROM audit"))
    assert "receiver.create" in audit
    said = audit + "".join(capsys.readouterr())
    assert "notification_failed" in said
    assert "open-sesame" not in said
    assert secret not in said


def test_how_an_alarm_stands_holds_no_name_of_a_person() -> None:
    assert not [name for name in Standing.__dataclass_fields__ if name.endswith("_by")]
