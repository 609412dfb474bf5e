"""Fail when requirements.lock does not satisfy pyproject.toml. Needs no network, so that lint runs offline."""

import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def locked_versions(text: str) -> dict[str, list[str]]:
    """Name to pinned versions; a name may stand twice, for two Python versions."""
    versions: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            pinned = Requirement(line.rstrip(" \\"))
            versions.setdefault(canonicalize_name(pinned.name), []).append(str(pinned.specifier).removeprefix("=="))
    return versions


def problems() -> list[str]:
    """One sentence for each range that no locked version satisfies, and for each index host that is named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "requirements.lock").read_text()
    locked = locked_versions(text)
    wanted = [Requirement(r) for r in project["project"]["dependencies"] + project["dependency-groups"]["dev"]]
    found = [
        f"{r} is not in requirements.lock"
        for r in wanted
        if not any(r.specifier.contains(v) for v in locked.get(canonicalize_name(r.name), []))
    ]
    found += [
        f"{r.name} {distribution(r.name).version} is installed, not the locked {locked[canonicalize_name(r.name)]}"
        for r in wanted
        if distribution(r.name).version not in locked.get(canonicalize_name(r.name), [])
    ]
    if "://" in text:
        found.append("requirements.lock names a host")
    return found


if found := problems():
    sys.stderr.write("\n".join([*found, "Run: make lock", ""]))
    raise SystemExit(1)
