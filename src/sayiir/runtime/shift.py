"""A worker at work, from `start` to the end of its shutdown: its jobs, and the threads they pass through.

    claimer     asks the store for due tokens and makes jobs of them     (claimer.py)
    crew        takes a job one step on; sync tasks run there            (crew.py)
    coroutines  async tasks                                              (coroutines.py)
    writer      checkpoints, in batches                                  (writer.py)
    heart       keeps claims alive, brings cancels                       (heart.py)
    chores      sweeps up after the dead, purges what is old             (heart.py)

A job is in one place at a time; it waits for its checkpoint or its coroutine without a thread. What a job's walk raises is
never lost: a claim that was lost is logged, a KeyboardInterrupt or SystemExit ends the worker, anything else gives the
claim back.
"""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from sayiir.core.program import TaskOp
from sayiir.errors import BackendError, ClaimLostError, WorkflowError
from sayiir.runtime import observe
from sayiir.runtime.claimer import Claimer
from sayiir.runtime.coroutines import Coroutines
from sayiir.runtime.crew import Crew
from sayiir.runtime.executor import Call, Release, Sleep
from sayiir.runtime.heart import Chores, Heart
from sayiir.runtime.invoke import GRACE_SECS, Outcome, call, observed
from sayiir.runtime.job import Job, Skill
from sayiir.runtime.log import log
from sayiir.runtime.slots import Slots
from sayiir.runtime.tasklogs import Keeper
from sayiir.runtime.trouble import Trouble
from sayiir.runtime.writer import Writer
from sayiir.store.port import Claim, Instance, Lane, Moved, Work

if TYPE_CHECKING:
    from sayiir.flow.workflow import Workflow
    from sayiir.runtime.worker import Plan
    from sayiir.store.base import ScriptedStore

_SPARE_THREADS = 2
"""Beyond the slots of sync tasks, so that async ones are moved on while all of those are busy."""


class Shift:
    """One worker at work.

    Args:
        store: where the instances live.
        plan: how the worker works.
        workflows: what it moves.

    Raises:
        BackendError: the store could not be told what this worker moves.
    """

    def __init__(self, store: ScriptedStore, plan: Plan, workflows: list[Workflow[Any, Any]]) -> None:
        self.store = store
        self.plan = plan
        self.worker_id = plan.worker_id
        self.facts = {"worker_id": plan.worker_id}
        self.closing = False
        self.ended_at_once = False
        self.done = threading.Event()
        self.fatal: BaseException | None = None
        self.calls_here = plan.executor is None
        self.skills = {workflow.definition_hash: Skill(workflow, plan.tags) for workflow in workflows}
        only_sync = not any(skill.coroutines for skill in self.skills.values())
        self.slots = Slots(plan.limits if only_sync else plan.limits.exact(), store.clock, store.hints.nudge)
        self.jobs: dict[int, Job] = {}
        self.coroutines = Coroutines(self._deliver)
        self._context = contextvars.copy_context()
        if plan.claim_ttl != store.claim_ttl:
            store.use_claim_ttl(plan.claim_ttl)
        self.lanes = self.register()
        self.crew: Crew[Job] = Crew("sayiir-task", plan.limits.sync + (0 if only_sync else _SPARE_THREADS), self._advance)
        self.writer = Writer(self, Trouble(store.clock, "write checkpoints", self.facts))
        self.heart = Heart(self, Trouble(store.clock, "keep its claims alive", self.facts))
        self.chores = Chores(self, Trouble(store.clock, "sweep up", self.facts))
        self.keeper = None if plan.task_logs is None else Keeper(self, plan.task_logs)
        self.claimer = Claimer(self, Trouble(store.clock, "claim work", self.facts))

    def start(self) -> None:
        """Begin to work."""
        self.writer.start()
        observe.shifts.add(self)
        if self.keeper is not None:
            self.keeper.start()
        self.heart.start()
        self.chores.start()
        self.claimer.start()

    def register(self) -> list[Lane]:
        """Tell the store what this worker moves; return where it looks for work."""
        known = self.store.register([skill.program.stored() for skill in self.skills.values()])
        self.store.tell(self.worker_id, self._about())  # again and again, as its owner may have been called dead meanwhile
        return [lane for lane in known if self.plan.has_tags(lane.tags)]

    def _about(self) -> dict[str, Any]:
        """Return what people may want to know of this worker, as JSON."""
        limits, tags = self.plan.limits, self.plan.tags
        definitions = [skill.program.definition for skill in self.skills.values()]
        return {
            "kind": "worker",
            "workflows": [[definition.workflow_id, definition.definition_hash] for definition in definitions],
            "tags": None if tags is None else sorted(tags),
            "concurrency": limits.together,
        }

    # --- jobs -----------------------------------------------------------------------------------------------------

    def job(self, instance: Instance, claim: Claim) -> Job:
        """Make a job of a claimed token."""
        job = Job(self, self.skills[instance.definition_hash], instance, claim, self._context)
        self.jobs[id(job)] = job
        return job

    def accept(self, work: Work) -> Job:
        """Make a job of what was claimed."""
        return self.job(work.instance, work.claim)

    def place(self, job: Job) -> bool:
        """Give a job a slot and let it begin; False when there is none for it."""
        wanted = job.wants_async
        is_task = wanted or job.node in job.skill.tasks
        if not self.slots.take(job, wanted) and (is_task or not self.slots.take(job, not wanted)):
            return False
        self.crew.put(job)
        return True

    def ended(self, job: Job, moved: Moved) -> None:
        """Note that a job's token is no longer this worker's; with a join its parent's is."""
        if moved.kind == "joined":
            self._go_on(job, moved.claims[0])
        self.drop(job)

    def drop(self, job: Job) -> None:
        """Forget a job and free its slot."""
        if self.jobs.pop(id(job), None) is not None:
            self.slots.give(job)

    def lost(self, job: Job, error: Exception) -> None:
        """Note that the store refused a job's write: somebody else has the token, or the instance is over."""
        level = 20 if job.stopping else 30  # info when it is known already, else warning
        log().log(
            level, "worker %s: what task %r of instance %r did is refused: %s",
            self.worker_id, job.node, job.instance.instance_id, error, extra=job.facts(),
        )  # fmt: skip
        observe.claim_lost(job.facts())
        self.drop(job)

    def _go_on(self, job: Job, claim: Claim) -> None:
        """Take the parent's token up after its last branch, in that one's slot."""
        parent = self.job(job.instance, claim)
        parent.is_async, job.is_async = job.is_async, None
        if parent.keeps(claim.position):
            self.crew.put(parent)
        else:
            self.writer.put(parent, Release(parent.fence))

    def _deliver(self, job: Job) -> None:
        self.crew.put(job)

    def _advance(self, job: Job) -> None:
        """Take a job on until it must wait for something."""
        try:
            if not job.begun:
                if self.closing:
                    self.writer.put(job, Release(job.fence))
                    return
                job.begun = True
            answer, job.answer = job.answer, None
            run, send = job.context.run, job.walk.send
            while True:
                ask = run(send, answer)
                if isinstance(ask, Sleep):
                    answer = None  # claimed when it was due, by the store's clock
                elif not isinstance(ask, Call):
                    answer = self.writer.put(job, ask)
                    if answer is None:
                        return
                elif ask.op.on_loop:
                    self.coroutines.begin(job, ask)
                    return
                else:
                    answer = run(self._call, job, ask)
        except StopIteration as end:
            self.ended(job, end.value)
        except ClaimLostError as error:
            self.lost(job, error)
        except BaseException as error:  # noqa: BLE001 -- the thread must live, and the claim be given back
            self._broke(job, error)

    def _call(self, job: Job, ask: Call) -> Outcome:
        if self.plan.executor is not None and not ask.op.is_async and isinstance(ask.op, TaskOp):
            from sayiir.runtime.elsewhere import call_elsewhere, executor_for

            executor = executor_for(self.plan.executor, ask.op)
            if executor is not None:
                return observed(ask.frame, partial(call_elsewhere, job, executor, ask.op, ask.value, ask.frame))
        return call(job, ask.op, ask.value, ask.frame)

    def _broke(self, job: Job, error: BaseException) -> None:
        if isinstance(error, BackendError):
            self.claimer.trouble.met(error)
        elif isinstance(error, Exception):
            log().error("worker %s could not move a token", self.worker_id, exc_info=error, extra=job.facts())
            self.claimer.trouble.met(BackendError(f"an error in a job: {error}"))  # or it is claimed again at once
        else:
            log().warning(
                "worker %s ends: task %r of instance %r raised %s", self.worker_id, job.node,
                job.instance.instance_id, type(error).__name__, extra=job.facts(),
            )  # fmt: skip
            self.fatal = self.fatal or error
            self.close()
        self.writer.put(job, Release(job.fence))

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self, *, now: bool = False) -> None:
        """Begin to end; with `now` without waiting for what runs."""
        self.closing = True
        if now:
            self.ended_at_once = True
        with self.slots.changed:
            self.slots.changed.notify_all()
        self.claimer.trouble.end()
        self.store.hints.notify()

    def wind_down(self) -> None:
        """End: let running tasks come to their checkpoint within the grace time, then leave them (the claimer's thread)."""
        try:
            self._wait(self.plan.shutdown_grace, unless_now=True)
            for job in list(self.jobs.values()):
                job.call_off()
            if any(job.task is not None for job in list(self.jobs.values())):
                self._wait(GRACE_SECS, unless_now=False)
            self._abandon()
        except Exception:  # noqa: BLE001 -- whoever joins must not wait for ever
            log().exception("worker %s could not end in good order", self.worker_id, extra=self.facts)
        finally:
            for part in (self.writer, self.chores, self.crew, self.coroutines, self.heart):
                part.stop()
            if self.keeper is not None:
                self.keeper.stop()
            observe.shifts.discard(self)
            self.done.set()

    def _wait(self, seconds: float, *, unless_now: bool) -> None:
        clock = self.store.clock
        deadline = clock.monotonic() + seconds
        with self.slots.changed:
            while self.jobs and not (unless_now and self.ended_at_once):
                left = deadline - clock.monotonic()
                if left <= 0:
                    return
                self.slots.wait(left)

    def _abandon(self) -> None:
        try:
            self.store.tell(self.worker_id, None)
        except WorkflowError as error:  # people see it as dead when its process ends
            log().info("worker %s could not say that it ends: %s", self.worker_id, error, extra=self.facts)
        left = list(self.jobs.values())
        if not left:
            return
        for job in left:
            log().warning(
                "worker %s ends while task %r of instance %r still runs; what it returns will be refused",
                self.worker_id, job.node, job.instance.instance_id, extra=job.facts(),
            )  # fmt: skip
        try:
            self.store.release([job.fence for job in left])
        except WorkflowError as error:
            # They run out by themselves, or at once when this process ends.
            log().warning("worker %s could not give claims back: %s", self.worker_id, error, extra=self.facts)
