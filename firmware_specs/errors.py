"""What can be wrong with bytes from the other side. A retry with the same bytes never helps.

ContractError
├── TopicError         a topic that the contract does not know
├── DecodeError        a payload that breaks the contract; says where
│   ├── UnknownVersion   the header names a version that is not spoken here
│   └── TooLarge         a line, a batch or a message beyond its limit
└── CredentialError    a member credential that must not be accepted; carries a reason for a person
"""

from enum import StrEnum


class ContractError(ValueError):
    """Root of all errors of this package."""


class TopicError(ContractError):
    """The topic does not belong to the contract."""


class DecodeError(ContractError):
    """The payload breaks the contract.

    ``where`` is `header`, `line N` (1 = the first record), `batch` or a field's path.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class UnknownVersion(DecodeError):
    """The major version is not spoken here."""


class TooLarge(DecodeError):
    """A limit of the contract is exceeded."""


class CredentialReason(StrEnum):
    """Why a credential is not accepted; also the words of a check-in's ``reason``."""

    UNREADABLE = "unreadable"
    UNKNOWN_ISSUER = "unknown_issuer"
    FORGED = "forged"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"


class CredentialError(ContractError):
    """The text is not a credential that may be accepted now."""

    def __init__(self, reason: CredentialReason, what: str) -> None:
        super().__init__(what)
        self.reason = reason
