"""Which branch of the tree of organisations a question is about. Every list query takes one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """A branch, by its organisation's path; `/` is everything."""

    path: str = "/"

    def covers(self, path: str) -> bool:
        """Whether the organisation at `path` is in this branch."""
        return path.startswith(self.path)


EVERYWHERE = Scope()
