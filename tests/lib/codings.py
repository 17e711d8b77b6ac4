"""brotli and zstd as real encoders write them, by the libraries that the service is built with: the standard library of Python
has neither. What compressors do not write is put together by hand in samples.py and below."""

import ctypes
import functools
import struct

ZSTD_LEVEL, ZSTD_WINDOW_LOG, ZSTD_CONTENT_SIZE, ZSTD_CHECKSUM = 100, 101, 200, 201
BROTLI_QUALITY, BROTLI_WINDOW, BROTLI_LARGE_WINDOW = 1, 2, 6
BROTLI_PROCESS, BROTLI_FLUSH, BROTLI_FINISH = 0, 1, 2


@functools.lru_cache(None)
def _brotli():
    lib = ctypes.CDLL("libbrotlienc.so.1")
    lib.BrotliEncoderCreateInstance.restype = ctypes.c_void_p
    lib.BrotliEncoderCreateInstance.argtypes = [ctypes.c_void_p] * 3
    lib.BrotliEncoderSetParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    lib.BrotliEncoderDestroyInstance.argtypes = [ctypes.c_void_p]
    lib.BrotliEncoderHasMoreOutput.argtypes = [ctypes.c_void_p]
    lib.BrotliEncoderCompressStream.argtypes = [ctypes.c_void_p, ctypes.c_int] + [ctypes.c_void_p] * 5
    return lib


@functools.lru_cache(None)
def _zstd():
    lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_createCCtx.restype = ctypes.c_void_p
    lib.ZSTD_freeCCtx.argtypes = [ctypes.c_void_p]
    lib.ZSTD_CCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    lib.ZSTD_compressBound.restype = lib.ZSTD_compress2.restype = ctypes.c_size_t
    lib.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    lib.ZSTD_compress2.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    lib.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return lib


class BrotliStream:
    """Output comes in pieces: write(data) ends at a byte and holds nothing back, finish() ends the stream."""

    def __init__(self, quality=5, window=22, large=False):
        self.lib = _brotli()
        self.state = self.lib.BrotliEncoderCreateInstance(None, None, None)
        for key, value in ((BROTLI_QUALITY, quality), (BROTLI_LARGE_WINDOW, int(large)), (BROTLI_WINDOW, window)):
            if not self.lib.BrotliEncoderSetParameter(self.state, key, value):
                raise ValueError("brotli refuses parameter %d = %d" % (key, value))

    def _run(self, operation, data):
        out = ctypes.create_string_buffer(65536)
        source = ctypes.create_string_buffer(data, max(1, len(data)))
        in_n, in_p = ctypes.c_size_t(len(data)), ctypes.c_void_p(ctypes.addressof(source))
        got = b""
        while True:
            out_n, out_p = ctypes.c_size_t(len(out)), ctypes.c_void_p(ctypes.addressof(out))
            if not self.lib.BrotliEncoderCompressStream(self.state, operation, ctypes.addressof(in_n), ctypes.addressof(in_p),
                                                        ctypes.addressof(out_n), ctypes.addressof(out_p), None):
                raise ValueError("brotli failed")
            got += out.raw[:len(out) - out_n.value]
            if in_n.value == 0 and not self.lib.BrotliEncoderHasMoreOutput(self.state):
                return got

    def write(self, data):
        return self._run(BROTLI_FLUSH, data)

    def finish(self, data=b""):
        got = self._run(BROTLI_FINISH, data)
        self.lib.BrotliEncoderDestroyInstance(self.state)
        self.state = None
        return got


def brotli(data, quality=5, window=22, large=False):
    return BrotliStream(quality, window, large).finish(data)


def zstd(data, level=3, checksum=False, content_size=True, window=None):
    lib = _zstd()
    state = lib.ZSTD_createCCtx()
    settings = [(ZSTD_LEVEL, level), (ZSTD_CONTENT_SIZE, int(content_size)), (ZSTD_CHECKSUM, int(checksum))]
    for key, value in settings + ([(ZSTD_WINDOW_LOG, window)] if window else []):
        lib.ZSTD_CCtx_setParameter(state, key, value)
    out = ctypes.create_string_buffer(lib.ZSTD_compressBound(len(data)))
    n = lib.ZSTD_compress2(state, out, len(out), data, len(data))
    lib.ZSTD_freeCCtx(state)
    if lib.ZSTD_isError(n):
        raise ValueError("zstd failed")
    return out.raw[:n]


def zstd_skippable(data, number=0):
    """A frame for others (RFC 8878 3.1.2): decoders pass over it."""
    return struct.pack("<II", 0x184D2A50 + number, len(data)) + data


def zstd_window(data, log):
    """A frame that asks for a window of 2^log bytes, with raw blocks."""
    blocks = [data[i:i + 65536] for i in range(0, len(data), 65536)]
    out = b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3])
    for i, piece in enumerate(blocks):
        out += struct.pack("<I", (len(piece) << 3) | (i == len(blocks) - 1))[:3] + piece
    return out


def zstd_zeros(n):
    """A frame of about n zero bytes, four bytes for each 128 KiB."""
    block = struct.pack("<I", (131072 << 3) | (1 << 1))[:3] + b"\0"
    count = max(1, n // 131072)
    last = struct.pack("<I", (131072 << 3) | (1 << 1) | 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(23 - 10) << 3]) + block * (count - 1) + last


def brotli_zeros(n):
    """A stream of about n zero bytes: what an encoder writes for the second of two equal pieces, again and again."""
    piece = bytes(16 << 20)
    stream = BrotliStream(5, 22)
    first, second, third = stream.write(piece), stream.write(piece), stream.write(piece)
    if second != third:
        raise ValueError("this brotli encoder does not repeat itself")
    return first + second * max(0, n // len(piece) - 1) + stream.finish()
