"""A mail server on the loopback interface that keeps what it is sent."""

from __future__ import annotations

import email
import socketserver
import threading
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self


class MailServer(socketserver.ThreadingTCPServer):
    """As much of an SMTP server as takes a mail."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailSession)
        self.mails: list[EmailMessage] = []
        self._thread = threading.Thread(target=self.serve_forever)

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of an Airflow connection to this server."""
        return {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": self.server_address[1],
            "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@contoso.example"},
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self._thread.join(10)
        self.server_close()


class MailSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                content = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.mails.append(email.message_from_bytes(content, policy=default))
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 well\r\n")
