"""Credentials and issuer keys over HTTP: what is printed can be read and verified; rotation recalls no card."""

import base64
import io
import stat
from datetime import timedelta

import httpx
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from PIL import Image

from cloud.accounts.service import Role
from cloud.credentials.service import MAX_IN_FORCE
from firmware_specs import credentials as contract
from firmware_specs.errors import CredentialError
from tests.office import JSON, Office


def trusted_keys(office: Office) -> dict[tuple[str, str], Ed25519PublicKey]:
    """What a kiosk's twin would hold now."""
    with office.client() as client:
        items = client.get("/api/v1/issuer-keys").json()["items"]
    now = int(office.now().timestamp() * 1_000_000)
    return {
        (each["issuer"], each["key_id"]): Ed25519PublicKey.from_public_bytes(base64.b64decode(each["public_key"]))
        for each in items
        if each["trusted_until_at"] > now
    }


def printed(office: Office, card: JSON) -> str:
    """The text that a camera reads from the card's picture."""
    with office.client(Role.OPERATOR) as client:
        answer = client.get(f"/api/v1/credentials/{card['id']}/card.png")
    assert answer.headers["content-type"] == "image/png"
    codes = zxingcpp.read_barcodes(
        Image.open(io.BytesIO(answer.content)), formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
    )
    text: str = codes[0].text
    return text


def new_card(office: Office) -> JSON:
    return office.make("/credentials", member_id=office.member(office.organisation()["id"])["id"])


def test_a_printed_card_is_a_credential_that_a_kiosk_accepts(office: Office) -> None:
    card = new_card(office)
    read = contract.read(printed(office, card), trusted_keys(office))
    contract.check_validity(read, office.now())
    assert (read.id, read.key_id, read.issuer) == (card["id"], card["key_id"], "ROOMLINK")
    assert printed(office, card) == printed(office, card)


def test_a_card_made_a_minute_ago_is_good_on_a_clock_ten_minutes_slow(office: Office) -> None:
    read = contract.read(printed(office, new_card(office)), trusted_keys(office))
    contract.check_validity(read, office.now() - timedelta(minutes=9))


def test_the_key_file_is_for_its_owner_only_and_no_key_is_in_clear_in_the_database(office: Office) -> None:
    new_card(office)
    path = office.settings.key_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_after_a_rotation_both_keys_cards_are_good(office: Office) -> None:
    old = new_card(office)
    with office.client() as client:
        assert client.post("/api/v1/issuer-keys").status_code == 201
    new = new_card(office)
    assert old["key_id"] != new["key_id"]
    keys = trusted_keys(office)
    for card in (old, new):
        assert contract.read(printed(office, card), keys).id == card["id"]


def test_a_revoked_key_is_trusted_no_more(office: Office) -> None:
    card = new_card(office)
    text = printed(office, card)
    with office.client() as client:
        assert client.delete(f"/api/v1/issuer-keys/{card['key_id']}").status_code == 200
        assert client.delete("/api/v1/issuer-keys/00000000").status_code == 404
    with pytest.raises(CredentialError, match="no trusted key"):
        contract.read(text, trusted_keys(office))
    assert new_card(office)["key_id"] != card["key_id"]


def test_cards_show_number_and_organisation_and_a_name_only_when_asked(office: Office) -> None:
    organisation = office.organisation(name="<&>示例", name_en="Sample & Co")
    member = office.member(organisation["id"], display_name="样例某某")
    card = office.make("/credentials", member_id=member["id"])
    number = contract.card_number(card["id"])
    with office.client(Role.OPERATOR) as client:
        plain = client.get(f"/api/v1/credentials/{card['id']}/card.svg").text
        named = client.get(f"/api/v1/credentials/{card['id']}/card.svg", params={"with_names": True}).text
        page = client.get("/api/v1/credentials/cards", params={"credential_id": [card["id"]] * 11})
    assert number in plain
    assert "&lt;&amp;&gt;示例" in plain
    assert "样例某某" not in plain
    assert "样例某某" in named
    assert page.text.count("<section>") == 2
    assert page.text.count("<svg") == 11
    assert "样例某某" not in page.text
    assert contract.card_id(number) == card["id"]


def test_a_revoked_credential_is_neither_printed_nor_revived(office: Office) -> None:
    card = new_card(office)
    path = f"/api/v1/credentials/{card['id']}"
    with office.client(Role.OPERATOR) as client:
        first = client.post(f"{path}/revocation", json={"reason": "lost in the park"}).json()
        again = client.post(f"{path}/revocation", json={"reason": "another reason"}).json()
        assert client.get(f"{path}/card.png").status_code == 409
        assert client.get("/api/v1/credentials/cards", params={"credential_id": card["id"]}).status_code == 409
    assert again == first
    assert first["revoke_reason"] == "lost in the park"


def test_a_member_has_a_bounded_number_of_cards(office: Office) -> None:
    member = office.member(office.organisation()["id"])
    cards = [office.make("/credentials", member_id=member["id"]) for _ in range(MAX_IN_FORCE)]
    with office.client() as client:
        assert client.post("/api/v1/credentials", json={"member_id": member["id"]}).status_code == 409
        listed = client.get("/api/v1/credentials", params={"member_id": member["id"]}).json()["items"]
        client.post(f"/api/v1/credentials/{cards[0]['id']}/revocation", json={"reason": "one too many"})
        assert client.post("/api/v1/credentials", json={"member_id": member["id"]}).status_code == 201
    assert [each["id"] for each in listed] == [each["id"] for each in reversed(cards)]


def test_a_card_lasts_as_long_as_was_said(office: Office) -> None:
    member = office.member(office.organisation()["id"])
    card = office.make("/credentials", member_id=member["id"], days=2)
    assert card["expires_at"] - card["not_before_at"] == 2 * 86_400 * 1_000_000


def test_a_missing_or_open_key_file_stops_printing_with_a_sentence(office: Office) -> None:
    card = new_card(office)
    path = office.settings.key_file()
    kept = path.read_bytes()

    def draw() -> httpx.Response:
        with office.client() as client:
            return client.get(f"/api/v1/credentials/{card['id']}/card.png")

    try:
        path.chmod(0o644)
        assert "chmod 600" in draw().json()["detail"]
        path.unlink()
        assert draw().status_code == 503
        path.touch(0o600)
        path.write_bytes(base64.b64encode(b"x" * 32))
        assert "not the one" in draw().json()["detail"]
    finally:
        path.write_bytes(kept)
        path.chmod(0o600)
    assert draw().status_code == 200


def test_drawing_a_card_leaves_an_audit_entry(office: Office) -> None:
    card = new_card(office)
    printed(office, card)
    with office.client() as client:
        entries = client.get("/api/v1/audit", params={"subject": card["id"]}).json()["items"]
    assert [each["action"] for each in entries] == ["credential.draw", "credential.issue"]
