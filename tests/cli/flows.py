"""Workflows that misbehave, and one that says so, for the command's tests."""

import logging
import threading

from sayiir import Flow, task


@task(timeout=0.05)
def hang(x):
    threading.Event().wait()


def leave(x):
    raise SystemExit(9)


def tell(x):
    logging.getLogger("tests.told").info("told %s", x)
    return x


HANG = Flow("hang").then(hang).build()
LEAVE = Flow("leave").then(leave).build()
TELL = Flow("tell").then(tell).build()


def all_of_them():
    return HANG, LEAVE, TELL
