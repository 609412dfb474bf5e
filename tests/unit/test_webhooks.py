"""Webhooks without a network: signatures as the published vector has them, and where they may and may not lead."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from cloud.errors import StartError
from cloud.notifications import signing
from cloud.notifications.addresses import Allowed, is_public, judged, meant, parse
from cloud.notifications.failures import Undelivered

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
"""Of the Standard Webhooks reference libraries."""


def test_a_signature_is_that_of_the_published_vector() -> None:
    assert signing.signature(VECTOR_SECRET, *VECTOR) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_with_two_secrets_there_are_two_signatures_the_new_one_first() -> None:
    new = signing.new_secret()
    said = signing.headers([new, VECTOR_SECRET], *VECTOR)
    assert (said["webhook-id"], said["webhook-timestamp"]) == (VECTOR[0], str(VECTOR[1]))
    assert said["webhook-signature"].split(" ") == [
        signing.signature(new, *VECTOR),
        signing.signature(VECTOR_SECRET, *VECTOR),
    ]


def test_secrets_are_long_random_and_named_as_such() -> None:
    made = {signing.new_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(each.startswith("whsec_") and len(each) == 50 for each in made)


def names(*addresses: str) -> Callable[..., list[Any]]:
    """A name service that answers so."""

    def look_up(_host: str, port: int, **_more: Any) -> list[Any]:
        return [(0, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    return look_up


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fec0::1", "::7f00:1", "::a9fe:a9fe", "64:ff9b:1::a00:1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_however_it_is_written(address: str) -> None:
    assert not is_public(meant(ip_address(address)))
    with pytest.raises(Undelivered) as refused:
        judged("host.example", 443, Allowed(), tls=True, look_up=names(address))
    assert (refused.value.code, refused.value.final) == ("private_address", True)
    with pytest.raises(Undelivered):  # one good address beside it changes nothing
        judged("host.example", 443, Allowed(), tls=True, look_up=names("93.184.215.14", address))


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450:4001::1", "64:ff9b::808:808"],
)
def test_a_public_address_is_taken_by_https_only(address: str) -> None:
    assert judged("host.example", 443, Allowed(), tls=True, look_up=names(address)) == [address]
    with pytest.raises(Undelivered) as refused:
        judged("host.example", 80, Allowed(), tls=False, look_up=names(address))
    assert refused.value.code == "https_needed"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1", "localhost"])
def test_this_machine_is_found_out_behind_every_spelling(host: str) -> None:
    with pytest.raises(Undelivered) as refused:
        judged(host, 443, Allowed(), tls=True)
    assert refused.value.code == "private_address"


def test_a_setting_allows_networks_and_hosts_also_without_tls() -> None:
    allowed = Allowed.of(" 10.1.0.0/16, fd00::/8,Chat.LAN ,, 192.168.7.9")
    for address in ("10.1.2.3", "fd00::5", "192.168.7.9", "::ffff:10.1.2.3"):
        assert judged("other.example", 80, allowed, tls=False, look_up=names(address)) == [address]
    assert judged("chat.lan", 80, allowed, tls=False, look_up=names("172.16.0.9")) == ["172.16.0.9"]
    for address in ("10.2.0.1", "192.168.7.8", "127.0.0.1"):
        with pytest.raises(Undelivered):
            judged("other.example", 80, allowed, tls=False, look_up=names(address))


@pytest.mark.parametrize("text", ["10.1.0.0/33", "10.0.0.256", "10.1.2.3/8", "fd00::zz", "300.1.1.1"])
def test_a_setting_that_is_neither_network_nor_host_is_named(text: str) -> None:
    with pytest.raises(StartError, match="ROOMLINK_WEBHOOK_ALLOW"):
        Allowed.of(text)


def test_a_host_without_an_address_may_be_there_later() -> None:
    def nothing(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror

    with pytest.raises(Undelivered) as refused:
        judged("nowhere.example", 443, Allowed(), tls=True, look_up=nothing)
    assert (refused.value.code, refused.value.final) == ("host_unknown", False)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.org/", "url"), ("https://", "url"), ("//example.org/", "url"), ("example.org", "url"),
        ("https://example.org:99999/", "url"), ("https://example.org:0/", "url"), ("https://[::1/", "url"),
        ("https://somebody:open@example.org/", "url_password"), ("https://@example.org/", "url_password"),
        ("https://example.org/#part", "url_fragment"), ("file:///etc/passwd", "url"),
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere_or_holds_a_password_is_refused(url: str, code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}$"):
        parse(url)
