"""A process that has loaded numpy and forks for every answer: what makes a class quick to grade."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import IO

from microrecur.course.process import CHILD, environment

_PATIENCE = 20.0  # s for a fork; a server that does not answer is broken


class Server:
    """Starts the processes of answers: a fork costs a hundredth of a new Python with numpy.

    Each answer still has a process of its own, made from one that has run no other answer. Where
    the check file has to build the cases, that one has loaded the check files before.
    """

    available = hasattr(os, "fork") and hasattr(socket, "send_fds")

    def __init__(self) -> None:
        self._lines: dict[bool, tuple[socket.socket, subprocess.Popen[bytes]]] = {}

    def start(self, folder: str, loaded: bool = False) -> Forked:
        """A new process whose place is that folder, with pipes to it; with the check files."""
        if loaded not in self._lines:  # begun when it is first asked for
            self._lines[loaded] = self._begin(["loaded"] if loaded else [])
        line, _ = self._lines[loaded]
        pipes = [os.pipe() for _ in range(3)]
        (stdin, to), (out, stdout), (err, stderr) = pipes
        socket.send_fds(line, [folder.encode()], [stdin, stdout, stderr])
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        pid = int(line.recv(32) or 0)
        if not pid:
            raise OSError("the server of processes has ended")
        return Forked(pid, os.fdopen(to, "wb"), os.fdopen(out, "rb"), os.fdopen(err, "rb"))

    def _begin(self, words: list[str]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(_PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", str(CHILD), "serve", *words],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        theirs.close()
        return ours, process

    def close(self) -> None:
        """End them; they end by themselves when whoever started them does."""
        for line, process in self._lines.values():
            line.close()
            process.wait()
        self._lines.clear()


class Forked:
    """What `Popen` is to a process, to one that a server has forked."""

    returncode: int | None = None  # it is the server's child: nobody here is told

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr

    def wait(self, timeout: float) -> None:
        """Wait until it is gone.

        Raises
        ------
        subprocess.TimeoutExpired
            When it is not, after that time.
        """
        until = time.monotonic() + timeout
        while self._alive():
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("an answer", timeout)
            time.sleep(0.002)

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, 9)

    def _alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return True
