"""`Service`: everything that faces show and do, over one backend.

Rules of this file: each method asks first whether the caller may; what is returned is made of the values of `model`, with
secrets masked and long values cut. No SQL and no engine rule stands here.
"""

from __future__ import annotations

import functools
from typing import Literal

from sayiir.core.graph import Graph
from sayiir.core.lifecycle import TERMINAL
from sayiir.core.marks import Veil
from sayiir.core.outline import Item, outline
from sayiir.errors import BackendError, InstanceNotFoundError, UnknownWorkflowError
from sayiir.picture import to_mermaid, to_text
from sayiir.service import why as reasons
from sayiir.service.actions import Actions
from sayiir.service.drawing import picture
from sayiir.service.facts import MAX_LINES, Gathering
from sayiir.service.forms import signal_schemas
from sayiir.service.model import (
    Access,
    Attempt,
    Comparison,
    Difference,
    InstanceView,
    LogLine,
    NodeValues,
    NodeView,
    Payload,
    Wait,
    Why,
)
from sayiir.service.nodes import attempt_of, node_views, running_attempt, states_of, trouble_of
from sayiir.service.outcomes import Outcomes
from sayiir.service.sketch import sketch
from sayiir.service.words import moment
from sayiir.store.port import Instance, Token, View

MAX_WAIT = 60.0
"""Seconds that a call waits for an instance's end at most."""
_COMPARED = 300


class Service(Actions, Outcomes, Gathering):
    """What the command line, the HTTP API and the pages call; see `Desk` for its arguments.

    >>> from sayiir import Flow, InMemoryBackend
    >>> from sayiir.service import Access, Role, Service
    >>> wf = Flow("double").then(lambda x: x * 2, name="double").build()
    >>> service, ann = Service(InMemoryBackend(), workflows=[wf]), Access("ann", Role.OPERATOR)
    >>> row, is_new = service.submit(ann, "double", "a", b"21")
    >>> row.status, is_new, service.why(ann, "a").code
    ('in_progress', True, 'no_worker')
    """

    # --- one instance ---------------------------------------------------------------------------------------------

    def show(self, access: Access, instance_id: str) -> InstanceView:
        """Return all about an instance but its attempts, values of nodes and log lines.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "show")
        return self._shown(access, self._view(instance_id))

    def _shown(self, access: Access, view: View) -> InstanceView:
        instance, root = view.instance, self._outline(view.instance)
        standing = self._standing(view)
        failure, marks = standing.failure, self._marks(instance)
        return InstanceView(
            self._row(instance), reasons.why(self._facts(view, root)), self.mask.show(instance.input, marks.output("")),
            None if view.output is None else self.mask.show(view.output, marks.input("$end")),
            None if failure is None else trouble_of(failure),
            self._waits(instance, view.tokens), node_views(root, standing), self._possible(access, instance),
            self._trace_link(instance),
        )  # fmt: skip

    def why(self, access: Access, instance_id: str) -> Why:
        """Return why an instance stands where it stands, in one sentence, with what proves it and what helps.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "why")
        view = self._view(instance_id)
        return reasons.why(self._facts(view, self._outline(view.instance)))

    def attempts(self, access: Access, instance_id: str) -> tuple[Attempt, ...]:
        """Return what happened to an instance, attempt by attempt, in order of start; the newest 20,000.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "attempts")
        return self._attempts(self._view(instance_id), None)

    def _attempts(self, view: View, node_id: str | None) -> tuple[Attempt, ...]:
        scrub = self._scrubber(view.instance)
        lines = [attempt_of(line, scrub) for line in self.store.lines(view.instance.number, MAX_LINES, node_id)]
        owners = self._owners(view.tokens)
        lines += [
            running_attempt(token, owners[token.owner].worker if token.owner in owners else None)
            for token in view.tokens
            if token.owner is not None and token.state == "ready" and node_id in (None, token.node)
        ]
        return tuple(sorted(lines, key=lambda line: 0.0 if line.started_at is None else line.started_at.timestamp()))

    def node(self, access: Access, instance_id: str, node_id: str) -> NodeValues:
        """Return what went into a node and what came out of it, with its attempts and log lines.

        Raises:
            InstanceNotFoundError: nobody has this id, or its definition has no such node.
        """
        self._allow(access, "node")
        view = self._view(instance_id)
        views = node_views(self._outline(view.instance), self._standing(view))
        found = next((one for one in views if one.node_id == node_id), None)
        if found is None:
            raise InstanceNotFoundError(
                f"instance {instance_id!r} has no node {node_id!r}; it has {', '.join(one.node_id for one in views[:20])}",
                instance_id=instance_id,
            )
        lines = [
            line for line in self.store.lines(view.instance.number, MAX_LINES, node_id)
            if not line.superseded and line.kind != "input"
        ]  # fmt: skip
        token = next((one for one in view.tokens if one.node == node_id), None)
        last = max(lines, key=lambda line: (line.iteration, line.ref), default=None)
        source = token.ref if token is not None else last.source if last is not None else None
        output = last.ref if last is not None and last.status == "completed" and token is None else None
        logs, marks = self._logs(view.instance, node_id, 500), self._marks(view.instance)
        return NodeValues(
            found, self._payload(view.instance, source, marks.input(node_id)),
            self._payload(view.instance, output, marks.output(node_id)),
            self._attempts(view, node_id), logs,
        )  # fmt: skip

    def _payload(self, instance: Instance, ref: int | None, veil: Veil) -> Payload | None:
        if ref is None:
            return None
        try:
            return self.mask.show(self.store.value(instance.number, ref), veil)
        except BackendError:  # replaced meanwhile, or a run that keeps no history
            return None

    def logs(
        self, access: Access, instance_id: str, *, node_id: str | None = None, limit: int = 500
    ) -> tuple[LogLine, ...]:
        """Return the newest log lines of an instance's tasks, in order.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "logs")
        return self._logs(self._view(instance_id).instance, node_id, max(1, min(limit, 1000)))

    def _logs(self, instance: Instance, node_id: str | None, limit: int) -> tuple[LogLine, ...]:
        scrub = self._scrubber(instance)
        return tuple(
            LogLine(moment(line.at), line.level, line.task_id, line.attempt, line.logger, scrub(line.message))
            for line in self.store.logs(instance.number, limit, node_id)
        )

    def result(self, access: Access, instance_id: str, *, timeout: float = 0) -> InstanceView:
        """Return an instance once it has ended, or as it stands after a time.

        Args:
            access: who asks.
            instance_id: the instance.
            timeout: seconds to wait at most, up to 60.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "result")
        clock, seen = self.store.clock, 0
        until = clock.monotonic() + max(0.0, min(timeout, MAX_WAIT))
        view = self._view(instance_id)
        while view.instance.status not in TERMINAL and (left := until - clock.monotonic()) > 0:
            seen = self.store.wait_for_hint(seen, min(left, 0.5))
            status, _ = self.store.inspect(view.instance.number)
            if status is None or status in TERMINAL:
                view = self._view(instance_id)
        return self._shown(access, self._view(instance_id))

    def compare(self, access: Access, left_id: str, right_id: str) -> Comparison:
        """Return two instances side by side, node by node; the outputs of the first 300 nodes are compared.

        Raises:
            InstanceNotFoundError: nobody has one of the ids.
        """
        self._allow(access, "compare")
        left, right = self._view(left_id), self._view(right_id)
        sides = [self._side(view) for view in (left, right)]
        names = list(dict.fromkeys([*sides[0][0], *sides[1][0]]))
        nodes = tuple(
            Difference(
                name, sides[0][0].get(name), sides[1][0].get(name),
                self._same(left, sides[0][1].get(name), right, sides[1][1].get(name)) if place < _COMPARED else None,
            )
            for place, name in enumerate(names)
        )  # fmt: skip
        same_input = left.instance.input == right.instance.input
        return Comparison(self._row(left.instance), self._row(right.instance), same_input, nodes)

    def _side(self, view: View) -> tuple[dict[str, NodeView], dict[str, int]]:
        standing = self._standing(view)
        done = {
            line.node: line.ref for line in standing.records
            if line.status == "completed" and not line.superseded and line.kind != "input"
        }  # fmt: skip
        return {one.node_id: one for one in node_views(self._outline(view.instance), standing)}, done

    def _same(self, left: View, one: int | None, right: View, other: int | None) -> bool | None:
        if one is None or other is None:
            return None
        return self.store.value(left.instance.number, one) == self.store.value(right.instance.number, other)

    # --- pictures -------------------------------------------------------------------------------------------------

    def graph_svg(
        self, access: Access, instance_id: str | None = None, *, workflow_id: str | None = None,
        definition_hash: str | None = None, shown: InstanceView | None = None, standalone: bool = True,
    ) -> str:  # fmt: skip
        """Return the picture of an instance, or of a definition: the one known here or stored last when none is said.

        Args:
            access: who asks.
            instance_id: the instance.
            workflow_id: the workflow, for its definition.
            definition_hash: which version of it.
            shown: an instance that `show` just returned; it is not read again.
            standalone: whether it has its own style sheet; not so for the midst of a page.

        Raises:
            InstanceNotFoundError, UnknownWorkflowError: there is no such thing.
            ValueError: neither was said.
        """
        self._allow(access, "graph_svg")
        if shown is None and instance_id is not None:
            shown = self.show(access, instance_id)
        if shown is not None:
            graph = self._graph(shown.row.workflow_id, shown.row.definition_hash)
            title = f"Instance {shown.row.instance_id}"
            return picture(graph, states_of(shown.nodes), title, standalone=standalone)
        if workflow_id is None:
            raise ValueError("say an instance or a workflow")
        return picture(self._graph(workflow_id, definition_hash or self._newest(workflow_id)), None, standalone=standalone)

    def graph_text(
        self, access: Access, workflow_id: str, *, definition_hash: str | None = None,
        form: Literal["mermaid", "text"] = "mermaid",
    ) -> str:  # fmt: skip
        """Return a definition as Mermaid, or as lines of text: the one known here or stored last when none is said.

        Raises:
            UnknownWorkflowError: there is no such thing.
        """
        self._allow(access, "graph_text")
        graph = self._graph(workflow_id, definition_hash or self._newest(workflow_id))
        return to_mermaid(graph) if form == "mermaid" else to_text(graph) + "\n"

    def graph(self, access: Access, instance_id: str) -> tuple[NodeView, ...]:
        """Return the nodes of an instance and how each stands.

        Raises:
            InstanceNotFoundError: nobody has this id.
        """
        self._allow(access, "graph")
        view = self._view(instance_id)
        return node_views(self._outline(view.instance), self._standing(view))

    def _newest(self, workflow_id: str) -> str:
        if (known := self.registered(workflow_id)) is not None:
            return known.definition_hash
        hashes = [one.definition_hash for one in self.store.definitions() if one.workflow_id == workflow_id]
        if not hashes:
            raise UnknownWorkflowError(
                f"there is no workflow {workflow_id!r}; look at the list of workflows", workflow_id=workflow_id
            )
        return hashes[-1]

    def _graph(self, workflow_id: str, definition_hash: str) -> Graph:
        known = self.registered(workflow_id, definition_hash)
        return known.graph if known is not None else sketch(self._structure(workflow_id, definition_hash))

    def _outline(self, instance: Instance) -> Item:
        return _outlined(self._structure(instance.workflow_id, instance.definition_hash))

    # --- the rest -------------------------------------------------------------------------------------------------

    def _waits(self, instance: Instance, tokens: tuple[Token, ...]) -> tuple[Wait, ...]:
        known = self.registered(instance.workflow_id, instance.definition_hash)
        forms = signal_schemas(known) if known is not None else {}
        kinds = {"awaiting": "signal", "waiting": "delay", "backoff": "retry"}
        return tuple(
            Wait(
                token.node, kinds[token.state], moment(token.moved_at),  # type: ignore[arg-type]
                None if token.due_at is None else moment(token.due_at), token.signal, forms.get(token.node),
            )
            for token in tokens
            if token.state in kinds
        )  # fmt: skip

    def check(self, access: Access) -> list[str]:
        """Return what is wrong with the stored data; empty when it is sound. May take long."""
        self._allow(access, "check")
        return self.store.faults()

    def changed(self, seen: int, timeout: float) -> int:
        """Block until something may have changed since `seen` (0 at first), or the timeout; return the new mark."""
        return self.store.wait_for_hint(seen, timeout)


@functools.lru_cache(maxsize=32)
def _outlined(structure: str) -> Item:
    """Return a definition's tree, which nobody changes; pages that are live ask for the same one every second."""
    return outline(structure)
