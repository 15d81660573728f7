"""JSON over HTTP for all providers that speak it: one client with time-outs, retries and a short rest."""

from perdure.http.batches import Batching
from perdure.http.client import Client
from perdure.http.options import HttpOptions
from perdure.http.parts import Part, dig, parameter
from perdure.http.provider import HttpProvider
from perdure.http.replies import DECLINED, ITEMS, Refused, Reply

__all__ = [
    "DECLINED",
    "ITEMS",
    "Batching",
    "Client",
    "HttpOptions",
    "HttpProvider",
    "Part",
    "Refused",
    "Reply",
    "dig",
    "parameter",
]
