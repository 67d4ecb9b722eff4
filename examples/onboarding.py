"""Welcome a user, wait, and remind those who have not begun.

Shows a durable delay. While it lasts nothing is held: the function returns with the status `waiting`, the process could
end, and whoever resumes the instance after the due time goes on from there. Here it is half a second; "3d" is the same.
"""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sayiir import Flow, SqliteBackend, WorkflowStatus, resume_workflow, run_durable_workflow, task

FIRST_STEPS = {"ada"}


@task
def welcome(user: str) -> str:
    print(f"  mail to {user}: welcome")
    return user


@task
def activity(user: str) -> str:
    return "active" if user in FIRST_STEPS else "idle"


@task
def remind(user: str) -> str:
    print(f"  mail to {user}: shall we help?")
    return "reminded"


onboarding = (
    Flow("onboarding")
    .then(welcome)
    .delay("give-them-time", "500ms")
    .route(activity, keys=["active", "idle"])
    .branch("active", lambda _: "nothing to do")
    .branch("idle", remind)
    .done()
    .build()
)


def wait_for(status: WorkflowStatus) -> None:
    if status.wake_at is not None:
        time.sleep(max(0.0, (status.wake_at - datetime.now(UTC)).total_seconds()))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, SqliteBackend(Path(folder) / "runs.db") as backend:
        for user in ("ada", "bob"):
            print(user)
            status = run_durable_workflow(onboarding, user, user, backend)
            print(f"  {status.status} at {status.delay_id}")
            wait_for(status)
            print(" ", resume_workflow(onboarding, user, backend).output["result"])


if __name__ == "__main__":
    main()

"""Prints:
ada
  mail to ada: welcome
  waiting at give-them-time
  nothing to do
bob
  mail to bob: welcome
  waiting at give-them-time
  mail to bob: shall we help?
  reminded
"""
