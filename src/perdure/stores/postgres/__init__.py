"""The truth in PostgreSQL, for many processes on many machines."""

from perdure.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
