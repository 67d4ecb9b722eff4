"""Workflows that misbehave, for the command's tests."""

import threading

from sayiir import Flow, task


@task(timeout=0.05)
def hang(x):
    threading.Event().wait()


def leave(x):
    raise SystemExit(9)


HANG = Flow("hang").then(hang).build()
LEAVE = Flow("leave").then(leave).build()


def all_of_them():
    return HANG, LEAVE
