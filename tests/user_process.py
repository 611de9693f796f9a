"""Processes in which another user calls a function; only root can start them."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

from rosetta_core.errors import one_line

__all__ = ["FIRST", "SECOND", "TEAM", "UserProcess"]

FIRST, SECOND, TEAM = 64001, 64002, 64003  # user and group numbers without an account


class UserProcess:
    """A process in which a user calls a function."""

    def __init__(self, user: int, act: Callable[[], object], *, umask: int) -> None:
        # forked, since the user may not be allowed to read the modules' files
        context = get_context("fork")
        self.results, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=_act_as, args=(user, umask, act, sender))
        self.process.start()

    def error(self) -> str:
        """Wait for the end; return the error in one line, empty without one."""
        assert self.results.poll(60)
        self.process.join()
        return self.results.recv()


def _act_as(user: int, umask: int, act: Callable[[], object], sender: Connection) -> None:
    os.setgroups([TEAM])
    os.setgid(user)
    os.setuid(user)
    os.umask(umask)
    try:
        act()
    except Exception as error:
        sender.send(f"{type(error).__name__}: {one_line(error)}")
    else:
        sender.send("")
