"""Which file a store is: another that has come into its place is not taken for it."""

from __future__ import annotations

from pathlib import Path

from perdure.errors import StoreError


class Identity:
    """Device and inode of a store's file, from the first connection on.

    SQLite goes on writing into a file that has lost its name: whatever it acknowledged would be lost with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None

    def check(self) -> None:
        """Look whether the file is still in its place, in a few microseconds.

        Raises:
            StoreError: it is not, or another one is.
        """
        if self._known is not None and self._found() != self._known:
            raise StoreError(
                f"{self._path} was moved, deleted or replaced while it was open, so nothing can be kept in it any "
                "more: close this memory and open another"
            )

    def learn(self) -> None:
        """Take the file that was just connected to for the store's, or check that it is; raises as `check`."""
        if self._known is None:
            self._known = self._found()
        self.check()

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
