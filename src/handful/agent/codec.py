"""How are lines written down: as JSON, and packed in frames that can be unpacked one by one?"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import orjson

    dumps: Callable[[Any], bytes] = orjson.dumps
except ImportError:

    def dumps(value: object) -> bytes:
        """As orjson: no spaces, UTF-8 as it is."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


class Codec(Protocol):
    """Packs bytes into a frame that stands alone; `ending` is what such files are called."""

    ending: str

    def pack(self, data: bytes) -> bytes:
        """Return a frame."""
        ...

    def unpack(self, frame: bytes) -> bytes:
        """Return what was packed. Raises ValueError for what is no frame."""
        ...


class Gzip:
    """Of the standard library: four times the work of zstd, for the same size."""

    ending = "gz"

    def pack(self, data: bytes) -> bytes:
        """See Codec."""
        return gzip.compress(data, 6, mtime=0)

    def unpack(self, frame: bytes) -> bytes:
        """See Codec."""
        try:
            return gzip.decompress(frame)
        except (OSError, EOFError, zlib.error) as damaged:
            raise ValueError(str(damaged)) from damaged


class Zstd:
    """By the library zstandard. One compressor for all: each that is open takes a megabyte."""

    ending = "zst"

    def __init__(self) -> None:
        """Raises ImportError where the library is missing."""
        import zstandard

        self._compressor, self._decompressor = zstandard.ZstdCompressor(level=3), zstandard.ZstdDecompressor()
        self._error = zstandard.ZstdError

    def pack(self, data: bytes) -> bytes:
        """See Codec."""
        packed: bytes = self._compressor.compress(data)
        return packed

    def unpack(self, frame: bytes) -> bytes:
        """See Codec."""
        try:
            whole: bytes = self._decompressor.decompress(frame)
        except self._error as damaged:
            raise ValueError(str(damaged)) from damaged
        return whole


def best() -> Codec:
    """Return the best that can be had here."""
    try:
        return Zstd()
    except ImportError:
        return Gzip()


def codec_of(ending: str) -> Codec:
    """Return what unpacks files of that ending. Raises ImportError, ValueError for one that nobody knows."""
    if ending == Gzip.ending:
        return Gzip()
    if ending == Zstd.ending:
        return Zstd()
    raise ValueError(f"no codec writes .{ending}")
