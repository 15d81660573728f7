"""An OpenAI-compatible embeddings endpoint on loopback that answers after a fixed time, in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

from bench.workload import vector


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet: two would wait 40 ms for a delayed acknowledgement
    latency = 0.0

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.latency)
        body = json.dumps(_embeddings(request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line per request would be measured too."""


def _embeddings(request: dict[str, Any]) -> dict[str, Any]:
    inputs = [request["input"]] if isinstance(request["input"], str) else request["input"]
    data = [
        {"object": "embedding", "index": i, "embedding": vector(text).tolist()}
        for i, text in enumerate(inputs)
    ]
    return {
        "object": "list",
        "model": request["model"],
        "data": data,
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


def _serve(latency: float, ready: Connection) -> None:
    handler = type("Handler", (_Handler,), {"latency": latency})
    server = type("Server", (ThreadingHTTPServer,), {"daemon_threads": True, "request_queue_size": 512})
    with server(("127.0.0.1", 0), handler) as listening:
        ready.send(listening.server_address[1])
        listening.serve_forever()


@contextmanager
def fake_openai(*, latency: float = 0.0) -> Iterator[str]:
    """The base URL of a server that takes `latency` seconds to embed anything."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(latency, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}/v1"
    finally:
        process.terminate()
        process.join()
