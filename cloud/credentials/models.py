"""Credentials given to members, and the issuer keys that sign them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant


class Credential(Base):
    """One card.

    `id` is 16 hex digits: 8 bytes whose big-endian integer is the printed 12-digit card number.
    """

    __tablename__ = "credentials"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    member_id: Mapped[str] = mapped_column(Text, ForeignKey("members.id"), index=True)
    issuer: Mapped[str] = mapped_column(Text)
    key_id: Mapped[str] = mapped_column(Text, ForeignKey("issuer_keys.key_id"))
    not_before_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    revoke_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class IssuerKey(Base):
    """A signing key: signs until `signs_until_at`, is trusted by kiosks until `trusted_until_at`.

    `public_key` is base64 of 32 raw bytes (RFC 8032); `private_key_encrypted` is base64 of nonce and AES-
    GCM text under the key file, which is in neither the database nor a backup.
    """

    __tablename__ = "issuer_keys"

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    issuer: Mapped[str] = mapped_column(Text)
    public_key: Mapped[str] = mapped_column(Text)
    private_key_encrypted: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)
    signs_until_at: Mapped[datetime] = mapped_column(Instant)
    trusted_until_at: Mapped[datetime] = mapped_column(Instant)
