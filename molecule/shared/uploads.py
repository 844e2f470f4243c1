"""The form that clients upload files with."""

import hashlib

BOUNDARY = "5f3c8d0e"
TYPE = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def form(filename: str, content: bytes, **fields: str) -> bytes:
    """Encode an upload as twine does; `fields` overrides form fields or adds more."""
    fields = {":action": "file_upload", "sha256_digest": hashlib.sha256(content).hexdigest()} | fields
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    header = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{filename}"\r\n\r\n'
    return b"".join([*parts, header.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])
