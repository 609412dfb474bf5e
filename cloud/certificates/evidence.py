"""What an exported journal needs, so that its signatures can be checked without the cloud: every certificate of a terminal."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.certificates.models import Certificate, IssuingAuthority


def certificates_of(session: Session, terminal_id: str) -> list[str]:
    """In PEM: all that this terminal ever had, and those of the authorities that gave them."""
    had = session.execute(
        select(Certificate.certificate, Certificate.authority_id)
        .where(Certificate.terminal_id == terminal_id)
        .order_by(Certificate.created_at)
    ).all()
    givers = {row.authority_id for row in had}
    query = select(IssuingAuthority.certificate).where(IssuingAuthority.key_id.in_(givers))
    return [*(row.certificate for row in had), *session.scalars(query)]
