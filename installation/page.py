"""The live page's end in the show's process: offers frames, never waits for whoever looks at them.

Knows no HTTP, which lives in a process of its own (`page_server`), and no GPU. The two share a
frame in memory, the listening socket and a pipe; the pipe's end tells the other process that this
one is gone, however it went.
"""

import errno
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from installation.shared_frame import Shape, SharedFrame, new_memory

PORT = 8600
PORTS_TRIED = 21  # the wanted one and twenty above it
RESTARTS = 5  # of a page that dies; the show is not the place to repair it
RESTART_AFTER_S = 2.0
CLOSE_WITHIN_S = 0.4
STATUS_BYTES = 4096  # one write of at most PIPE_BUF bytes is never half done

log = logging.getLogger(__name__)


class PageUnavailable(RuntimeError):
    """The live page cannot be served here; the message says why and what to do."""


class LivePage:
    """A page that shows the show: picture, scene, frame rates, at `address`.

    `offer` and `status` belong to one thread and never block it: a frame is copied (0.8 MB at 512
    pixels, 0.1 ms) only when somebody looks and the last one was sent, else it is dropped.
    """

    def __init__(
        self,
        port: int = PORT,
        host: str = "127.0.0.1",
        size: tuple[int, int] = (512, 512),
    ) -> None:
        """Listen at `port`, or at the first free one of the twenty above it; 0 takes any.

        `size` is the width and height of the frames in pixels. Raises PageUnavailable.
        """
        self._shape = Shape(*size)
        self._socket = _listen(host, port)
        self._host = host
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._socket.getsockname()[1]}/"
        self._memory = new_memory(self._shape)
        self._frame = SharedFrame(self._memory, self._shape)
        self._lock = threading.Lock()  # around the pipe, which a restart replaces
        self._closing = threading.Event()
        self._said_too_long = False
        self._child = self._start()
        threading.Thread(target=self._look_after, name="live page", daemon=True).start()

    @property
    def wanted(self) -> bool:
        """Whether a frame offered now would be taken; if not, it need not be read back at all."""
        return not self._closing.is_set() and self._frame.wanted()

    def offer(self, frame: npt.NDArray[np.uint8]) -> None:
        """Hand over a frame, uint8 [H, W, 3], top row first, if somebody looks; else drop it."""
        expected = (self._shape.height, self._shape.width, 3)
        assert frame.shape == expected, f"frame {frame.shape}, but the page was made for {expected}"
        if self.wanted:
            self._frame.write(frame)
            self._send(b"\n")

    def status(self, facts: Mapping[str, object]) -> None:
        """Say what the page shows beside the picture, and what `/status` answers.

        Shown: title, scene, generated_hz, displayed_hz, last_error, and state or what brightness
        and held say of it. Past 4096 bytes of JSON in all, the page keeps the last status.
        """
        line = json.dumps(facts, default=str, separators=(",", ":")).encode() + b"\n"
        if len(line) <= STATUS_BYTES:
            self._send(line)
        elif not self._said_too_long:
            self._said_too_long = True
            log.error("the live page's status has %d bytes, at most %d", len(line), STATUS_BYTES)

    def close(self) -> None:
        """End the page's process, within half a second; a second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._lock:
            child = self._child
            if child.stdin:
                child.stdin.close()
        try:
            child.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._socket.close()
        self._frame.close()
        os.close(self._memory)

    def _start(self) -> "subprocess.Popen[bytes]":
        socket_fd = self._socket.fileno()
        width, height = self._shape.width, self._shape.height
        command = [sys.executable, "-P", "-m", "installation.page_server"]
        command += [str(argument) for argument in (socket_fd, self._memory, width, height)]
        sources = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (sources, os.environ.get("PYTHONPATH"))))
        child = subprocess.Popen(
            [*command, self._host],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(socket_fd, self._memory),
            env={**os.environ, "PYTHONPATH": path},
            bufsize=0,
            start_new_session=True,  # Ctrl-C in the terminal is for the show, which tells us
        )
        assert child.stdin is not None
        os.set_blocking(child.stdin.fileno(), False)
        return child

    def _send(self, line: bytes) -> None:
        with self._lock:
            pipe = self._child.stdin
            if pipe is None or pipe.closed:
                return
            try:
                os.write(pipe.fileno(), line)
            except (BlockingIOError, BrokenPipeError):
                return  # the page is behind, or has died; neither is the show's concern

    def _look_after(self) -> None:
        for left in reversed(range(RESTARTS + 1)):
            code = self._child.wait()
            if self._closing.is_set():
                return
            log.error("the live page ended (exit code %d); %d more starts", code, left)
            if left == 0 or self._closing.wait(RESTART_AFTER_S):
                break
            self._restart()
        self._give_up()

    def _restart(self) -> None:
        with self._lock:
            if not self._closing.is_set():
                self._drop_pipe()
                self._child = self._start()

    def _give_up(self) -> None:
        """Stop listening, so that visitors are refused at once and do not hang."""
        with self._lock:
            if not self._closing.is_set():
                self._drop_pipe()
                self._socket.shutdown(socket.SHUT_RDWR)

    def _drop_pipe(self) -> None:
        if self._child.stdin:
            self._child.stdin.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = [port + more for more in range(PORTS_TRIED)] if port else [0]
    for number in ports:
        try:
            return socket.create_server((host, number), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PageUnavailable(
                    f"live page: cannot listen at {host} port {number} ({error.strerror}); "
                    f"choose an address of this machine and a port above 1023"
                ) from error
    raise PageUnavailable(
        f"live page: the ports {ports[0]} to {ports[-1]} of {host} are all taken; "
        f"end what uses them or choose another port"
    )
