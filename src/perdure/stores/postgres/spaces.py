"""Which space is in use, and making entries again in another, beside those in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perdure.ports import Entry, Space
from perdure.stores.postgres import standing
from perdure.stores.postgres.commit import PUT_ENTRY
from perdure.stores.postgres.connection import Settings, Statement, Transaction, array
from perdure.stores.postgres.read import MEMORY, memories
from perdure.stores.spaces import fits, mismatch
from perdure.types import Memory, Partition

_MISSING: Final = (
    "FROM memories m JOIN partitions p ON p.id = m.partition JOIN scopes s ON s.id = m.scope "
    "LEFT JOIN entries e ON e.space = %s AND e.partition = m.partition AND e.ord = m.ord "
    "WHERE m.erased_at IS NULL "  # retired ones as well: `known_at` asks for them
    "AND (e.ord IS NULL OR (%s AND length(e.vectors) = 0))"
)
_BEHIND: Final = (
    "AND (m.partition, m.ord) > "
    "(coalesce((SELECT id FROM partitions WHERE tenant = %s AND owner = %s), 0), %s) "
    "ORDER BY m.partition, m.ord LIMIT %s"
)
_NUMBER: Final = (
    "SELECT id FROM spaces WHERE analyzer = %s AND model IS NOT DISTINCT FROM %s::text AND dimensions = %s "
    "ORDER BY active DESC"
)
_INSERT: Final = (
    "INSERT INTO spaces (analyzer, model, dimensions, active) VALUES (%s, %s, %s, %s) RETURNING id"
)
_BEGIN_GENERATION: Final = Statement("UPDATE meta SET value = value + 1 WHERE key = 'generation'")


async def adopt(transaction: Transaction, settings: Settings, asked: Space) -> None:
    """Begin to use a space, when nothing speaks against it.

    - The store has none, or no entries: it takes this one.
    - Its entries were made without a model: those that come now have one.
    - It fits: nothing to do.

    Raises:
        ModelMismatch: none of these.
    """
    [found] = await transaction.ask(standing.SPACE)
    held = standing.held(found[0]) if found else None
    if held is not None and fits(held.space, asked):
        return
    _, found, [[has_entries]] = await transaction.ask(
        settings.alone,
        standing.SPACE,
        Statement("SELECT EXISTS (SELECT 1 FROM entries e JOIN spaces s ON s.id = e.space AND s.active)"),
    )
    held = standing.held(found[0]) if found else None
    if held is None:
        await transaction.ask(_insert(asked, active=True))
    elif fits(held.space, asked):
        return
    elif not has_entries or fits(asked, held.space):
        change = "UPDATE spaces SET analyzer = %s, model = %s, dimensions = %s WHERE id = %s"
        await transaction.ask(Statement(change, (asked.analyzer, asked.model, asked.dimensions, held.id)))
    else:
        raise mismatch(held.space, asked)


async def missing(
    transaction: Transaction, space: Space, *, limit: int, after: tuple[Partition, int] | None
) -> list[tuple[Partition, Memory]]:
    """Versions without an entry in `space`, or without vectors when it has a model, by partition and `ord`."""
    number = await _number(transaction, space)
    partition, ord_ = after or (Partition("", ""), 0)
    asked = Statement(
        f"SELECT p.tenant, p.owner, {MEMORY} {_MISSING} {_BEHIND}",
        (number, space.model is not None, *partition, ord_, limit),
    )
    [found] = await transaction.ask(asked)
    return [(Partition(*row[:2]), memory) for row in found for memory in memories([row[2:]], row[0])]


async def prepare(
    transaction: Transaction,
    settings: Settings,
    space: Space,
    entries: Sequence[tuple[Partition, int, Entry]],
) -> None:
    """Store entries in a space that need not be in use; what was erased meanwhile gets none."""
    await transaction.ask(settings.alone)
    [held] = await transaction.ask(standing.SPACE)
    number = await _number(transaction, space) or await _made(transaction, space)
    if held and held[0][0] == number:
        await transaction.ask(_BEGIN_GENERATION)
    placed = [(*partition, ord_, entry.flags) for partition, ord_, entry in entries]
    held = [(e.speaker_words, e.date_words, e.words, e.vectors) for _, _, e in entries]
    columns = [
        *zip(*placed, strict=True),
        *([f"\\x{one.hex()}" for one in some] for some in zip(*held, strict=True)),
    ]
    if columns:
        await transaction.ask(Statement(_PREPARE, (number, *map(array, columns))))


_PREPARE: Final = PUT_ENTRY.replace(
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ",
    "SELECT %s, m.partition, m.ord, w.flags, w.speaker_words, w.date_words, w.words, w.vectors, m.tenant "
    "FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], "
    "%s::bytea[], %s::bytea[], %s::bytea[], %s::bytea[]) "
    "w (tenant, owner, ord, flags, speaker_words, date_words, words, vectors) "
    "JOIN partitions p ON p.tenant = w.tenant AND p.owner = w.owner "
    "JOIN memories m ON m.partition = p.id AND m.ord = w.ord AND m.erased_at IS NULL ",
)


_KEEP_WORDS: Final = (
    "INSERT INTO entries (space, partition, ord, flags, tenant, speaker_words, date_words, words, vectors) "
    "SELECT %s, old.partition, old.ord, old.flags, old.tenant, old.speaker_words, old.date_words, old.words, ''::bytea "
    "FROM entries old LEFT JOIN entries e ON e.space = %s AND e.partition = old.partition AND e.ord = old.ord "
    "WHERE old.space = %s AND e.ord IS NULL"
)


async def activate(transaction: Transaction, settings: Settings, space: Space, *, leaving: int) -> int:
    """Use `space` from now on and drop all others, unless more than `leaving` is missing in it: then, how much."""
    await transaction.ask(settings.alone)
    number = await _number(transaction, space)
    counted = Statement(f"SELECT count(*) {_MISSING}", (number, space.model is not None))
    [[[lacking]], held] = await transaction.ask(counted, standing.SPACE)
    in_use = standing.held(held[0]) if held else None
    same_words = in_use is not None and in_use.space.analyzer == space.analyzer
    if lacking > (leaving if same_words else 0):
        return int(lacking)
    number = number or await _made(transaction, space)
    if in_use is None or in_use.id != number:
        if in_use is not None and lacking:
            await transaction.ask(Statement(_KEEP_WORDS, (number, number, in_use.id)))
        await transaction.ask(
            Statement("UPDATE spaces SET active = FALSE WHERE active"),
            Statement("UPDATE spaces SET active = TRUE WHERE id = %s", (number,)),
            _BEGIN_GENERATION,
        )
    await transaction.ask(
        Statement("DELETE FROM entries WHERE space <> %s", (number,)),
        Statement("DELETE FROM spaces WHERE id <> %s", (number,)),
    )
    return 0


async def _number(transaction: Transaction, space: Space) -> int | None:
    """The number of a space, in use or being prepared."""
    [found] = await transaction.ask(Statement(_NUMBER, (space.analyzer, space.model, space.dimensions)))
    return found[0][0] if found else None


async def _made(transaction: Transaction, space: Space) -> int:
    [[[number]]] = await transaction.ask(_insert(space, active=False))
    return int(number)


def _insert(space: Space, *, active: bool) -> Statement:
    return Statement(_INSERT, (space.analyzer, space.model, space.dimensions, active))
