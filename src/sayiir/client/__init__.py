"""The face of those who submit and control; a runner (`resume_workflow`, a worker) does the work.

client.py      `WorkflowClient`
submit.py      what is stored for a new instance, and what is refused before
query.py       what is looked for, and in which pages it is found
functions.py   the documented functions, over a client
"""

from sayiir.client.client import WorkflowClient
from sayiir.client.functions import cancel_workflow, pause_workflow, send_signal, unpause_workflow
from sayiir.client.query import Page, Wanted

__all__ = [
    "Page",
    "Wanted",
    "WorkflowClient",
    "cancel_workflow",
    "pause_workflow",
    "send_signal",
    "unpause_workflow",
]
