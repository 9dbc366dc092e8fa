"""The live page as a browser and a careless neighbour meet it, against its real process."""

import io
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from installation.page import STATUS_BYTES, LivePage, PageUnavailable

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 20.0
SIZE = (48, 32)
pytestmark = pytest.mark.timeout(60)


def picture_of(red: int) -> np.ndarray:
    frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    frame[:16, :, 0], frame[16:, :, 2] = red, 255
    return frame


def ends(pid: int) -> bool:
    """Whether a process ends within our patience."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    readable, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    os.close(descriptor)
    return bool(readable)


def offer_while(page: LivePage, asking: "subprocess.Popen[bytes]") -> bytes:
    """Offer frames until a client process has its answer."""
    red = 0
    with asking:
        while asking.poll() is None:
            red = (red + 1) % 256
            page.offer(picture_of(red))
            select.select([], [], [], 0.002)
        return asking.stdout.read()


def client(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


@pytest.fixture(scope="module")
def page() -> Iterator[LivePage]:
    made = LivePage(port=0, size=SIZE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(page) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.address, timeout=PATIENCE_S, trust_env=False) as made:
        yield made


def test_the_page_and_its_files_are_served(browser):
    assert "text/html" in browser.get("/").headers["content-type"]
    assert 'src="/stream.mjpeg"' in browser.get("/").text
    assert browser.get("/page.css").status_code == browser.get("/page.js").status_code == 200


def test_the_page_loads_nothing_from_elsewhere(browser):
    for path in ("/", "/page.css", "/page.js"):
        assert "//" not in browser.get(path).text.replace("// ", "")


def test_browsers_are_told_to_be_careful(browser):
    headers = browser.get("/").headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers and "server" not in headers


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/../page.py", "/nothing"])
def test_nothing_else_is_served(browser, path):
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", ""]
)
@pytest.mark.parametrize("path", ["/", "/status", "/stream.mjpeg"])
def test_a_request_under_a_foreign_name_is_refused(browser, host, path):
    answer = browser.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert f"does not answer to the name {host!r}" in answer.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8600", "LOCALHOST:1", "localhost", "[::1]:8600", "[::1]"]
)
def test_this_machine_may_be_called_by_number_or_localhost(browser, host):
    assert browser.get("/", headers={"Host": host}).status_code == 200


def test_status_repeats_what_the_show_said_last(page, browser):
    page.status({"scene": "figures", "generated_hz": 31.5})
    answer = browser.get("/status").json()
    while answer.get("scene") != "figures":
        answer = browser.get("/status").json()
    assert answer == {"scene": "figures", "generated_hz": 31.5, "watchers": 0}


def test_a_status_too_long_to_send_keeps_the_last_one(page, browser, caplog):
    page.status({"scene": "short"})
    page.status({"scene": "long" * STATUS_BYTES})
    page.status({"scene": "long" * STATUS_BYTES})
    while browser.get("/status").json().get("scene") != "short":
        pass
    assert len(caplog.records) == 1 and "at most 4096" in caplog.text


def test_health_is_good_while_the_show_speaks(page, browser):
    page.status({"scene": "figures"})
    while browser.get("/healthz").status_code != 200:
        pass
    assert browser.get("/healthz").json()["ok"] is True


def test_a_page_that_heard_nothing_says_it_is_not_well():
    silent = LivePage(port=0, size=SIZE)
    try:
        answer = httpx.get(f"{silent.address}healthz", timeout=PATIENCE_S, trust_env=False)
        assert (answer.status_code, answer.json()["ok"]) == (503, False)
    finally:
        silent.close()


def test_a_frame_nobody_asked_for_is_dropped(page):
    assert not page.wanted
    page.offer(picture_of(1))


def test_one_picture_shows_the_frame_the_right_way_up(page):
    code = f"""
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen('{page.address}frame.jpg').read())
"""
    image = Image.open(io.BytesIO(offer_while(page, client(code))))
    assert image.size == SIZE
    top, bottom = image.getpixel((24, 4)), image.getpixel((24, 28))
    assert top[2] < 60 and bottom[0] < 60 and bottom[2] > 200


def test_the_stream_brings_one_new_picture_after_another(page):
    code = f"""
import sys, urllib.request
stream = urllib.request.urlopen('{page.address}stream.mjpeg')
assert stream.headers['content-type'] == 'multipart/x-mixed-replace; boundary=frame'
for _ in range(4):
    assert stream.readline() == b'--frame\\r\\n'
    assert stream.readline() == b'Content-Type: image/jpeg\\r\\n'
    length = int(stream.readline().split()[1])
    assert stream.readline() == b'\\r\\n'
    picture = stream.read(length)
    assert picture[:2] == b'\\xff\\xd8' and picture[-2:] == b'\\xff\\xd9'
    assert stream.readline() == b'\\r\\n'
    sys.stdout.buffer.write(b'%d ' % hash(picture))
"""
    seen = offer_while(page, client(code)).split()
    assert len(seen) == 4 and len(set(seen)) == 4


def test_a_frame_of_another_size_is_the_programmers_mistake(page):
    with pytest.raises(AssertionError, match="the page was made for"):
        page.offer(np.zeros((8, 8, 3), np.uint8))


def test_a_taken_port_moves_the_page_to_the_next_free_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        moved = LivePage(port=port, size=SIZE)
        try:
            found = int(moved.address.rstrip("/").rpartition(":")[2])
            assert port < found <= port + 20
        finally:
            moved.close()


def test_an_address_that_is_not_ours_is_refused_in_words():
    with pytest.raises(
        PageUnavailable, match=r"live page: cannot listen at 192\.0\.2\.1 port 8600"
    ):
        LivePage(host="192.0.2.1")


def test_closing_does_not_wait_for_open_pages_and_may_be_repeated():
    page = LivePage(port=0, size=SIZE)
    httpx.get(page.address, timeout=PATIENCE_S, trust_env=False)
    page.close()
    page.close()
    assert not page.wanted
    assert ends(page._child.pid)


def test_a_page_that_is_killed_comes_back_at_the_same_address(page, caplog, monkeypatch):
    monkeypatch.setattr("installation.page.RESTART_AFTER_S", 0.05)
    killed = page._child
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(PATIENCE_S)
    answer = httpx.get(page.address, timeout=PATIENCE_S, trust_env=False)  # waits in the backlog
    assert answer.status_code == 200
    assert page._child.pid != killed.pid
    assert "the live page ended (exit code -9); 5 more starts" in caplog.text


def test_the_page_ends_when_the_show_is_killed():
    code = (
        "from installation.page import LivePage; import time;"
        "page = LivePage(port=0); print(page._child.pid, page.address, flush=True); time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as show:
        assert show.stdout is not None
        pid, address = show.stdout.readline().split()
        assert httpx.get(address.decode(), timeout=PATIENCE_S, trust_env=False).status_code == 200
        show.kill()
    assert ends(int(pid))


def test_ctrl_c_in_the_terminal_makes_the_page_print_nothing():
    code = (
        "from installation.page import LivePage; import httpx, signal;"
        "page = LivePage(port=0); httpx.get(page.address, timeout=20, trust_env=False);"
        "\ntry: print('up', flush=True); signal.pause()\n"
        "except KeyboardInterrupt: page.close()"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    show = subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True, **pipes)
    assert show.stdout.readline() == b"up\n"
    os.killpg(show.pid, signal.SIGINT)
    rest, errors = show.communicate(timeout=PATIENCE_S)
    assert (show.returncode, rest, errors) == (0, b"", b"")
