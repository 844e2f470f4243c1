"""A package index of one project over TLS, in place of PyPI.

Usage: index.py CERTIFICATE KEY DIRECTORY
"""

import functools
import http.server
import ssl
import sys


def main() -> None:
    """Serve a directory until the process is killed."""
    certificate, key, directory = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    server = http.server.ThreadingHTTPServer(("", 443), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
