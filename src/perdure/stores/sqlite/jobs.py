"""What is still to be done: brought by the batch that makes it, taken away by the batch that it leads to."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from perdure.errors import Conflict
from perdure.ports import Job
from perdure.stores.sqlite import rows
from perdure.types import Partition


def put(connection: sqlite3.Connection, new: Sequence[Job], partition: int) -> None:
    """Store new jobs."""
    connection.executemany(
        "INSERT INTO jobs (id, partition, kind, made_at, turns, options, attempts, error, answer, due_at, given_up, "
        "worker, leased_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [rows.job_row(job, partition) for job in new],
    )


def remove(connection: sqlite3.Connection, done: Sequence[str], partition: int) -> None:
    """Take away what is done.

    Raises:
        Conflict: somebody else did it.
    """
    for job_id in done:
        if not connection.execute(
            "DELETE FROM jobs WHERE id = ? AND partition = ?", (job_id, partition)
        ).rowcount:
            raise Conflict(f"the job {job_id!r} was done by somebody else meanwhile")


def listed(
    connection: sqlite3.Connection,
    tenant: str,
    *,
    ids: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    given_up: bool | None = None,
    limit: int | None = None,
) -> list[Job]:
    """A tenant's jobs, oldest first; of these ids, of these kinds, given up or not (None: all)."""
    conditions, values = ["p.tenant = ?"], [tenant]
    for column, among in (("id", ids), ("kind", kinds)):
        if among is not None:
            conditions.append(f"j.{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(list(among)))
    if given_up is not None:
        conditions.append("j.given_up" if given_up else "NOT j.given_up")
    found = connection.execute(
        f"SELECT p.tenant, p.owner, {rows.prefixed(rows.JOB, 'j')} FROM jobs j "
        f"JOIN partitions p ON p.id = j.partition WHERE {' AND '.join(conditions)} "
        "ORDER BY j.made_at, j.id LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    return [rows.job(Partition(*names), row) for *names, row in ((r[0], r[1], r[2:]) for r in found)]


def keep(connection: sqlite3.Connection, job: Job) -> bool:
    """Note how an attempt ended, if nobody else has the job."""
    kept = connection.execute(
        "UPDATE jobs SET attempts = ?, error = ?, answer = ?, due_at = ?, given_up = ?, leased_until = 0 "
        "WHERE id = ? AND (leased_until = 0 OR worker IS ?) AND partition IN "
        "(SELECT id FROM partitions WHERE tenant = ? AND owner = ?)",
        (*rows.job_state(job), job.id, job.worker, *job.partition),
    )
    return kept.rowcount > 0


def claim(
    connection: sqlite3.Connection,
    tenant: str,
    kinds: Sequence[str],
    *,
    worker: str,
    now: int,
    until: int,
    limit: int,
) -> list[str]:
    """Lease jobs to a worker; their ids, oldest first."""
    taken: list[str] = []
    waiting = (
        "FROM jobs j JOIN partitions p ON p.id = j.partition WHERE p.tenant = ? AND NOT j.given_up "
        "AND j.kind IN (SELECT value FROM json_each(?))"
    )
    asked = (tenant, json.dumps(list(kinds)))
    blocked = {
        partition
        for [partition] in connection.execute(
            f"SELECT DISTINCT j.partition {waiting} AND j.leased_until > ? AND j.worker IS NOT ?",
            (*asked, now, worker),
        )
    }
    for job_id, partition, due_at, leased_until in connection.execute(
        f"SELECT j.id, j.partition, j.due_at, j.leased_until {waiting} ORDER BY j.made_at, j.id", asked
    ):
        if partition in blocked or leased_until > now:
            continue
        if due_at > now:
            blocked.add(partition)
            continue
        taken.append(job_id)
        if len(taken) == limit:
            break
    connection.executemany(
        "UPDATE jobs SET worker = ?, leased_until = ? WHERE id = ?", [(worker, until, i) for i in taken]
    )
    return taken


def extend(
    connection: sqlite3.Connection, tenant: str, ids: Sequence[str], *, worker: str, until: int
) -> None:
    """Move the end of a worker's leases."""
    connection.execute(
        "UPDATE jobs SET leased_until = ? WHERE id IN (SELECT value FROM json_each(?)) AND worker = ? "
        "AND leased_until > 0 AND partition IN (SELECT id FROM partitions WHERE tenant = ?)",
        (until, json.dumps(list(ids)), worker, tenant),
    )


def erase(connection: sqlite3.Connection, partition: int, erased: Sequence[str]) -> int:
    """Take erased turns out of jobs, and what a model said of any: it was shown more than the job's turns.

    A job without turns is gone.
    """
    gone, touched = set(erased), 0
    connection.execute("UPDATE jobs SET answer = NULL, error = NULL WHERE partition = ?", (partition,))
    for job_id, held in connection.execute(
        "SELECT id, turns FROM jobs WHERE partition = ?", (partition,)
    ).fetchall():
        turns = json.loads(held)
        left = [turn for turn in turns if turn not in gone]
        if len(left) == len(turns):
            continue
        touched += 1
        if left:
            connection.execute("UPDATE jobs SET turns = ? WHERE id = ?", (json.dumps(left), job_id))
        else:
            connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
    return touched
