"""JSON over HTTP for all providers that speak it: one client with time-outs, retries and a short rest."""

from perdure.http.client import Client
from perdure.http.options import HttpOptions
from perdure.http.parts import Part, parameter
from perdure.http.provider import HttpProvider
from perdure.http.replies import DECLINED, Refused, Reply

__all__ = ["DECLINED", "Client", "HttpOptions", "HttpProvider", "Part", "Refused", "Reply", "parameter"]
