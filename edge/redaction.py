"""Takes secrets and what tells of persons out of log lines, before they leave a terminal. Pure.

Promises to take out too much rather than too little: cards and their numbers, passwords, tokens, keys, claim codes, hashes,
addresses of people, long figures, and all Chinese text, in which names would stand. Called by the agent's own log.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

OUT: Final = "[redacted]"
LEAST_SECRET: Final = 4
"""A shorter literal is no secret worth the name, and would spoil every line."""

_NAME: Final = (
    r"[a-z_-]{0,20}(?:password|passwd|secret|token|authorization|cookie|credential|api[_-]?key|private[_-]?key|subject|"
    r"signature|(?<![a-z])(?:pin|code|hash|sign|card|csr)(?![a-z]))[a-z_-]{0,20}"
)
_VALUE: Final = r"(?:\"[^\"]*\"|'[^']*'|(?:bearer|basic)\s+\S+|[^\s,;)}\]]+)"
_PATTERNS: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(r"-----BEGIN [^-]*-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL), OUT),
    (re.compile(r"\A(?:[A-Za-z0-9+/=]{40,}\n)*[A-Za-z0-9+/=]*\n?-----END [^-]*-----"), OUT),
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{OUT}@"),
    (re.compile(rf"(?i)({_NAME}[\"']?\s*[:=]\s*){_VALUE}"), rf"\1{OUT}"),
    (re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), OUT),
    (re.compile(r"\bRL1:[0-9A-Z $%*+\-./:]+"), OUT),
    (re.compile(r"\brlt_\w+"), OUT),
    (re.compile(r"\$argon2\S+"), OUT),
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b"), OUT),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), OUT),
    (re.compile(r"\b[0-9a-fA-F]{16,}\b"), OUT),
    (re.compile(r"\b\d{3,4}(?:[ -]\d{4}){2}\b"), OUT),
    (re.compile(r"\d{11,}[0-9Xx]?"), OUT),
    (re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+"), OUT),
)
_OPAQUE: Final = re.compile(r"(?<![\w/+.-])[A-Za-z0-9_+/-]{20,}={0,2}")
_PIECE: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_WORDY: Final = 3.5
"""Letters of one case in a row, on average, in what is put together of words; random letters have about two."""


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without what must not leave; ``secrets`` are literals that are known to be such."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, OUT)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return _OPAQUE.sub(_judged, text)


def _judged(found: re.Match[str]) -> str:
    """Random letters are out; what is put together of words, like a name in a program or a path, stays, and so does a UUID."""
    token = found[0]
    if re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", token):
        return token
    pieces = _PIECE.findall(token)
    return token if pieces and sum(map(len, pieces)) / len(pieces) >= _WORDY else OUT
