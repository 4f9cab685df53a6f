"""A headless browser for tests: Chromium of the system, driven by its DevTools protocol over a pipe, no package.

Protocol: https://chromedevtools.github.io/devtools-protocol, ``--remote-debugging-pipe``: JSON messages, each ended
by a NUL, into file descriptor 3 of the browser and out of its 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--remote-debugging-pipe", "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio")  # fmt: skip
PATIENCE = 120.0


def program() -> str | None:
    """The browser, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page: what it logs, what it asks the network for, and what it answers."""

    def __init__(self, browser: subprocess.Popen[bytes], into: int, out: int) -> None:
        self.browser, self.into, self.out = browser, into, out
        self.number, self.rest, self.session = 0, b"", ""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask, and wait for the answer; what happens meanwhile is kept in ``events``."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.into, json.dumps(message).encode() + b"\0")
        while (found := self._next()).get("id") != self.number:
            self.events.append(found)
        assert "error" not in found, f"{method}: {found['error']}"
        return found["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.out], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser says nothing"
            data = os.read(self.out, 1 << 20)
            assert data, "the browser has gone"
            self.rest += data
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def attach(self) -> None:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def size(self, width: int, height: int) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features: str) -> None:
        """``media(print=…)`` or ``media(prefers_color_scheme="dark")``."""
        kind = features.pop("media", "")
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.send("Emulation.setEmulatedMedia", media=kind, features=named)

    def open(self, path: Path) -> float:
        """Open a file; seconds until its scripts have run."""
        started = time.monotonic()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.documentElement?.dataset.ready === '1'")
        return time.monotonic() - started

    def js(self, expression: str) -> Any:
        """Value of an expression; what it raises fails the test."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not self.js(expression):
            assert time.monotonic() < end, f"never true: {expression}; {self.complaints()}"
            time.sleep(0.05)

    def mouse(self, kind: str, x: float, y: float, *, down: bool = False, clicks: int = 0) -> None:
        more = {"button": "left" if down or clicks else "none", "buttons": int(down), "clickCount": clicks}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, down=True, clicks=1)
        for k in range(1, 6):
            place = [a + (b - a) * k / 5 for a, b in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *place, down=True)
        self.mouse("mouseReleased", *end, clicks=1)

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of the first such element, which is brought into view."""
        self.js(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        time.sleep(0.3)
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        box = self.js(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        return box[0], box[1]

    def requests(self) -> list[str]:
        """Addresses asked for, other than files and data."""
        self.js("1")
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [u for u in asked if not u.startswith(("file:", "data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console."""
        self.js("1")
        said = []
        for e in self.events:
            p = e.get("params", {})
            if e.get("method") == "Runtime.exceptionThrown":
                said.append(str(p["exceptionDetails"].get("exception", p["exceptionDetails"]).get("description", p)))
            elif e.get("method") == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                said.append(str(p["args"]))
            elif e.get("method") == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                said.append(f"{p['entry']['text']} {p['entry'].get('url', '')}")
        return said

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A screenshot, of the whole page with everything in it made."""
        if whole:
            self.js("for (const place of [...makers.keys()]) make(place)")
            time.sleep(0.5)
            height = self.js("document.documentElement.scrollHeight")
            width = self.js("innerWidth")
            self.size(width, min(height, 12000))
            time.sleep(0.3)
        found = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def page(width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A page of a browser that is ended with the block."""
    found = program()
    assert found is not None
    there, into = os.pipe()
    out, back = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        line = f'exec "$0" "$@" 3<&{there} 4>&{back}'
        words = ["bash", "-c", line, found, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        browser = subprocess.Popen(words, pass_fds=(there, back), start_new_session=True, **quiet)
        os.close(there), os.close(back)
        one = Page(browser, into, out)
        try:
            one.attach()
            one.size(width, height)
            yield one
        finally:
            os.killpg(browser.pid, 9)
            browser.wait()
            os.close(into), os.close(out)
