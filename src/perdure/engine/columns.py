"""Arrays that grow at the end, and sorted postings that take new ones in without being built anew."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
Rows = NDArray[np.int32]
Hashes = NDArray[np.uint64]

TAIL_FRACTION = 64
"""A part in so many may be unsorted: then merging costs each posting as much as copying it so many times."""
TAIL_POSTINGS = 512, 8192
"""The least and the largest tail: looking through it takes microseconds for each term."""


class Column(Generic[Scalar]):
    """A growing array; appending costs amortised constant time."""

    __slots__ = ("_data", "_size")

    def __init__(self, kind: type[Scalar], *, size: int = 0, width: int | None = None) -> None:
        """`size` zeros at first; with `width`, values are rows of that many."""
        self._data: NDArray[Scalar] = np.zeros(size if width is None else (size, width), kind)
        self._size = size

    @property
    def values(self) -> NDArray[Scalar]:
        """A view of what is in use; taken anew after every growth."""
        return self._data[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        return self._data.nbytes

    def extend(self, values: NDArray[Any]) -> None:
        """Append values of the column's kind, or of one that casts to it."""
        end = self._size + len(values)
        if end > len(self._data):
            # Room for an eighth more at first: memory that is not written to yet costs nothing.
            room = end + end // 8 + 8 if self._size <= 1 else max(end, len(self._data) * 3 // 2)
            grown = np.zeros((room, *self._data.shape[1:]), self._data.dtype)
            grown[: self._size] = self.values
            self._data = grown
        self._data[self._size : end] = values
        self._size = end

    def keep(self, wanted: NDArray[np.bool_]) -> None:
        """Drop all other values."""
        self._data = self.values[wanted]
        self._size = len(self._data)


class Postings:
    """Which rows hold a token, and how often.

    A large part sorted by token, and a short unsorted tail of what came last, which is merged into the sorted
    part when it has grown.
    """

    __slots__ = ("_keys", "_rows", "_tail_bounds", "_tail_keys", "_tail_rows", "_tail_times", "_times")

    def __init__(self, *, tail: tuple[int, int] = TAIL_POSTINGS) -> None:
        """`tail`: how many postings may wait to be merged when there are few, and when there are very many."""
        self._tail_bounds = tail
        self._keys: Hashes = np.zeros(0, np.uint64)
        self._rows: Rows = np.zeros(0, np.int32)
        self._times: NDArray[np.float32] = np.zeros(0, np.float32)
        self._clear_tail()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        tail = self._tail_keys.nbytes + self._tail_rows.nbytes + self._tail_times.nbytes
        return self._keys.nbytes + self._rows.nbytes + self._times.nbytes + tail

    def extend(self, keys: Hashes, rows: Rows) -> None:
        """Add tokens, repeated ones too, with the row of each; rows ascend and follow all earlier ones."""
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], rows[order]
        first = np.ones(len(keys), np.bool_)
        first[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
        starts = np.flatnonzero(first)
        times = np.diff(starts, append=len(keys)).astype(np.float32)
        keys, rows = keys[starts], rows[starts]
        least, most = self._tail_bounds
        if len(self._tail_keys.values) + len(keys) <= min(max(least, len(self._keys) // TAIL_FRACTION), most):
            self._tail_keys.extend(keys)
            self._tail_rows.extend(rows)
            self._tail_times.extend(times)
            return
        self._merge_tail()
        self._merge(keys, rows, times)

    def find(self, keys: Hashes) -> tuple[Rows, Rows, NDArray[np.float32]]:
        """The rows that hold these tokens: three arrays, of places in `keys`, rows, and how often each holds it.

        All tokens are looked up together: one by one, the calls would cost more than the work.
        """
        starts, ends = self._keys.searchsorted(keys, "left"), self._keys.searchsorted(keys, "right")
        counts = ends - starts
        places = np.repeat(np.arange(len(keys), dtype=np.int32), counts)
        steps = np.arange(len(places)) - (np.cumsum(counts) - counts)[places]
        found = starts[places] + steps
        rows, times = self._rows[found], self._times[found]
        tail = self._tail_keys.values
        if not len(tail):
            return places, rows, times
        late_places, late = np.divmod(np.flatnonzero(tail == keys[:, None]), len(tail))
        return (
            np.concatenate((places, late_places.astype(np.int32))),
            np.concatenate((rows, self._tail_rows.values[late])),
            np.concatenate((times, self._tail_times.values[late])),
        )

    def keep(self, wanted: NDArray[np.bool_], renumbered: Rows) -> None:
        """Drop the postings of all rows but the wanted; the others get their new numbers, in the same order."""
        self._merge_tail()
        held = wanted[self._rows]
        self._keys, self._rows, self._times = (
            self._keys[held],
            renumbered[self._rows[held]],
            self._times[held],
        )

    def _merge_tail(self) -> None:
        keys, rows, times = self._tail_keys.values, self._tail_rows.values, self._tail_times.values
        order = np.argsort(keys, kind="stable")
        self._clear_tail()
        self._merge(keys[order], rows[order], times[order])

    def _merge(self, keys: Hashes, rows: Rows, times: NDArray[np.float32]) -> None:
        if not len(self._keys):
            self._keys, self._rows, self._times = keys, rows, times
            return
        places = np.searchsorted(self._keys, keys, "right") + np.arange(len(keys))
        old = np.ones(len(self._keys) + len(keys), np.bool_)
        old[places] = False
        self._keys = _interleave(old, self._keys, keys)
        self._rows = _interleave(old, self._rows, rows)
        self._times = _interleave(old, self._times, times)

    def _clear_tail(self) -> None:
        self._tail_keys, self._tail_rows = Column(np.uint64), Column(np.int32)
        self._tail_times = Column(np.float32)


class Labels:
    """A column of few distinct values, each a set of tokens: the speakers, or the days, of the rows."""

    __slots__ = ("_codes", "_holders", "column")

    def __init__(self) -> None:
        self.column = Column(np.int32)
        self._codes: dict[bytes, int] = {}
        self._holders: dict[int, list[int]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held, roughly."""
        return self.column.nbytes + 200 * len(self._codes)

    def extend(self, labels: list[bytes]) -> None:
        """Append one label for each new row: the hashes of its tokens."""
        for label in set(labels) - self._codes.keys():
            code = self._codes[label] = len(self._codes)
            for key in {int(k) for k in np.frombuffer(label, "<u8")}:
                self._holders.setdefault(key, []).append(code)
        codes = self._codes
        self.column.extend(np.array([codes[label] for label in labels], np.int32))

    def holding(self, keys: list[int]) -> NDArray[np.bool_] | None:
        """Which rows' labels hold one of these tokens; None when no label does."""
        codes = [code for key in keys for code in self._holders.get(key, ())]
        if not codes:
            return None
        found = np.zeros(len(self._codes), np.bool_)
        found[codes] = True
        return found[self.column.values]


def _interleave(old: NDArray[np.bool_], before: NDArray[Scalar], new: NDArray[Scalar]) -> NDArray[Scalar]:
    merged = np.empty(len(old), before.dtype)
    merged[old] = before
    merged[~old] = new
    return merged
