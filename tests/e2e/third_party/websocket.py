"""A WebSocket server made of the package `websockets`, driven by a test.

Prints one JSON object a line about what happens, and obeys one a line from its input:

    {"first": [text, …]}      send these to every new connection
    {"answers": [text, …]}    answer the requests for the list with these in turn, the last for ever
    {"send": text}            send this to every open connection
    {"keys": {public: secret, …}}   say `prod` to who signs with one of these, `demo` to all others; null: say nothing
    {"refuse": [status, {header: value, …}, body]}   refuse every handshake like this; null: none
    {"cut": true}             break every connection without a word
    {"close": true}           close every connection politely
    {"deaf": true}            read nothing any more: connections are half-open from now on
"""

import asyncio
import hashlib
import hmac
import http
import json
import sys
import time
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

state = {"first": [], "answers": [], "keys": None, "refuse": None}
connections = set()


def tell(**what):
    print(json.dumps(what), flush=True)


def process_request(connection, request):
    tell(handshake=request.path, headers=dict(request.headers.raw_items()))
    if state["refuse"] is not None:
        status, headers, body = state["refuse"]
        body = body.encode()
        headers = Headers({**headers, "Content-Length": str(len(body))})
        return Response(status, http.HTTPStatus(status).phrase, headers, body)
    return None


def is_signed(path):
    query = parse_qs(urlsplit(path).query, strict_parsing=True)
    if sorted(query) != ["X-NtApi-PublicKey", "X-NtApi-Sig", "X-NtApi-Timestamp"]:
        return False
    key, signature, timestamp = (query[name][0] for name in sorted(query))
    if key not in state["keys"] or abs(time.time() - int(timestamp)) > 30:
        return False
    expected = hmac.new(state["keys"][key].encode(), timestamp.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature, expected)


async def handle(connection):
    connections.add(connection)
    try:
        if state["keys"] is not None:
            mode = "prod" if is_signed(connection.request.path) else "demo"
            await connection.send(json.dumps(["userData", {"mode": mode}, "wstm="]))
        for text in state["first"]:
            await connection.send(text)
        async for text in connection:
            tell(got=text)
            if json.loads(text)[0] == "sessions" and state["answers"]:
                answers = state["answers"]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if answer is not None:
                    await connection.send(answer)
    except ConnectionClosed:
        pass
    finally:
        connections.discard(connection)
        tell(gone=True)


async def obey(command):
    for key in ("first", "answers", "keys", "refuse"):
        if key in command:
            state[key] = command[key]
    if "send" in command:
        for connection in list(connections):
            await connection.send(command["send"])
    for connection in list(connections):
        if "cut" in command:
            connection.transport.abort()
        if "close" in command:
            await connection.close()
        if "deaf" in command:
            connection.transport.pause_reading()


async def main():
    loop = asyncio.get_running_loop()
    async with serve(
        handle, "127.0.0.1", 0, process_request=process_request, max_size=None, ping_interval=None
    ) as server:
        tell(port=next(iter(server.sockets)).getsockname()[1])
        # Ends with the test, which holds the other end.
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await obey(json.loads(line))
            tell(obeyed=True)


asyncio.run(main())
