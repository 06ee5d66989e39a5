# SPDX-License-Identifier: GPL-2.0-or-later
"""Monitors in front of QEMU's own. One tells one lie: that the guest runs. So what is done to running guests only can
be done to one that stands still, and compared with QEMU's own dump of the same moment. Another makes dumps slow, and
another hangs."""

import array
import os
import socket
import threading
import time
from pathlib import Path

MOST_FDS = 4


class RunningProxy:
    """with RunningProxy(socket of QEMU, own path): serves one client after the other"""

    def __init__(self, monitor: Path, path: Path):
        self.monitor, self.path = monitor, path
        self.listener = socket.socket(socket.AF_UNIX)

    def __enter__(self):
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.path.unlink()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, socket.socket(socket.AF_UNIX) as monitor:
                monitor.connect(str(self.monitor))
                answers = threading.Thread(target=self._lie, args=(monitor, client), daemon=True)
                answers.start()
                self._pass_on(client, monitor)
                answers.join()

    @staticmethod
    def _pass_on(client, monitor) -> None:
        while True:
            data, control, _, _ = client.recvmsg(1 << 16, socket.CMSG_SPACE(MOST_FDS * 4))
            if not data:
                monitor.shutdown(socket.SHUT_RDWR)
                return
            monitor.sendmsg([data], [part for part in control if part[1] == socket.SCM_RIGHTS])
            for _, _, content in control:
                for fd in array.array("i", content):
                    socket.close(fd)

    @staticmethod
    def _lie(monitor, client) -> None:
        while True:
            try:
                data = monitor.recv(1 << 16)
                if not data:
                    return
                client.sendall(data.replace(b'"running": false', b'"running": true')
                               .replace(b'"status": "paused"', b'"status": "running"'))
            except OSError:
                return


class SlowProxy(RunningProxy):
    """What QEMU dumps comes to the client in drops: 64 KiB, twenty times a second."""

    seconds = 0.05      # between them

    @classmethod
    def _pass_on(cls, client, monitor) -> None:
        while True:
            try:
                data, control, _, _ = client.recvmsg(1 << 16, socket.CMSG_SPACE(MOST_FDS * 4))
            except ConnectionResetError:    # the client was killed, and had not read all
                data = b""
            if not data:
                monitor.shutdown(socket.SHUT_RDWR)
                return
            passed = []
            for level, kind, content in control:
                ends = [slow_pipe(fd, cls.seconds) for fd in array.array("i", content)]
                passed.append((level, kind, array.array("i", ends)))
            monitor.sendmsg([data], passed)
            for _, _, ends in passed:
                for fd in ends:
                    os.close(fd)


class HangingProxy(SlowProxy):
    """What either side says is not passed on between hang() and resume(). Dumps come at some 30 MB/s."""

    seconds = 0.002
    open = threading.Event()
    open.set()

    def hang(self) -> None:
        HangingProxy.open.clear()

    def resume(self) -> None:
        HangingProxy.open.set()

    @classmethod
    def _pass_on(cls, client, monitor) -> None:
        super()._pass_on(Gate(client), Gate(monitor))

    @staticmethod
    def _lie(monitor, client) -> None:
        RunningProxy._lie(Gate(monitor), Gate(client))


class Gate:
    """A socket that sends nothing while the proxy hangs."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def sendall(self, data) -> None:
        HangingProxy.open.wait()
        self.inner.sendall(data)

    def sendmsg(self, *words):
        HangingProxy.open.wait()
        return self.inner.sendmsg(*words)


def slow_pipe(target: int, seconds: float) -> int:
    """The end to write to of a pipe whose other end is brought to the target slowly."""
    source, end = os.pipe()

    def bring() -> None:
        try:
            while data := os.read(source, 64 << 10):
                os.write(target, data)
                time.sleep(seconds)
        except OSError:
            pass    # nobody reads any more
        os.close(source)
        os.close(target)

    threading.Thread(target=bring, daemon=True).start()
    return end
