# SPDX-License-Identifier: GPL-2.0-or-later
"""Decompressing one page by the libraries that every reader uses: zlib of Python, the others through ctypes."""

import ctypes
import ctypes.util
import functools
import zlib

RAW, ZLIB, LZO, SNAPPY, ZSTD = 0, 1, 2, 4, 0x20
NAMES = {RAW: "none", ZLIB: "zlib", LZO: "lzo", SNAPPY: "snappy", ZSTD: "zstd"}


@functools.cache
def library(name: str, so: str):
    return ctypes.CDLL(ctypes.util.find_library(name) or so)


def zlib_page(data: bytes, size: int) -> bytes:
    return zlib.decompress(data, bufsize=size)


def lzo_page(data: bytes, size: int) -> bytes:
    page, length = ctypes.create_string_buffer(size), ctypes.c_size_t(size)
    code = library("lzo2", "liblzo2.so.2").lzo1x_decompress_safe(
        data, ctypes.c_size_t(len(data)), page, ctypes.byref(length), None)
    if code != 0:
        raise ValueError(f"lzo: error {code}")
    return page.raw[:length.value]


def snappy_page(data: bytes, size: int) -> bytes:
    page, length = ctypes.create_string_buffer(size), ctypes.c_size_t(size)
    code = library("snappy", "libsnappy.so.1").snappy_uncompress(
        data, ctypes.c_size_t(len(data)), page, ctypes.byref(length))
    if code != 0:
        raise ValueError(f"snappy: error {code}")
    return page.raw[:length.value]


def zstd_page(data: bytes, size: int) -> bytes:
    zstd = library("zstd", "libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    page = ctypes.create_string_buffer(size)
    length = zstd.ZSTD_decompress(page, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)))
    if zstd.ZSTD_isError(ctypes.c_size_t(length)):
        raise ValueError("zstd: cannot decompress")
    return page.raw[:length]


DECODERS = {ZLIB: zlib_page, LZO: lzo_page, SNAPPY: snappy_page, ZSTD: zstd_page}


def decode(flags: int, data: bytes, size: int) -> bytes:
    """The page of `size` bytes that `data` holds."""
    page = data if flags == RAW else DECODERS[flags](data, size)
    if len(page) != size:
        raise ValueError(f"a page of {len(page)} bytes, codec {NAMES.get(flags, flags)}")
    return page
