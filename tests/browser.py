"""Chromium without a window, driven through the pipe of its DevTools protocol; needs no package beside it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Page:
    """One open page; `told` are errors, console messages and requests since it was opened."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._number, self._rest, self._session = 0, b"", ""
        self.told: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; what the browser tells in between is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.told.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, file: Path) -> None:
        """Open a file and wait until all of it is there."""
        self.told.clear()
        self.call("Page.navigate", url=file.absolute().as_uri())
        while not any(item.get("method") == "Page.loadEventFired" for item in self.told):
            self.told.append(self._read())

    def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def width(self, pixels: int, height: int = 800) -> None:
        """Look at the page through a window, or a telephone, of so many CSS pixels."""
        size = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": pixels < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, text=text)

    def pdf(self) -> bytes:
        """Print the page."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def picture(self) -> bytes:
        """A PNG of the whole page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def requests(self) -> list[str]:
        """Addresses that were asked for, but for the page's own data."""
        asked = [item for item in self.told if item.get("method") == "Network.requestWillBeSent"]
        addresses = [item["params"]["request"]["url"] for item in asked]
        return [address for address in addresses if not address.startswith("data:")]

    def complaints(self) -> list[str]:
        """Errors of scripts, console messages, and what the browser refused to load."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(item["params"]) for item in self.told if item.get("method") in kinds]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._from, 1 << 20)
            assert part, "the browser is gone"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start Chromium with an empty profile in `folder` and end it again."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    # It reads commands from descriptor 3 and writes answers to 4.
    command = f'exec "$0" "$@" 3<&{in_read} 4>&{out_write}'
    options = [
        *("--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-extensions", "--disable-background-networking", f"--user-data-dir={folder}"),
    ]
    # Debian's start script complains of versions it cannot compare.
    process = subprocess.Popen(
        ["bash", "-c", command, str(CHROMIUM), *options],
        pass_fds=(in_read, out_write),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(in_read)
    os.close(out_write)
    try:
        page = Page(in_write, out_read)
        yield page
        page._session = ""
        page.call("Browser.close")
    finally:
        os.close(in_write)
        os.close(out_read)
        process.terminate()
        process.wait(timeout=20)
