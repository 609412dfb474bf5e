"""TLS towards broker and cloud: certificates are checked, host names too, and a failed handshake leaves nothing open.

Called by the link and the doctor.
"""

import ssl
from pathlib import Path


class ClosingSocket(ssl.SSLSocket):
    """paho forgets a socket whose handshake fails; this one closes itself."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """For connections outward; ``ca_file`` holds the certificates to trust instead of the system's.

    Raises OSError where the file cannot be read or holds none.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = ClosingSocket
    return context
