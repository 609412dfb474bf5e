"""What can be wrong with bytes from the other side. A retry with the same bytes never helps.

ContractError
├── TopicError         a topic that the contract does not know
├── DecodeError        a payload that breaks the contract; says where
│   ├── UnknownVersion   the header names a version that is not spoken here
│   └── TooLarge         a line, a batch or a message beyond its limit
├── CredentialError    a member credential that must not be accepted; carries a reason for a person
├── SignatureError     a batch that no key of its terminal signed; carries a reason
└── ExportError        an exported journal that is not whole, or not evidence; says in which line
"""

from enum import StrEnum


def _printable(text: str, limit: int) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])


class ContractError(ValueError):
    """Root of all errors of this package."""


class TopicError(ContractError):
    """The topic does not belong to the contract."""


class DecodeError(ContractError):
    """The payload breaks the contract.

    ``where`` is `header`, `line N` (1 = the first record), `batch` or a field's path. Both are short and printable even
    where they quote a hostile payload, so that they can be logged and stored.
    """

    def __init__(self, where: str, what: str) -> None:
        self.where = _printable(where, 120)
        self.what = _printable(what, 240)
        super().__init__(f"{self.where}: {self.what}")


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


class SignatureReason(StrEnum):
    """Why a batch is not taken for its terminal's own."""

    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"
    WRONG = "wrong"


class SignatureError(ContractError):
    """No key that is known to be this terminal's has signed the batch."""

    def __init__(self, reason: SignatureReason, what: str) -> None:
        super().__init__(what)
        self.reason = reason


class ExportError(ContractError):
    """An exported journal does not hold what it claims; ``line`` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {_printable(what, 300)}")
