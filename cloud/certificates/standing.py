"""How authorities, lists and certificates stand, and who runs out when: for `ca list`, the doctor and alarms."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from sqlalchemy import func, not_, or_, select
from sqlalchemy.orm import Session

from cloud.bulk import IN_CHUNK, chunks
from cloud.certificates import authorities, lists, publishing
from cloud.certificates.models import Certificate
from cloud.errors import CloudError
from cloud.terminals import service as terminals

ROTATE_BEFORE: Final = timedelta(days=180)
"""An intermediate that has less left is worth a word: its newest certificates may be good for ninety days more."""


def lines(session: Session, now: datetime) -> Iterator[str]:
    """Kind, name, last day, and what it does or whether it has ended; tabs between them."""
    rows = authorities.living(session, now)
    for root in dict.fromkeys(row.root for row in rows):
        ends_at = x509.load_pem_x509_certificate(root.encode()).not_valid_after_utc
        yield f"root\t-\t{ends_at:%Y-%m-%d}\tkept apart"
    for row in rows:
        yield f"intermediate\t{row.key_id}\t{row.not_after_at:%Y-%m-%d}\t{'retired' if row.retired_at else 'in use'}"
        until = lists.ends_at((row.revocation_list or "").encode())
        if until is not None:
            yield f"list\t{row.key_id}\t{until:%Y-%m-%d}\tnumber {row.list_number}"
    yield from _leaves(session, now)


def judge(session: Session, folder: Path, lasts: timedelta, now: datetime) -> Iterator[tuple[bool, str]]:
    """For the doctor: whether each thing is well, and a sentence."""
    issuer = authorities.in_use(session)
    if issuer is None:
        yield True, "there is none yet; python -m cloud ca init makes one"
        return
    left = issuer.not_after_at - now
    yield left > ROTATE_BEFORE, f"the intermediate lasts {left.days} days; below 180: python -m cloud ca rotate"
    yield _judge_list(session, folder / publishing.REVOKED, lasts, now)


def shut_out_since(session: Session, folder: Path) -> tuple[list[str], int]:
    """After a restore: whom the list that was published last shuts out and the ledger does not; and how many certificates on it
    the ledger has never known, because they were given after the backup. Nothing where there is no list that can be read.
    """
    try:
        serials = lists.serials((folder / publishing.REVOKED).read_bytes())
    except OSError:
        return [], 0
    forgotten, known = set[str](), 0
    for some in chunks(sorted(serials), IN_CHUNK):
        named = Certificate.serial.in_(some)
        known += session.scalar(select(func.count()).select_from(Certificate).where(named)) or 0
        let_in = or_(Certificate.terminal_id.is_(None), not_(terminals.is_disabled(Certificate.terminal_id)))
        forgotten |= set(
            session.scalars(select(Certificate.name).where(named, Certificate.revoked_at.is_(None), let_in))
        )
    return sorted(forgotten), len(serials) - known


def list_ends_at(session: Session, now: datetime) -> datetime | None:
    """When the first of the lists that are to be published now ends; None before there is one."""
    wanted = lists.published(session, now)
    return None if wanted is None else lists.ends_at(wanted.revoked.encode())


def _judge_list(session: Session, path: Path, lasts: timedelta, now: datetime) -> tuple[bool, str]:
    wanted = lists.published(session, now)
    if wanted is None:
        return False, "no revocation list was made yet; is the service running?"
    try:
        ends_at = lists.check(path.read_bytes(), wanted.chain, now)
    except OSError as error:
        return False, f"{path} cannot be read ({error.strerror}); is the service running?"
    except CloudError as error:
        return False, f"{path}: {error.sentence} The broker must not be told to read it"
    left = ends_at - now
    return left > lasts / 2, f"the revocation list lasts {left.days} days; it is made anew daily while the service runs"


def _leaves(session: Session, now: datetime) -> Iterator[str]:
    ends_at = func.max(Certificate.not_after_at)
    query = select(Certificate.kind, Certificate.name, ends_at).where(Certificate.revoked_at.is_(None))
    query = query.group_by(Certificate.kind, Certificate.name).order_by(ends_at, Certificate.name)
    for kind, name, last in session.execute(query):
        yield f"{kind}\t{name}\t{last:%Y-%m-%d}\t{'in force' if last > now else 'ended'}"
