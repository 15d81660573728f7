"""The seam to stores: what the engine asks of one, and the values that cross."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from perdure.filters import Filter
from perdure.types import Change, Event, Memory, Partition, Scope, Turn


class EntryRow(NamedTuple):
    """What ranking needs to know of one stored version; times are microseconds since the epoch."""

    ord: int
    id: str
    place: int | None
    session: str
    speaker: str | None
    role: str
    words: bytes
    """Hashes (uint64, little endian) of the text's tokens, in order."""
    speaker_words: bytes
    date_words: bytes
    flags: int
    vectors: bytes | None
    """One float16 vector per piece of the text; empty when it was stored without a model; None: not asked for."""
    valid_from: int | None
    valid_to: int | None
    expires_at: int | None
    said_at: int
    scope: int = 0
    """The same number for memories with the same ids, within the partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The part of an `EntryRow` that is computed from the text: it can be made again, in another space."""

    words: bytes = b""
    speaker_words: bytes = b""
    date_words: bytes = b""
    flags: int = 0
    vectors: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What entries were computed with; entries of different spaces cannot be compared."""

    analyzer: int
    model: str | None = None
    """None: no embedder at hand, entries are written without vectors and fit any space of the analyzer."""
    dimensions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One change of one memory, and one step of the partition's sequence.

    - a new memory:   `memory` and `entry`
    - a new version:  `memory`, `replaces`, and `entry` when the text changed (else the old one's is kept)
    - the end of one: `replaces` alone
    - what became known later of a version that goes on: `refines`, and `entry`, `salience` or `categories`; no line
      of history
    """

    event: Event
    memory_id: str
    memory: Memory | None = None
    entry: Entry | None = None
    replaces: int | None = None
    """`ord` of the version that this retires; `Conflict` when that is no longer the current one."""
    refines: int | None = None
    """`ord` of the version that `entry`, `salience` and `categories` are for; passed over when it has ended."""
    salience: float | None = None
    categories: tuple[str, ...] | None = None
    actor: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work on turns that is still to be done: stored with the turns, and removed by the batch that it leads to."""

    id: str
    """That of the batch that brought it, and of the batch that it leads to."""
    partition: Partition
    kind: str
    turns: tuple[str, ...]
    made_at: datetime
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the caller asked for, as JSON."""
    attempts: int = 0
    error: str | None = None
    """Why the last attempt failed."""
    answer: str | None = None
    """What a model said that nobody could read."""
    due_at: datetime | None = None
    """Not to be tried again before; None: at once."""
    given_up: bool = False
    """Not to be tried again unless somebody asks for it."""
    worker: str | None = None
    """Who works on it, or did last."""
    leased_until: datetime | None = None
    """Until then nobody else takes it."""

    def leased(self, now: datetime) -> bool:
        """Whether somebody is working on it."""
        return self.leased_until is not None and self.leased_until > now


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An idempotency key, and what was done by the batch that had it."""

    key: str
    batch: str
    at: datetime
    first: int
    """The changes of the batch are those from here to `last`, by the numbers of the store that told it."""
    last: int
    """One less than `first` when it changed nothing."""
    passing: bool
    """Made from the words: of no use a day after the moment from which it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """All that one call makes, in one partition: stored whole or not at all."""

    id: str
    partition: Partition
    at: datetime
    turns: tuple[Turn, ...] = ()
    writes: tuple[Write, ...] = ()
    """`Conflict` when one of them makes a memory from a turn that was erased."""
    jobs: tuple[Job, ...] = ()
    """What is to be done with the turns, later or by another process."""
    done: tuple[str, ...] = ()
    """The jobs that this batch is the result of; `Conflict` when one was done by somebody else."""
    needs: tuple[str, ...] = ()
    """Ids of memories of this partition that have to be current; `Conflict` when one was deleted meanwhile."""
    saw: tuple[str, ...] = ()
    """Ids of memories of this partition whose words this may repeat; `Conflict` when one was erased meanwhile."""
    key: str | None = None
    """Idempotency key: a second batch with the same key in the partition changes nothing.

    A caller's own key (`key_since` is None) counts for ever, whatever became of what was stored with it.
    """
    key_since: datetime | None = None
    """For a key that is made from the words, against sending them twice: it counts only when it was used at this
    moment or later, and only while every version that was stored with it is current. Otherwise the batch is stored
    and has the key from then on. The store may forget such keys a day before this moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The store's answer to a batch."""

    batch_id: str
    """Of the batch that holds the writes: an earlier one's when this was a repetition."""
    memory_ids: tuple[str, ...]
    head: int
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How far a partition has come: as long as two of these are equal, a search in it finds the same."""

    head: int
    """The sequence of the last change."""
    generation: int = 0
    """Differs from an earlier one when entries were made again meanwhile: then an index is to be loaded from the
    beginning."""
    token: str = ""
    """Tells the same head of two copies of a store apart that went different ways."""
    change: str = field(default="", compare=False)
    """A name for the last change, which the same sequence of another history has not; see `Delta.before`."""
    erasures: int = field(default=0, compare=False)
    """Of the whole store: when there are more of them, words are to be forgotten."""
    mark: object = field(default=None, compare=False)
    """For `Store.stands`; nobody else's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What came to a partition's index after a sequence, read in one snapshot.

    `rows` are the versions made or refined after it and current in the snapshot, by ascending `ord`; `dead` are
    the `ord`s retired or erased after it (of rows that the reader may hold).
    """

    stand: Stand
    """How far the partition had come in the snapshot."""
    rows: Sequence[EntryRow] = ()
    dead: Sequence[int] = ()
    before: str = ""
    """`Stand.change` of the change at the sequence after which this came. When it is not the one that the reader knows,
    the store went back to an earlier state meanwhile, as by a failover or a backup that was put back, and what the
    reader holds is to be loaded from the beginning."""

    @property
    def head(self) -> int:
        """The sequence of the last change."""
        return self.stand.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which memories to list: those that `filter` matches, of this tenant, visible at these times."""

    tenant: str
    filter: Filter | None = None
    partitions: tuple[Partition, ...] | None = None
    """None: all of the tenant's."""
    now: datetime
    as_of: datetime | None = None
    known_at: datetime | None = None
    show_expired: bool = False
    show_superseded: bool = False
    show_retired: bool = False
    """Also deleted memories, by their last version; not with `known_at`."""
    min_salience: float = 0.0
    order: Literal["newest", "oldest"] = "newest"
    """By `said_at`, ties by partition and `ord`."""
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """How much was removed where: rows by table, and what could not be done at once."""

    removed: dict[str, int]
    log_truncated: bool
    """False when another reader held the log or the file could not be rewritten: the words may be in the free space
    of the file or in its log. It is tried again after later writes and when the store is opened."""
    partitions: tuple[Partition, ...] = ()
    """Where something was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Sizes of a tenant's part of a store; bytes are of the whole store."""

    partitions: int
    turns: int
    memories: int
    retired: int
    changes: int
    bytes: int
    schema: int
    space: Space | None
    vector_bytes: int = 0
    """Of those that a `VectorCache` holds; they are among the `bytes`."""


class Export(NamedTuple):
    """One record of a lossless export, in an order in which it can be imported."""

    partition: Partition
    record: Turn | Memory | Change | Key | Job
    entry: Entry | None = None
    """Of a version, in the space in use, when it was asked for and there is one."""


class Store(Protocol):
    """The truth. Everything else is an index that can be made again from it."""

    async def open(self, space: Space | None) -> None:
        """Create or upgrade, check, and adopt `space` when the store holds no entries yet.

        None takes the entries as they are, for upkeep: it neither adopts nor refuses a space.

        Raises:
            ModelMismatch: the entries were made in another space (`perdure reindex` makes them again).
            StoreError: the place or the file is not fit.
        """

    async def aclose(self) -> None:
        """Give files and threads back; what was committed is durable already."""

    async def commit(self, batch: Batch) -> Committed:
        """Make a batch durable, whole, or raise and change nothing."""
        ...

    async def load(
        self,
        partition: Partition,
        *,
        since: int = 0,
        known_at: datetime | None = None,
        with_vectors: bool = True,
    ) -> Delta:
        """What came after `since`; with `known_at`, all rows that were current then.

        Args:
            with_vectors: False spares the reader those of rows that have some: they are None.
        """
        ...

    def stands(self, mark: object) -> bool:
        """Whether a `load` would say nothing new since the one whose answer had this mark.

        Tells at once, without waiting for anything; False when that is not possible.
        """
        ...

    async def read(self, partition: Partition, ords: Sequence[int]) -> list[Memory]:
        """The versions with these row numbers, in the order asked, erased ones left out."""
        ...

    async def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The current version, or the last one, retired, when it was deleted; None when unknown or erased."""
        ...

    async def find(self, query: Query) -> list[Memory]:
        """The memories that the query lists, in its order."""
        ...

    async def select(self, partition: Partition, query: Query) -> list[int]:
        """The `ord`s, ascending, of what `find` would list in this partition (order and limit set aside)."""
        ...

    async def partitions(self, tenant: str, within: Sequence[Scope] | None = None) -> list[Partition]:
        """The partitions that hold memories under one of these scopes (their ids that are not None); None: all."""
        ...

    async def history(self, tenant: str, memory_id: str) -> list[Change]:
        """Oldest first; the texts of what was erased are None."""
        ...

    async def turns(self, tenant: str, ids: Sequence[str]) -> list[Turn]:
        """The turns with these ids, in the order asked, unknown and erased ones left out."""
        ...

    async def jobs(
        self,
        tenant: str,
        *,
        ids: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        given_up: bool | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """What is still to be done, oldest first; of these ids, of these kinds, given up or not (None: all)."""
        ...

    async def keep_job(self, job: Job) -> bool:
        """Note how an attempt ended (attempts, error, answer, due_at, given_up), and give the lease back.

        False, and nothing is noted, when the job is not there any more or somebody else than `job.worker` has it.
        """
        ...

    async def claim(
        self, tenant: str, kinds: Sequence[str], *, worker: str, now: datetime, until: datetime, limit: int
    ) -> list[Job]:
        """Lease jobs of these kinds that are due to a worker, oldest first.

        Within a partition they are given out in the order in which they were made: none while another worker has one
        of these kinds there, none before an older one that is not due yet; those given up stand in nobody's way.
        """
        ...

    async def extend(self, tenant: str, ids: Sequence[str], *, worker: str, until: datetime) -> None:
        """Move the end of a worker's leases of these jobs; to a moment that has passed, to give them back."""

    async def written(self, tenant: str, batch_id: str) -> list[Change]:
        """The history that batches with this id wrote, in their order; the texts of what was erased are None."""
        ...

    async def erase(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> Erased:
        """Remove the words of all versions, of the turns they came from, and of what came from those turns alone."""
        ...

    async def reset(self, tenant: str) -> None:
        """Remove all of a tenant, as if it had never been."""

    async def stats(self, tenant: str) -> StoreStats:
        """Sizes, counted now."""
        ...


@runtime_checkable
class Backups(Protocol):
    """A store that can copy itself while in use."""

    async def backup(self, target: Path) -> None:
        """Copy everything to a new file and check the copy; writers go on meanwhile."""


@runtime_checkable
class Exports(Protocol):
    """A store whose contents can be read out and put in again, losslessly."""

    async def place(self) -> str:
        """Where it is, the same by whatever name it was opened; a copy of it is at another place."""
        ...

    async def tenants(self) -> list[str]:
        """All that have anything here, in the order of their code points."""
        ...

    def export(
        self, tenant: str, partitions: Sequence[Partition] | None = None, *, with_entries: bool = False
    ) -> AsyncIterator[Export]:
        """All of a tenant (or of some partitions), so that `restore` can take it in this order.

        Partitions come one after the other, in the order of their owners' code points; in each, the keys of batches
        come after the changes that these have made.
        """
        ...

    async def restore(self, records: Sequence[Export]) -> int:
        """Put exported records in as they were (ids, times, versions, history); known ones are left alone.

        A job is taken in, and nobody has it, as long as it is still to be done here: its turns are there (of some of
        them, for those), it is not known, and what it leads to is not there either. A key is taken in when something
        of what its batch did is here and nothing of that was erased; of two that pass, the later one stays.

        Each version has its entry with it, also a retired one, unless it was erased.
        """
        ...

    async def erase_alone(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> None:
        """Remove the words of exactly these memories, and of the turns with their ids, as another store has."""
        ...


@runtime_checkable
class Reindexes(Protocol):
    """A store whose entries can be made again, beside those in use, and switched in one transaction."""

    async def missing(
        self, space: Space, *, limit: int, after: tuple[Partition, int] | None = None
    ) -> list[tuple[Partition, Memory]]:
        """Versions, also retired ones, that have no entry in `space` yet (or none with vectors, when it has a model).

        What was erased needs none.

        Args:
            after: only those that come after this one, by partition and `ord`, in an order of the store's own: so that
                who goes through all of them page by page looks at each only once.
        """
        ...

    async def prepare(self, space: Space, entries: Sequence[tuple[Partition, int, Entry]]) -> None:
        """Put entries into a space that is not in use yet."""

    async def activate(self, space: Space, *, leaving: int = 0) -> int:
        """Switch to `space` if nothing is missing in it, and drop the others; how many are missing when it does not.

        Args:
            leaving: so many may be missing all the same, where the words of both spaces are the same: they keep their
                words, and have no vectors until they are prepared.
        """
        ...


@runtime_checkable
class Checks(Protocol):
    """A store that can examine itself."""

    async def check(self) -> list[str]:
        """What is wrong, one sentence each; empty when it is sound."""
        ...


@runtime_checkable
class Standing(Protocol):
    """A store that tells quickly how far partitions have come, so that answers can be cached and are exact."""

    async def identity(self) -> str:
        """A random name that it got when it was made; copies of it have the same."""
        ...

    async def standing(self, partitions: Sequence[Partition]) -> list[Stand]:
        """How far each has come, as a `load` would tell it, all in one snapshot."""
        ...


@runtime_checkable
class VectorCache(Protocol):
    """A store that keeps vectors of any texts, so that a service is not asked for them again.

    They are no part of the truth: an erasure or a reset removes all of the tenant's, in the same transaction.
    """

    async def cached_vectors(self, tenant: str, names: Sequence[str]) -> tuple[list[bytes | None], int]:
        """What there is for each name, and the number of erasures so far, to be given back with what is kept."""
        ...

    async def cache_vectors(
        self, tenant: str, made: Mapping[str, bytes], *, erasures: int, max_bytes: int
    ) -> None:
        """Keep vectors by names, unless something was erased since `erasures`; the oldest go when there are too many.

        Args:
            max_bytes: of all tenants' together.
        """
