"""A kiosk's decision in one file, by the rules that firmware_specs/README.md states: CBOR, base45, Ed25519, nothing of ours.

`answer` takes a decision vector's payload and its ``given`` and gives what the vector expects. Numbers in brackets are the
README's sections and, behind a point, the rules of section 9. Texts are taken to be well-formed twins and files.
"""

import hashlib
import hmac
import json
import re
from typing import Any

import base45
import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Fields = dict[str, Any]
SKEW_US = 15 * 60 * 1_000_000


class RefusedError(Exception):
    """The word of a refusal."""


def answer(payload: str, given: Fields) -> Fields:
    """[9] The record's own fields, and what is remembered."""
    method, twin = given["method"], given.get("twin")
    try:
        card = present(method, payload, twin)
    except RefusedError as refused:  # [9.1]
        return refuse(method, str(refused), {})
    named = {name: card[name] for name in ("issuer", "subject", "id", "key_id") if name in card}
    credential = {"credential": named} if named else {}
    occurrences, until = schedule(twin, given.get("occurrences"))
    knows_time = given["clock"] != "unset"
    if given.get("leaving"):
        return {"check_out": credential | left(card, given, occurrences if twin and knows_time else [])}
    if card and card["id"] in given.get("revocations", "").splitlines()[1:]:  # [9.2]
        return refuse(method, "revoked", credential)
    if method == "qr" and knows_time and (reason := outside(card, given["now"])):  # [9.3]
        return refuse(method, reason, credential)
    organisations, flags = look_up(card, given)
    flags += ["not_verified"] if method == "qr" and not twin else []
    base: Fields = {"method": method} | credential
    if knows_time and twin and given["now"] < until:
        return by_schedule(base, card, given, occurrences, organisations, flags)
    flags += [] if knows_time else ["clock_unsure"]  # [9.4]
    flags += ["no_schedule"] if knows_time and twin else []
    return record(base | {"outcome": "accepted"}, flags)


def by_schedule(
    base: Fields, card: Fields, given: Fields, occurrences: list[Fields], mine: set[str] | None, flags: list[str]
) -> Fields:
    """[9.5] to [9.7]; ``mine`` are the person's organisations."""
    now = given["now"]
    is_open = [each for each in occurrences if each["opens_at"] <= now < each["ends_at"]]
    if not is_open:
        return record(base | {"outcome": "visit"}, flags)
    is_open.sort(key=lambda o: (abs(o["starts_at"] - now), -o["starts_at"], o["ends_at"], o["id"].encode()))
    theirs = [o for o in is_open if not o["audience"] or mine is None or mine & set(o["audience"])]
    if not theirs:
        return refuse(base.pop("method"), "not_for_this_activity", base | {"occurrence": is_open[0]["id"]})
    base["occurrence"] = theirs[0]["id"]
    if is_in(card, theirs[0]["id"], given):
        return record(base | {"outcome": "already_in"}, flags)
    keys = {name: card[name] for name in ("subject", "id") if name in card}
    remember = {"remember": {"occurrence": theirs[0]["id"]} | keys} if keys else {}
    return record(base | {"outcome": "accepted"}, flags) | remember


def present(method: str, payload: str, twin: Fields | None) -> Fields:
    """What is known of who came: nothing of a guest, the id behind a number, the claims of a card."""
    if method == "guest":
        return {}
    return typed(payload) if method == "staff" else read(payload, twin)


def outside(card: Fields, now: int) -> str:
    """[8], [9.3] Why a card is not good now; empty where it is."""
    if now < card["not_before"] * 1_000_000 - SKEW_US:
        return "not_yet_valid"
    return "expired" if now >= card["expires"] * 1_000_000 + SKEW_US else ""


def record(fields: Fields, flags: list[str]) -> Fields:
    """A check-in."""
    return {"check_in": fields | ({"flags": sorted(flags)} if flags else {})}


def refuse(method: str, reason: str, more: Fields) -> Fields:
    """A check-in that is refused."""
    return record({"method": method, "outcome": "refused", "reason": reason} | more, [])


def is_in(card: Fields, occurrence: str, given: Fields) -> bool:
    """[9.7] Accepted before, by the subject or by the card's id."""
    same = (e for e in given["accepted"] if e["occurrence"] == occurrence)
    return any(card.get(name) is not None and card[name] == e.get(name) for e in same for name in ("subject", "id"))


def left(card: Fields, given: Fields, occurrences: list[Fields]) -> Fields:
    """[9, leaving]"""
    been = [o for o in occurrences if o["opens_at"] <= given["now"] and is_in(card, o["id"], given)]
    latest = max(been, key=lambda o: (o["starts_at"], o["id"]), default=None)
    return {"occurrence": latest["id"]} if latest else {}


def schedule(twin: Fields | None, file: str | None) -> tuple[list[Fields], float]:
    """[7] What takes place, and until when that is known: by the file that the twin names, else by the twin."""
    twin = twin or {}
    wanted = twin.get("occurrences_file") or {}
    if file is not None and hashlib.sha256(file.encode()).hexdigest() == wanted.get("sha256"):
        head, *lines = map(json.loads, file.splitlines())
        return lines, head["until"]
    return twin.get("occurrences", []), twin.get("occurrences_until", float("inf"))


def look_up(card: Fields, given: Fields) -> tuple[set[str] | None, list[str]]:
    """[7], [9, the roster] The person's organisations, None where nothing is known; and the flag for it."""
    if not card:
        return None, []
    if "roster" not in given or not (given.get("twin") or {}).get("roster"):
        return None, ["no_roster"]
    head, *lines = map(json.loads, given["roster"].splitlines())

    def keyed(value: str) -> str:
        return hmac.digest(bytes.fromhex(head["key"]), value.encode(), "sha256")[:16].hex()

    subject, number = keyed(card.get("subject", "")), keyed(card["id"])
    found = [e for e in lines if e["subject"] == subject] or [e for e in lines if number in e["cards"]]
    return (set(found[0]["organisations"]), []) if found else (None, ["not_in_roster"])


def typed(number: str) -> Fields:
    """[8] A card number; its check digit is taken to be right."""
    return {"id": f"{int(number.replace(' ', '')):016x}"}


def read(text: str, twin: Fields | None) -> Fields:
    """[8], [9.1] The claims of a card."""
    if not text.startswith("RL1:"):
        raise RefusedError("unknown_issuer")
    try:
        protected, unprotected, payload, signature = parts(text[4:])
        header, claims = cbor2.loads(protected), cbor2.loads(payload)
        whole = len(text) <= 221 and unprotected == {} and len(signature) == 64
        whole = whole and header.keys() == {1, 4} and header[1] == -8 and claims.keys() == {1, 2, 4, 5, 7}
        whole = whole and bool(re.fullmatch("[A-Za-z0-9_-]{22}", claims[2])) and len(claims[7]) == 8
    except (ValueError, TypeError, AttributeError, cbor2.CBORError) as error:
        raise RefusedError("unreadable") from error
    if not whole:
        raise RefusedError("unreadable")
    card = {"issuer": claims[1], "subject": claims[2], "id": claims[7].hex(), "key_id": header[4].hex()}
    if twin is not None:
        verify(card, twin, cbor2.dumps(["Signature1", protected, b"", payload]), signature)
    return card | {"not_before": claims[5], "expires": claims[4]}


def parts(encoded: str) -> Any:
    """[8] The four parts of a COSE_Sign1, without a byte more."""
    content = bytes(base45.b45decode(encoded))
    message = cbor2.loads(content)
    if message.tag != 18 or cbor2.dumps(message) != content:
        raise ValueError("not a COSE_Sign1 in its one form")
    return message.value


def verify(card: Fields, twin: Fields, signed: bytes, signature: bytes) -> None:
    """[8] By the twin's keys."""
    keys = [k for k in twin["issuer_keys"] if (k["issuer"], k["key_id"]) == (card["issuer"], card["key_id"])]
    if not keys:
        raise RefusedError("unknown_issuer")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys[0]["public_key"])).verify(signature, signed)
    except InvalidSignature as error:
        raise RefusedError("forged") from error
