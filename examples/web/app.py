"""A web service that runs scripts which anybody may post, and returns what they send: `uvicorn app:app`.

    $ curl --data-binary 'for i = 1, 3 do worker.message(i * i) end' http://127.0.0.1:8000/run
    {"kind":"returned","messages":[1,4,9],"output":"","error":null}

A script has no rights and little time. As many run at a time as there are processors; some wait, and when there are too
many, clients are told to come back. One whose client has gone is ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import luspool

SOURCE_MOST = 64 << 10
"""Bytes of a script."""
WAITING_MOST = 256
"""Scripts that run or wait at a time."""
LIMITS = luspool.Limits(
    luspool.StateLimits(memory=16 << 20, cpu=200_000_000, source=SOURCE_MOST),
    # Of what it prints and sends. In Python a message may take some 70 times of its share of it.
    luspool.TreeLimits(memory=16 << 20, time=2_000_000_000, output=256 << 10),
)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with luspool.AsyncRuntime() as runtime:
        app.state.runtime, app.state.waiting = runtime, 0
        yield


async def run(request: Request) -> Response:
    state = request.app.state
    if state.waiting >= WAITING_MOST:
        return _refusal(503, "too many scripts wait; try again", {"Retry-After": "1"})
    state.waiting += 1
    try:
        source = await _body(request)
        if source is None:
            return _refusal(413, f"a script has at most {SOURCE_MOST} bytes")
        async with state.runtime.submit("posted.lus", source=source, limits=LIMITS) as job:
            return await _unless_gone(request, _answer(job))
    finally:
        state.waiting -= 1


async def _answer(job: luspool.AsyncJob) -> Response:
    """What has become of it, and its messages: those, too, that it has sent before an error."""
    messages = []
    try:
        async for message in job:
            messages.append(message)
        result, status = await job.result(), 200
    except luspool.JobError as error:
        result, status = error.result, 500 if isinstance(error, luspool.CrashedError) else 422
    answer = {
        "kind": result.kind,
        "messages": messages,
        "output": result.stdout.decode("utf-8", "replace"),
        "error": result.failure,
    }
    try:
        # Not all that Lus can send has a form in JSON: bytes that are no text, NaN, a table that contains itself.
        json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return _refusal(422, f"a message that JSON cannot hold: {error}")
    return JSONResponse(answer, status)


async def _body(request: Request) -> bytes | None:
    """None: it is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > SOURCE_MOST:
            return None
    return body


async def _unless_gone(request: Request, answer: Any) -> Response:  # noqa: ANN401  a coroutine
    """The answer, or nothing at all if the client goes away before: then nobody waits for the script any more."""
    answering, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else Response(status_code=499)
    finally:
        answering.cancel()
        gone.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refusal(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    answer = {"kind": "refused", "messages": [], "output": "", "error": error}
    return JSONResponse(answer, status, headers)


app = Starlette(routes=[Route("/run", run, methods=["POST"])], lifespan=lifespan)
