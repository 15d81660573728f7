"""The in-memory index of one partition, which grows with it and is never built anew because something was added."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.engine.columns import Column, Labels, Postings, Rows
from perdure.engine.embedding import read
from perdure.engine.words.analysis import languages_of, lengths_of
from perdure.engine.words.language import LANGUAGES
from perdure.ports import EntryRow, Stand

Mask = NDArray[np.bool_]

NEVER = int(np.iinfo(np.int64).max)
"""In a column of times: no end."""
_NOWHERE = int(np.iinfo(np.int64).min)
"""The place of what has no neighbours."""

_COMPACT_FRACTION = 0.25
_COMPACT_ROWS = 64
"""So few dead rows are not worth the trouble."""
_LINK_ONE_BY_ONE = 64
"""New rows up to which each is tied to its session by itself; more are sorted all together."""


_BLOCK = 98_304
"""Numbers in a block of vectors: what stays in a core's own cache while it is multiplied."""

_ONE = 32_767
"""What stands for 1 in a vector."""


class PartitionIndex:
    """The rows of a partition as columns, their words as postings, their vectors as one matrix.

    Row 0 is nobody: it stands for "no neighbour", so that evidence can be sent to a neighbour without asking
    whether there is one. Columns have one element for each row, dead ones included (`alive` tells).
    Not safe to change while another thread reads.
    """

    def __init__(self, dimensions: int | None) -> None:
        """Empty; `dimensions` of the vectors, None when they are not kept: there is no model, or they are elsewhere."""
        self.dimensions = dimensions or 0
        self.head = 0
        self.stand = Stand(head=0)
        """As the store told it with what was last taken in."""
        self.version = 0
        """Changes with every change: row numbers and columns of another version are not comparable."""
        self.ids: list[str] = [""]
        self.ords: Column[np.int64] = Column(np.int64, size=1)
        self.alive: Column[np.bool_] = Column(np.bool_, size=1)
        self.places: Column[np.int64] = Column(np.int64, size=1)
        self.previous: Column[np.int32] = Column(np.int32, size=1)
        self.next: Column[np.int32] = Column(np.int32, size=1)
        self.sessions: Column[np.int32] = Column(np.int32, size=1)
        self.voices: Column[np.int32] = Column(np.int32, size=1)
        self.from_user: Column[np.bool_] = Column(np.bool_, size=1)
        self.flags: Column[np.int64] = Column(np.int64, size=1)
        self.lengths: Column[np.float32] = Column(np.float32, size=1)
        self.said_at: Column[np.int64] = Column(np.int64, size=1)
        self.valid_from: Column[np.int64] = Column(np.int64, size=1)
        self.valid_to: Column[np.int64] = Column(np.int64, size=1)
        self.expires_at: Column[np.int64] = Column(np.int64, size=1)
        self.scopes: Column[np.int64] = Column(np.int64, size=1)
        self.postings = Postings()
        self.speakers = Labels()
        self.dates = Labels()
        self.speakers.extend([b""])
        self.dates.extend([b""])
        self._has_vector: Column[np.bool_] = Column(np.bool_, size=1)
        self._holders: Column[np.int32] = Column(np.int32)
        """The row of each vector: a long text has several, and they may have come later than the text."""
        self._in_one_piece = True
        """No row has several vectors."""
        self._vectors: Column[np.int16] = Column(np.int16, width=self.dimensions)
        self._session_codes: dict[str, int] = {}
        self._voice_codes: dict[str, int] = {}
        self._ends: dict[int, int] = {}
        """The last row of each session."""
        self._by_language = np.zeros(len(LANGUAGES), np.int64)
        self._embedded = 0
        """Rows alive with a vector."""
        self._moments: list[int] = []
        """When rows end, also dead ones, ascending."""
        self._dead = 0

    def __len__(self) -> int:
        """How many rows are alive."""
        return len(self.ids) - 1 - self._dead

    @property
    def nbytes(self) -> int:
        """Bytes held, to be weighed against the memory that indexes may use."""
        columns = sum(column.nbytes for column in self._columns())
        labels = (
            self.speakers.nbytes
            + self.dates.nbytes
            + 150 * (len(self._session_codes) + len(self._voice_codes))
        )
        return (
            columns
            + self._holders.nbytes
            + self._vectors.nbytes
            + self.postings.nbytes
            + labels
            + 100 * len(self.ids)
        )

    @property
    def languages(self) -> list[int]:
        """The languages that texts alive were stemmed in, as places in `LANGUAGES`."""
        return [int(place) for place in np.flatnonzero(self._by_language)]

    @property
    def session_count(self) -> int:
        """Codes in `sessions` are smaller than this."""
        return len(self._session_codes) + 1

    @property
    def has_vectors(self) -> bool:
        """Whether any text alive was stored with a vector."""
        return self._embedded > 0

    @property
    def placeless(self) -> Mask:
        """The rows that stand in no conversation: facts, procedures, summaries."""
        placeless: Mask = self.places.values == _NOWHERE
        placeless[0] = False
        return placeless

    @property
    def holds_vectors(self) -> bool:
        """Whether vectors are kept here; else the index only knows which rows have some."""
        return self.dimensions > 0

    @property
    def embedded(self) -> Mask:
        """The rows, also dead ones, that were stored with a vector."""
        return self._has_vector.values

    def unembedded(self) -> list[int]:
        """The rows alive without a vector."""
        lacking = self.alive.values & ~self._has_vector.values
        return [int(row) for row in np.flatnonzero(lacking) if row]

    def apply(self, rows: Sequence[EntryRow], dead: Iterable[int] = (), *, head: int) -> None:
        """Take in what came to the partition up to the sequence `head`.

        Args:
            rows: by ascending `ord`; of those not newer than what is held, the vectors may be new.
            dead: `ord`s that are retired or erased; unknown ones are passed over.
        """
        self.version += 1
        first = len(self.ids)
        newest = int(self.ords.values[-1])
        self._refine([row for row in rows if row.ord <= newest])
        self._append([row for row in rows if row.ord > newest])
        self._retire(self.rows_of(dead))
        self._link(np.arange(first, len(self.ids), dtype=np.int32))
        if self._dead > max(_COMPACT_ROWS, _COMPACT_FRACTION * len(self.ids)):
            self._compact()
        self.head = head

    def rows_of(self, ords: Iterable[int]) -> Rows:
        """The rows alive with these `ord`s, ascending."""
        wanted = np.array(sorted(set(ords)), np.int64)
        if not len(wanted):
            return np.zeros(0, np.int32)
        held = self.ords.values
        places = np.searchsorted(held, wanted)
        known = places[places < len(held)]
        rows: Rows = known[held[known] == wanted[: len(known)]].astype(np.int32)
        found: Rows = rows[self.alive.values[rows]]
        return found

    def mask(self, ords: Iterable[int]) -> Mask:
        """True at the rows with these `ord`s."""
        mask = np.zeros(len(self.ids), np.bool_)
        mask[self.rows_of(ords)] = True
        return mask

    def visible(
        self, now: int, *, as_of: int | None = None, expired: bool = False, superseded: bool = False
    ) -> Mask:
        """The rows alive that may be seen at `now` (microseconds since the epoch).

        Args:
            as_of: only what was true in the world then.
            expired: also what has expired.
            superseded: also what is true no more.
        """
        seen: Mask = self.alive.values.copy()
        if not expired:
            seen &= self.expires_at.values > now
        if as_of is not None:
            seen &= (self.valid_from.values <= as_of) & (as_of < self.valid_to.values)
        elif not superseded:
            seen &= self.valid_to.values > now
        return seen

    def steady(self, now: int) -> tuple[int, int]:
        """The moments around `now` between which, the later excluded, `visible` says the same."""
        after = bisect_right(self._moments, now)
        since = self._moments[after - 1] if after else _NOWHERE
        return since, self._moments[after] if after < len(self._moments) else NEVER

    def cosines(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each row's best cosine over its pieces, for a query of unit length; NaN without a vector."""
        scores, holders = _products(self._vectors.values, query), self._holders.values
        found = np.full(len(self.ids), np.nan, np.float32)
        if self._in_one_piece:
            found[holders] = scores
        else:
            found[holders] = -np.inf
            np.maximum.at(found, holders, scores)
        return found

    def cosines_among(self, rows: Rows, queries: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The same for some rows and several queries, `(queries, rows)`."""
        places = np.full(len(self.ids), -1, np.int64)
        places[rows] = np.arange(len(rows))
        held = places[self._holders.values]
        vectors, holders = self._vectors.values[held >= 0], held[held >= 0]
        found = np.full((len(queries), len(rows)), -np.inf, np.float32)
        for place, query in enumerate(queries):
            np.maximum.at(found[place], holders, _products(vectors, query))
        found[np.isneginf(found)] = np.nan
        return found

    def _append(self, rows: Sequence[EntryRow]) -> None:
        if not rows:
            return
        first = len(self.ids)
        lengths = np.array([len(row.words) // 8 for row in rows], np.int32)
        flags = np.array([row.flags for row in rows], np.int64)
        self.ids.extend(row.id for row in rows)
        self.ords.extend(np.array([row.ord for row in rows], np.int64))
        self.alive.extend(np.ones(len(rows), np.bool_))
        self.places.extend(_numbers([row.place for row in rows], _NOWHERE))
        self.previous.extend(np.zeros(len(rows), np.int32))
        self.next.extend(np.zeros(len(rows), np.int32))
        self.sessions.extend(_codes(self._session_codes, [row.session for row in rows]))
        self.voices.extend(_codes(self._voice_codes, [row.speaker or row.role for row in rows]))
        self.from_user.extend(np.array([row.role == "user" for row in rows], np.bool_))
        self.flags.extend(flags)
        self.lengths.extend(lengths_of(lengths, flags))
        self.said_at.extend(np.array([row.said_at for row in rows], np.int64))
        self.valid_from.extend(_numbers([row.valid_from for row in rows], -NEVER))
        self.valid_to.extend(_numbers([row.valid_to for row in rows], NEVER))
        self.expires_at.extend(_numbers([row.expires_at for row in rows], NEVER))
        if ends := [end for row in rows for end in (row.valid_to, row.expires_at) if end is not None]:
            self._moments += ends
            self._moments.sort()
        self.scopes.extend(np.array([row.scope for row in rows], np.int64))
        self.speakers.extend([row.speaker_words for row in rows])
        self.dates.extend([row.date_words for row in rows])
        numbers = np.arange(first, len(self.ids), dtype=np.int32)
        self.postings.extend(
            np.frombuffer(b"".join([row.words for row in rows]), "<u8"), np.repeat(numbers, lengths)
        )
        self._by_language += np.bincount(languages_of(flags), minlength=len(LANGUAGES))
        self._has_vector.extend(np.zeros(len(rows), np.bool_))
        self._append_vectors(numbers, [row.vectors for row in rows])

    def _refine(self, rows: Sequence[EntryRow]) -> None:
        """Take in vectors that were made later than their rows."""
        places = {row.ord: row for row in rows if row.vectors or row.vectors is None}
        found = self.rows_of(places)
        late = found[~self._has_vector.values[found]]
        self._append_vectors(late, [places[int(ord_)].vectors for ord_ in self.ords.values[late]])

    def _append_vectors(self, rows: Rows, vectors: Sequence[bytes | None]) -> None:
        """Keep vectors; of those that are elsewhere, that they are there."""
        if not len(rows):
            return
        held = [at_hand or b"" for at_hand in vectors]
        size = 2 * self.dimensions
        pieces = np.array([len(one) // size if size else 0 for one in held], np.int32)
        has_vector = (pieces > 0) | np.array([one is None for one in vectors], np.bool_)
        self._embedded += int(np.count_nonzero(has_vector))
        self._has_vector.values[rows] = has_vector
        if size:
            self._in_one_piece = self._in_one_piece and int(pieces.max()) <= 1
            self._holders.extend(np.repeat(rows, pieces))
            self._vectors.extend(_fixed(read(b"".join(held), self.dimensions)))

    def _retire(self, rows: Rows) -> None:
        for row in rows:
            before, after = self.previous.values[row], self.next.values[row]
            self.next.values[before], self.previous.values[after] = after, before
            session = int(self.sessions.values[row])
            if self._ends.get(session) == row:
                self._ends[session] = int(before)
        self._untie(rows)
        self.alive.values[rows] = False
        self._by_language -= np.bincount(languages_of(self.flags.values[rows]), minlength=len(LANGUAGES))
        self._embedded -= int(np.count_nonzero(self._has_vector.values[rows]))
        self._dead += len(rows)

    def _link(self, new: Rows) -> None:
        """Tie new rows to those before and after them in their sessions."""
        new = new[self.alive.values[new] & (self.places.values[new] != _NOWHERE)]
        if len(new) > _LINK_ONE_BY_ONE:
            self._relink(np.arange(1, len(self.ids), dtype=np.int32))
            return
        disturbed: set[int] = set()
        for row in new:
            session = int(self.sessions.values[row])
            end = self._ends.get(session, 0)
            if end and self.places.values[end] > self.places.values[row]:
                disturbed.add(session)
                continue
            self._ends[session] = int(row)
            self.next.values[end], self.previous.values[row] = row, end
            self._untie(np.zeros(1, np.int32))
        for session in disturbed:
            self._relink(np.flatnonzero(self.sessions.values == session).astype(np.int32))

    def _relink(self, rows: Rows) -> None:
        """Chain all rows of some sessions by place, then age."""
        rows = rows[self.alive.values[rows] & (self.places.values[rows] != _NOWHERE)]
        self._untie(rows)
        sessions = self.sessions.values[rows]
        order = np.lexsort((self.places.values[rows], sessions))
        rows, sessions = rows[order], sessions[order]
        same = sessions[1:] == sessions[:-1]
        self.next.values[rows[:-1][same]] = rows[1:][same]
        self.previous.values[rows[1:][same]] = rows[:-1][same]
        last = np.append(~same, np.True_)[: len(rows)]
        self._ends.update(zip(sessions[last].tolist(), rows[last].tolist(), strict=True))

    def _untie(self, rows: Rows) -> None:
        for column in (self.previous, self.next):
            column.values[rows] = 0
            column.values[0] = 0

    def _compact(self) -> None:
        """Drop the dead rows; nothing else changes."""
        wanted = self.alive.values.copy()
        wanted[0] = True
        renumbered = (np.cumsum(wanted) - 1).astype(np.int32)
        held = wanted[self._holders.values]
        self._vectors.keep(held)
        self._holders.keep(held)
        self._holders.values[:] = renumbered[self._holders.values]
        self.postings.keep(wanted, renumbered)
        self.ids = [held for held, keep in zip(self.ids, wanted.tolist(), strict=True) if keep]
        for column in self._columns():
            column.keep(wanted)
        for links in (self.previous, self.next):
            links.values[:] = renumbered[links.values]
        self._ends = {session: int(renumbered[row]) for session, row in self._ends.items() if row}
        ends = np.concatenate((self.expires_at.values, self.valid_to.values))
        self._moments = np.sort(ends[ends < NEVER]).tolist()
        self._dead = 0

    def _columns(
        self,
    ) -> tuple[Column[np.int64] | Column[np.int32] | Column[np.bool_] | Column[np.float32], ...]:
        return (
            *(self.ords, self.alive, self.places, self.previous, self.next, self.sessions, self.voices),
            *(self.from_user, self.flags, self.lengths, self.said_at, self.valid_from, self.valid_to),
            *(self.expires_at, self.scopes, self.speakers.column, self.dates.column, self._has_vector),
        )


def _fixed(vectors: NDArray[np.float32]) -> NDArray[np.int16]:
    """Vectors of unit length as fixed-point numbers: half the bytes of float32 to read, and finer than float16."""
    return np.rint(np.clip(vectors, -1, 1) * _ONE).astype(np.int16)


def _products(vectors: NDArray[np.int16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """`vectors @ query`, in blocks that are too small for BLAS to share out among threads.

    Waking its sleeping threads takes longer than the product itself: on a busy machine ten milliseconds.
    """
    products = np.empty(len(vectors), np.float32)
    step = max(1, _BLOCK // len(query))
    block = np.empty((step, len(query)), np.float32)
    query = query / np.float32(_ONE)
    for start in range(0, len(vectors), step):
        part = vectors[start : start + step]
        held = block[: len(part)]
        np.copyto(held, part)
        np.dot(held, query, out=products[start : start + step])
    return products


def _numbers(values: list[int | None], missing: int) -> NDArray[np.int64]:
    return np.array([missing if value is None else value for value in values], np.int64)


def _codes(known: dict[str, int], names: list[str]) -> Rows:
    """A small number for each name, from 1 on; new names are added to the known ones."""
    for name in dict.fromkeys(names):
        if name not in known:
            known[name] = len(known) + 1
    return np.array([known[name] for name in names], np.int32)
