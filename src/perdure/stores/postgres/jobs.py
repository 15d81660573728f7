"""What is still to be done: brought by the batch that makes it, taken away by the batch that it leads to."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from perdure.ports import Job
from perdure.stores import rows
from perdure.stores.postgres.connection import Row, Statement, Transaction, array
from perdure.types import Partition

_JOB: Final = f"SELECT p.tenant, p.owner, {rows.prefixed(rows.JOB, 'j')} FROM jobs j JOIN partitions p ON p.id = j.partition"
_WAITING: Final = (
    "SELECT id, partition, due_at, leased_until, worker FROM jobs "
    "WHERE tenant = %s AND NOT given_up AND kind = ANY(%s::text[]) ORDER BY made_at, id"
)


def listed(
    tenant: str,
    *,
    ids: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    given_up: bool | None = None,
    limit: int | None = None,
) -> Statement:
    """A tenant's jobs, oldest first; of these ids, of these kinds, given up or not (None: all)."""
    conditions, values = ["j.tenant = %s"], [tenant]
    for column, among in (("id", ids), ("kind", kinds)):
        if among is not None:
            conditions.append(f"j.{column} = ANY(%s::text[])")
            values.append(array(among))
    if given_up is not None:
        conditions.append("j.given_up" if given_up else "NOT j.given_up")
    sql = f"{_JOB} WHERE {' AND '.join(conditions)} ORDER BY j.made_at, j.id LIMIT %s"
    return Statement(sql, (*values, limit))


def jobs(found: Iterable[Row]) -> list[Job]:
    """The jobs in what `listed` asks for."""
    return [rows.job(Partition(*row[:2]), row[2:]) for row in found]


def keep(job: Job) -> Statement:
    """Note how an attempt ended, if nobody else has the job; a row when it was noted."""
    sql = (
        "UPDATE jobs SET attempts = %s, error = %s, answer = %s, due_at = %s, given_up = %s, leased_until = 0 "
        "WHERE id = %s AND (leased_until = 0 OR worker IS NOT DISTINCT FROM %s::text) AND partition IN "
        "(SELECT id FROM partitions WHERE tenant = %s AND owner = %s) RETURNING id"
    )
    return Statement(sql, (*rows.job_state(job), job.id, job.worker, *job.partition))


async def claim(
    transaction: Transaction,
    tenant: str,
    kinds: Sequence[str],
    *,
    worker: str,
    now: int,
    until: int,
    limit: int,
) -> list[str]:
    """Lease jobs to a worker; their ids, oldest first.

    They are chosen twice. What was chosen first is locked; of a partition of which somebody else has locked a job,
    nothing is taken: that is another worker who begins there, and the jobs behind it are not to be done before it.
    """
    waiting = Statement(_WAITING, (tenant, array(kinds)))
    [found] = await transaction.ask(waiting)
    chosen = _due(found, worker=worker, now=now, limit=limit)
    if not chosen:
        return []
    lock = "SELECT id FROM jobs WHERE id = ANY(%s::text[]) ORDER BY id FOR UPDATE SKIP LOCKED"
    locked, found = await transaction.ask(Statement(lock, (array(chosen),)), waiting)
    lost = {*chosen} - {job_id for [job_id] in locked}
    passed = {row[1] for row in found if row[0] in lost}
    ours = [row for row in found if row[1] not in passed]
    taken = [job_id for job_id in _due(ours, worker=worker, now=now, limit=limit) if job_id in chosen]
    lease = "UPDATE jobs SET worker = %s, leased_until = %s WHERE id = ANY(%s::text[])"
    await transaction.ask(Statement(lease, (worker, until, array(taken))))
    return taken


def _due(waiting: Sequence[Row], *, worker: str, now: int, limit: int) -> list[str]:
    """The ids of those that may be taken: of each partition what stands before the first that is not due."""
    blocked = {partition for _, partition, _, leased, holder in waiting if leased > now and holder != worker}
    taken: list[str] = []
    for job_id, partition, due_at, leased_until, _ in waiting:
        if partition in blocked or leased_until > now:
            continue
        if due_at > now:
            blocked.add(partition)
            continue
        taken.append(job_id)
        if len(taken) == limit:
            break
    return taken


def extend(tenant: str, ids: Sequence[str], *, worker: str, until: int) -> Statement:
    """Move the end of a worker's leases."""
    sql = "UPDATE jobs SET leased_until = %s WHERE tenant = %s AND id = ANY(%s::text[]) AND worker = %s AND leased_until > 0"
    return Statement(sql, (until, tenant, array(ids), worker))


async def erase(transaction: Transaction, partitions: Collection[int], erased: Collection[str]) -> int:
    """Take erased turns out of jobs, and what a model said of any: it was shown more than the job's turns.

    A job without turns is gone. The partitions are locked, so that no job comes to them meanwhile.
    """
    here = "partition = ANY(%s::bigint[])"
    _, found = await transaction.ask(
        Statement(f"UPDATE jobs SET answer = NULL, error = NULL WHERE {here}", (array(partitions),)),
        Statement(f"SELECT id, turns FROM jobs WHERE {here}", (array(partitions),)),
    )
    changes = []
    for job_id, held in found:
        turns = json.loads(held)
        left = [turn for turn in turns if turn not in erased]
        if left and len(left) < len(turns):
            changes.append(
                Statement("UPDATE jobs SET turns = %s WHERE id = %s", (rows.to_json(left), job_id))
            )
        elif len(left) < len(turns):
            changes.append(Statement("DELETE FROM jobs WHERE id = %s", (job_id,)))
    if changes:
        await transaction.ask(*changes)
    return len(changes)
