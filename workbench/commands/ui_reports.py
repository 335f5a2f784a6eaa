"""The reports of a store as pages on this machine, beside MLflow and TensorBoard, for links from their runs."""

from __future__ import annotations

import mimetypes
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from workbench.security.foreign_files import read_inside

PAGE = "report.html"


class Handler(BaseHTTPRequestHandler):
    """Answers with files of the folder of reports, and with nothing that a link leads to."""

    folder: Path

    def do_GET(self) -> None:
        inner = unquote(urlsplit(self.path).path).strip("/")
        study, _, name = inner.partition("/")
        try:
            content = read_inside(self.folder, f"{study}/{name or PAGE}")
        except OSError:
            words = (
                f"No report yet. `workbench report {study or 'STUDY'}` writes it; then load this page again."
            )
            self._answer(404, "text/plain; charset=utf-8", words.encode())
            return
        kind = mimetypes.guess_type(name or PAGE)[0] or "text/plain"
        self._answer(200, kind + ("; charset=utf-8" if kind.startswith("text/") else ""), content)

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


def serve(folder: Path, port: int) -> ThreadingHTTPServer:
    """Serve the reports in `folder` on 127.0.0.1, in a thread, until `shutdown`."""
    handler = type("Reports", (Handler,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, name="workbench-reports", daemon=True).start()
    return server
