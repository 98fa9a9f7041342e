"""A real browser, Debian's Chromium without a window, told what to do by the DevTools protocol."""
import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import http1
from support.websocket import TEXT, OverHttp1
from support.wire import PATIENCE, eventually

PROGRAM = shutil.which("chromium")
START = max(PATIENCE, 60)  # it is a large program, and the machine may be busy


class Browser:
    """One tab. What the page's console or policy complained of is in `complaints`."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="browser-"))
        self.complaints = []
        self._id = 0
        self._log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen([PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad", "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.*", "--remote-debugging-port=0",
            "--window-size=1500,1100", f"--user-data-dir={self.dir}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True, env={**os.environ, "HOME": str(self.dir)})
        port = eventually(self._port, "the browser to listen", START)
        tab = eventually(lambda: self._tab(port), "the browser's tab", START)
        self._socket = OverHttp1(http1.Client(("127.0.0.1", port)), re.sub(r"^ws://[^/]+", "", tab["webSocketDebuggerUrl"]), host="localhost")
        assert self._socket.answer.status == 101, self._socket.answer
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _port(self):
        assert self.process.poll() is None, (self.dir / "log").read_text(errors="replace")
        lines = (self.dir / "DevToolsActivePort").read_text().split() if (self.dir / "DevToolsActivePort").exists() else []
        return int(lines[0]) if len(lines) == 2 else None

    @staticmethod
    def _tab(port):
        with http1.Client(("127.0.0.1", port)) as c:
            tabs = c.get("/json/list", host="localhost").json()
        return next((t for t in tabs if t["type"] == "page"), None)

    def _take(self):
        opcode, payload = self._socket.receive()
        assert opcode == TEXT, (opcode, payload)
        message = json.loads(payload)
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.complaints.append(message["params"]["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        return message

    def _call(self, method, **params):
        self._id += 1
        self._socket.send(TEXT, json.dumps({"id": self._id, "method": method, "params": params}).encode())
        while True:
            message = self._take()
            if message.get("id") == self._id:
                assert "error" not in message, message
                return message["result"]

    def go(self, url):
        result = self._call("Page.navigate", url=url)
        assert "errorText" not in result, result

    def run(self, script):
        """The value of an expression, in the page."""
        result = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self, selector):
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText).join('\\n')") or ""

    def wait_text(self, selector, part, patience=START):
        return eventually(lambda: self.text(selector) if part in self.text(selector) else None,
                          lambda: f"{part!r} in {selector}: {self.text(selector)!r}; {self.complaints}", patience)

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def close(self):
        self.process.kill()
        self.process.wait()
        self._log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
