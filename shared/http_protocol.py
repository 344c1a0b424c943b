"""Speaks HTTP/1.1 as uvicorn does, with the bounds that its fast parser lacks: no head and no message without end."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT_BYTES: Final = 64 * 1024
# Far beyond every body that is taken, with the frames of small chunks around it.
MESSAGE_LIMIT_BYTES: Final = 16 * 1024 * 1024


class HeadTooLarge(ValueError):
    """More of header lines, trailers included, than a request may have; uvicorn answers 400."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. A head over its limit is answered 400; whoever goes on sending after the answer is cut off."""

    _message_bytes = 0
    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._message_bytes > HEAD_LIMIT_BYTES:
            self.send_400_response("The head of the request is too large.")
        elif self._message_bytes > MESSAGE_LIMIT_BYTES:
            self.transport.close()
        else:
            self._message_bytes += len(data)
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._message_bytes = self._head_bytes = 0
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            raise HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
