"""The live page's own process: serves the picture to browsers, away from the show's global lock.

Started by `page` only, with a listening socket, a shared frame and a pipe on stdin. Knows no show,
no torch and no OpenGL; has nothing to lose, so it ends at once when its pipe does.
"""

import argparse
import asyncio
import io
import ipaddress
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image

from installation.shared_frame import Shape, SharedFrame

FPS = 20  # of the page; the wall has its own rate
QUALITY = 90
MAX_WATCHERS = 8
MAX_CONNECTIONS = 48
FRAME_WITHIN_S = 5.0
STALE_AFTER_S = 10.0  # without a word from the show it is not well

_FILES = Path(__file__).parent / "live_page"
_PART = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n--frame\r\n"
_ONLY_FROM_HERE = b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
_HEADERS = (
    (b"content-security-policy", _ONLY_FROM_HERE),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Feed:
    """The newest picture and status, and who waits for them."""

    def __init__(self, frame: SharedFrame) -> None:
        """Take pictures from `frame`, but only while somebody looks."""
        self.status: dict[str, object] = {}
        self.status_at_s: float | None = None
        self.watchers = 0  # streams that are open
        self._waiting = 0
        self._frame = frame
        self._watched = asyncio.Event()
        self._arrived = asyncio.Event()
        self._next: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(self, pipe: asyncio.StreamReader) -> None:
        """Take the show's lines until it ends: a status, or an empty one for "a frame is there"."""
        while line := await pipe.readline():
            if line == b"\n":
                self._arrived.set()
            elif line.endswith(b"\n"):
                self.status = json.loads(line)
                self.status_at_s = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Ask for frames, encode them and hand them out, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._watched.wait()
            due_s = loop.time() + 1 / FPS
            self._arrived.clear()
            self._frame.ask()
            if await self._is_answered():
                picture = await asyncio.to_thread(encode, self._frame.pixels(), self._frame.shape)
                waited_for, self._next = self._next, loop.create_future()
                waited_for.set_result(picture)
            await asyncio.sleep(due_s - loop.time())

    async def picture(self) -> bytes:
        """The next picture, as JPEG."""
        self._waiting += 1
        self._watched.set()
        try:
            return await asyncio.shield(self._next)
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._watched.clear()

    async def parts(self) -> AsyncIterator[bytes]:
        """An endless multipart stream; a watcher that is slow gets fewer pictures, not old ones.

        A boundary ends each part, because browsers draw a picture when they see the next boundary.
        """
        self.watchers += 1
        try:
            yield b"--frame\r\n"
            while True:
                picture = await self.picture()
                yield _PART % (len(picture), picture)
        finally:
            self.watchers -= 1

    async def _is_answered(self) -> bool:
        try:
            await asyncio.wait_for(self._arrived.wait(), 1.0)
        except TimeoutError:  # nothing was drawn, or the word of it was lost
            return not self._frame.wanted()
        return True


def encode(pixels: bytes, shape: Shape) -> bytes:
    """Pixels as JPEG, with full colour resolution: red outlines stay sharp."""
    image = Image.frombuffer("RGB", (shape.width, shape.height), pixels)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


class Doorman:
    """Answers only to addresses of this machine, and tells browsers to be careful.

    A page on the internet can point its own name at 127.0.0.1 and read what answers there (DNS
    rebinding); such a request carries that name as Host. Numbers and our own name are safe.
    """

    def __init__(self, app: Any, name: str) -> None:  # noqa: ANN401  any ASGI application
        """Guard `app`, which may also be called by `name`."""
        self._app = app
        self._names = {"localhost", name.lower()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        host = dict(scope.get("headers", ())).get(b"host", b"").decode("latin-1")
        if self.knows(host):
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "http":
            said = (
                f"This page is for this machine; it does not answer to the name {host[:200]!r}.\n"
            )
            await Response(said, 421, media_type="text/plain")(scope, receive, send_guarded)

    def knows(self, host: str) -> bool:
        """Whether a Host header (with or without port) names this machine and nothing else."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


class Answers:
    """What the page's addresses answer."""

    def __init__(self, feed: Feed) -> None:
        """Answer from what `feed` has."""
        self._feed = feed

    async def stream(self) -> StreamingResponse:
        """The picture as it changes, for an <img>."""
        self._refuse_a_crowd()
        parts = self._feed.parts()
        return StreamingResponse(parts, media_type="multipart/x-mixed-replace; boundary=frame")

    async def frame(self) -> Response:
        """The picture as it is, once."""
        self._refuse_a_crowd()
        try:
            picture = await asyncio.wait_for(self._feed.picture(), FRAME_WITHIN_S)
        except TimeoutError as error:
            said = f"the show has drawn nothing for {FRAME_WITHIN_S:g} seconds"
            raise HTTPException(503, said) from error
        return Response(picture, media_type="image/jpeg")

    async def status(self) -> JSONResponse:
        """What the show last said about itself."""
        return JSONResponse({**self._feed.status, "watchers": self._feed.watchers})

    async def healthz(self) -> JSONResponse:
        """200 while the show speaks, 503 when it has been silent for `STALE_AFTER_S`."""
        at_s = self._feed.status_at_s
        silent_s = None if at_s is None else asyncio.get_running_loop().time() - at_s
        is_well = silent_s is not None and silent_s < STALE_AFTER_S
        return JSONResponse({"ok": is_well, "silent_s": silent_s}, 200 if is_well else 503)

    def _refuse_a_crowd(self) -> None:
        if self._feed.watchers >= MAX_WATCHERS:
            raise HTTPException(503, f"{MAX_WATCHERS} watch already; try again later")


def make_app(feed: Feed) -> FastAPI:
    """The page, its two files, the picture as stream and as one, the status, the health."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    answers = Answers(feed)
    app.add_api_route("/stream.mjpeg", answers.stream, response_model=None)
    app.add_api_route("/frame.jpg", answers.frame, response_model=None)
    app.add_api_route("/status", answers.status, response_model=None)
    app.add_api_route("/healthz", answers.healthz, response_model=None)
    app.mount("/", StaticFiles(directory=_FILES, html=True))
    return app


async def serve(listening: socket.socket, frame: SharedFrame, name: str) -> int:
    """Serve until the pipe on stdin ends (0) or the server fails (1)."""
    loop = asyncio.get_running_loop()
    pipe = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin)
    feed = Feed(frame)
    config = uvicorn.Config(
        Doorman(make_app(feed), name),
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
    ended = asyncio.create_task(feed.listen(pipe))
    others = [
        asyncio.create_task(uvicorn.Server(config).serve(sockets=[listening])),
        asyncio.create_task(feed.run()),
    ]
    await asyncio.wait([ended, *others], return_when=asyncio.FIRST_COMPLETED)
    return 0 if ended.done() and not ended.exception() else 1


def main() -> None:
    """Read the arguments that `page.LivePage` gives and serve."""
    parser = argparse.ArgumentParser(description="Part of Wanderer; started by the show itself.")
    for argument in ("socket", "memory", "width", "height"):
        parser.add_argument(argument, type=int)
    parser.add_argument("name")
    given = parser.parse_args()
    frame = SharedFrame(given.memory, Shape(given.width, given.height))
    code = asyncio.run(_serve_and_leave(given.socket, frame, given.name))
    sys.exit(code)


async def _serve_and_leave(descriptor: int, frame: SharedFrame, name: str) -> int:
    code = await serve(socket.socket(fileno=descriptor), frame, name)
    os._exit(code)  # nothing to save, and open streams must not hold up the end of the show


if __name__ == "__main__":
    main()
