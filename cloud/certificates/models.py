"""Authorities, the certificates they gave, claim codes and wrong guesses, and sessions that are to be cut at the broker.

No key is here in clear: an authority's is encrypted under a key file, a leaf's never leaves its owner.
"""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId, Instant


class IssuingAuthority(Base):
    """An intermediate authority: gives certificates until it is retired, and revocation lists until its own end.

    `key_encrypted` is base64 of nonce and AES-GCM text under the key file. `list_number` rises with each list, and
    `revocation_list` is the newest, in PEM; `list_due` says that something was revoked since.
    """

    __tablename__ = "authorities"

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    certificate: Mapped[str] = mapped_column(Text)
    root: Mapped[str] = mapped_column(Text)
    key_encrypted: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    not_after_at: Mapped[datetime] = mapped_column(Instant)
    retired_at: Mapped[datetime | None] = mapped_column(Instant)
    list_number: Mapped[int] = mapped_column(BigInteger, default=0)
    list_due: Mapped[bool] = mapped_column(default=True)
    listed_at: Mapped[datetime | None] = mapped_column(Instant)
    revocation_list: Mapped[str | None] = mapped_column(Text)


class Certificate(Base):
    """A leaf of one of our authorities. `kind` is terminal, service or server; `name` is its common name.

    `serial` and `fingerprint` (SHA-256 of the DER) are hex; `key_id` is the first 8 bytes of SHA-256 over the public key.
    Bound: `service.MAX_A_DAY` of a terminal in a day; kept for ever, because signed batches name their key.
    """

    __tablename__ = "certificates"
    __table_args__ = (Index("ix_certificates_terminal_id_created_at", "terminal_id", "created_at"),)

    serial: Mapped[str] = mapped_column(Text, primary_key=True)
    authority_id: Mapped[str] = mapped_column(Text, ForeignKey("authorities.key_id"))
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    terminal_id: Mapped[str | None] = mapped_column(Text, ForeignKey("terminals.id"))
    fingerprint: Mapped[str] = mapped_column(Text, unique=True)
    key_id: Mapped[str] = mapped_column(Text, index=True)
    certificate: Mapped[str] = mapped_column(Text)
    not_before_at: Mapped[datetime] = mapped_column(Instant)
    not_after_at: Mapped[datetime] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    revoke_reason: Mapped[str | None] = mapped_column(Text)


class ClaimCode(Base):
    """The newest code of a terminal, as SHA-256; the one before it is gone."""

    __tablename__ = "claim_codes"

    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class WrongClaim(Base):
    """A wrong claim code of the last quarter of an hour, by address; older rows are swept, and beyond the bound none is added."""

    __tablename__ = "wrong_claims"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    address: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant, index=True)


class SessionCut(Base):
    """A revoked terminal whose session at the broker is to be ended; gone when that has been done."""

    __tablename__ = "session_cuts"

    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"), primary_key=True)
    asked_at: Mapped[datetime] = mapped_column(Instant)
