"""A socket.io 2.x server made of the package `python-socketio` 4, driven by a test.

Prints one JSON object a line about what happens, and obeys one a line from its input:

    {"current": [args, …]}    answer `sup_subscribe` with these arguments in turn, the last for ever
    {"older": [args, …]}      the same for `notifySessions`
    {"emit": [event, …]}      send this event to everybody
    {"refuse": text}          refuse every connection in socket.io's own way; null: none
    {"disconnect": true}      end every connection in socket.io's own way
"""

import asyncio
import json
import sys

import socketio
from aiohttp import web

_wait = asyncio.wait


async def wait(awaitables, **options):
    return await _wait([asyncio.ensure_future(each) for each in awaitables], **options)


# The package hands over coroutines, which Python takes no more since 3.11.
asyncio.wait = wait

# A short heartbeat: a client that says nothing for two seconds is gone.
server = socketio.AsyncServer(async_mode="aiohttp", ping_interval=1, ping_timeout=2)
state = {"current": [], "older": [], "refuse": None}
present = set()


def tell(**what):
    print(json.dumps(what), flush=True)


async def answer(sid, kind, event):
    answers = state[kind]
    if answers:
        arguments = answers.pop(0) if len(answers) > 1 else answers[0]
        if arguments is not None:
            await server.emit(event, tuple(arguments), room=sid)


@server.event
async def connect(sid, environ):
    headers = {key: value for key, value in environ.items() if key.startswith("HTTP_")}
    tell(handshake=environ["RAW_URI"], headers=headers)
    if state["refuse"] is not None:
        raise socketio.exceptions.ConnectionRefusedError(state["refuse"])
    present.add(sid)


@server.event
async def disconnect(sid):
    present.discard(sid)
    tell(gone=True)


@server.event
async def sup_subscribe(sid, *arguments):
    tell(got=["sup_subscribe", *arguments])
    await answer(sid, "current", "sup_iitr_notify_sessions_json")


@server.event
async def notifySessions(sid, *arguments):
    tell(got=["notifySessions", *arguments])
    await answer(sid, "older", "sessions")


async def obey(command):
    for key in ("current", "older", "refuse"):
        if key in command:
            state[key] = command[key]
    if "emit" in command:
        event, *arguments = command["emit"]
        await server.emit(event, tuple(arguments))
    if "disconnect" in command:
        for sid in list(present):
            await server.disconnect(sid)


async def main():
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    tell(port=runner.addresses[0][1])
    loop = asyncio.get_running_loop()
    # Ends with the test, which holds the other end.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await obey(json.loads(line))
        tell(obeyed=True)


asyncio.run(main())
