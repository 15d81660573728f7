"""OpenAI-compatible endpoints on loopback that answer after a fixed time, in a process of their own."""

from __future__ import annotations

import json
import multiprocessing
import time
import zlib
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
        if request.get("stream"):
            return self._stream(request)
        answer = _completion(request) if "messages" in request else _embeddings(request)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def _stream(self, request: dict[str, Any]) -> None:
        """Twenty words at once: what is measured is how soon the first one arrives."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(20):
            delta = {"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}
            chunk = {"object": "chat.completion.chunk", "model": request["model"], "choices": [delta]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

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


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    """One fact for each new turn of Perdure's prompt, each about something of its own; for any other prompt, one."""
    content = request["messages"][-1]["content"]
    try:
        lines = [json.loads(line) for line in content.split("\n")]
    except json.JSONDecodeError:
        known = f"It is known that {zlib.crc32(content.encode())} was said"
        return _said(request, {"memory": [{"id": "0", "text": known, "attributed_to": "user"}]})
    said = [line["text"] for line in lines if line["line"].startswith("T")]
    facts = [
        {
            "text": f"It is known that {text}",
            "turns": [number],
            "from": None,
            "to": None,
            "subject": "User",
            "attribute": text[:60],
            "categories": ["misc"],
            "action": "add",
            "memory": None,
        }
        for number, text in enumerate(said, 1)
    ]
    return _said(request, {"facts": facts, "relations": []})


def _said(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": json.dumps(answer)}
    return {
        "object": "chat.completion",
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def _serve(latency: float, ready: Connection) -> None:
    handler = type("Handler", (_Handler,), {"latency": latency})
    server = type("Server", (ThreadingHTTPServer,), {"daemon_threads": True, "request_queue_size": 512})
    with server(("127.0.0.1", 0), handler) as listening:
        ready.send(listening.server_address[1])
        listening.serve_forever()


@contextmanager
def fake_openai(*, latency: float = 0.0) -> Iterator[str]:
    """The base URL of a server that takes `latency` seconds to answer anything."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(latency, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}/v1"
    finally:
        process.terminate()
        process.join()
