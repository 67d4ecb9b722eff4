"""Faults in what all stores share (the scripts of the verbs) and in the core."""

from proof.mutants.mutant import MEMORY, SQLITE, SQLITE_FILE, Mutant

_CONFORMANCE = (MEMORY,)

FENCES = (
    Mutant(
        "a void fence is taken for a good one",
        "store/scripts/basis.py",
        "token is None or token.epoch != fence.epoch or token.owner is None else token",
        "token is None or token.owner is None else token",
        _CONFORMANCE,
    ),
    Mutant(
        "a claim does not make earlier fences void",
        "store/scripts/basis.py",
        "    token.epoch += 1\n    token.moved_at = now\n",
        "    token.moved_at = now\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a lost claim is swallowed",
        "store/scripts/move.py",
        "        raise lost(fence)\n    now = rows.now()",
        "        return CONTINUE\n    now = rows.now()",
        _CONFORMANCE,
    ),
    Mutant(
        "a heartbeat does not tell of a lost claim",
        "store/scripts/steer.py",
        "beats.append(Beat(fence, lost=True))",
        "beats.append(Beat(fence, lost=False))",
        _CONFORMANCE,
    ),
    Mutant(
        "a heartbeat extends nothing",
        "store/scripts/steer.py",
        "        token.until = now + int(rows.claim_ttl * MICROS)\n        rows.save_token(token)\n",
        "        rows.save_token(token)\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a pause leaves the claims of sleepers good",
        "store/scripts/basis.py",
        "    _void_claims(rows, instance, now)\n    rows.mark_tokens",
        "    rows.mark_tokens",
        _CONFORMANCE,
    ),
    Mutant(
        "a retry begins again with the epochs of before",
        "store/scripts/steer.py",
        "        token.epoch = max(token.epoch, epoch)\n",
        "",
        _CONFORMANCE,
    ),
    Mutant(
        "branches begin with the epoch of nobody",
        "store/scripts/move.py",
        "until=until, epoch=token.epoch + 1, moved_at=now,",
        "until=until, epoch=0, moved_at=now,",
        _CONFORMANCE,
    ),
    Mutant(
        "a join's epoch is not above its branches'",
        "store/scripts/move.py",
        "    parent.epoch = max(parent.epoch, *(branch.epoch for branch in branches)) + 1\n",
        "    parent.epoch += 1\n",
        _CONFORMANCE,
    ),
)

LIVENESS = (
    Mutant(
        "a dead owner keeps its claims until they run out",
        "store/scripts/basis.py",
        "token.owner is not None and (token.until or 0) > now and rows.alive(token.owner)",
        "token.owner is not None and (token.until or 0) > now",
        _CONFORMANCE,
    ),
    Mutant(
        "a claim never runs out",
        "store/scripts/basis.py",
        "token.owner is not None and (token.until or 0) > now and rows.alive(token.owner)",
        "token.owner is not None and rows.alive(token.owner)",
        _CONFORMANCE,
    ),
    Mutant(
        "sweeping takes from the living",
        "store/scripts/work.py",
        "instance.status in TERMINAL or is_live(rows, token, now):",
        "instance.status in TERMINAL:",
        (SQLITE_FILE,),
        "silence",
    ),
    Mutant(
        "an attempt that died is not counted",
        "store/scripts/basis.py",
        "    token.attempt += 1\n    token.crashes += 1\n",
        "    token.crashes += 1\n",
        _CONFORMANCE,
    ),
    Mutant(
        "the count of crashes starts anew",
        "store/scripts/basis.py",
        "    token.crashes += 1\n",
        "    token.crashes = 1\n",
        _CONFORMANCE,
    ),
    Mutant(
        "who merely waited is blamed for a crash",
        "store/scripts/basis.py",
        '    if token.state != "ready" or token.owner is None:\n',
        "    if token.owner is None:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a task that kills is never quarantined by sweeping",
        "store/scripts/work.py",
        "    elif token.crashes >= max_crashes:\n",
        "    elif token.crashes > max_crashes:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a task that kills is never quarantined by claiming",
        "store/scripts/work.py",
        "    if token.crashes >= max_crashes:\n        quarantine(rows, instance, token, now)\n        return None",
        "    if token.crashes >= max_crashes + 10**9:\n        quarantine(rows, instance, token, now)\n        return None",
        _CONFORMANCE,
    ),
    Mutant(
        "two at once that may be ended by one more crash",
        "store/scripts/work.py",
        "            if marked or chosen:\n",
        "            if marked:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "one that may be ended by one more crash beside another suspect",
        "store/scripts/work.py",
        "            if marked or chosen:\n",
        "            if chosen:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "who died with others once is kept apart at once",
        "store/scripts/work.py",
        "    return max(max_crashes - 1, 1)\n",
        "    return 1\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a worker takes suspects beside one that may be ended by one more crash",
        "store/scripts/work.py",
        "    return 0 if beside >= last else",
        "    return last - 1 if beside >= last else",
        _CONFORMANCE,
    ),
)

STATES = (
    Mutant(
        "a completed instance can be cancelled",
        "core/lifecycle.py",
        "    _S.COMPLETED: {},\n",
        "    _S.COMPLETED: {_E.CANCEL: _S.CANCELLED},\n",
        ("tests/core/test_lifecycle.py", MEMORY),
    ),
    Mutant(
        "a cancelled instance can be unpaused",
        "core/lifecycle.py",
        "_E.CANCEL: _S.CANCELLED, _E.RETRY: _S.IN_PROGRESS}",
        "_E.CANCEL: _S.CANCELLED, _E.RETRY: _S.IN_PROGRESS, _E.UNPAUSE: _S.IN_PROGRESS}",
        ("tests/core/test_lifecycle.py", MEMORY),
    ),
    Mutant(
        "a finished instance takes signals",
        "store/scripts/steer.py",
        "    if instance is not None and instance.status in TERMINAL:\n",
        "    if instance is not None and not instance.status:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a cancel is not obeyed at a checkpoint",
        "store/scripts/move.py",
        '    if instance.request == "cancel":\n        # This token',
        '    if instance.request == "abort":\n        # This token',
        _CONFORMANCE,
    ),
    Mutant(
        "a pause is not obeyed at a checkpoint",
        "store/scripts/move.py",
        '    if instance.request == "pause" and not isinstance(move.decision, Fail):\n',
        '    if instance.request == "rest" and not isinstance(move.decision, Fail):\n',
        _CONFORMANCE,
    ),
    Mutant(
        "running tokens are not told of a request",
        "store/scripts/steer.py",
        "    rows.mark_tokens(instance.number, requested=True)\n",
        "",
        _CONFORMANCE,
    ),
    Mutant(
        "a request outlives the end",
        "store/scripts/basis.py",
        "        instance.request = instance.request_reason = instance.request_actor = None\n    instance.updated_at = now",
        "        pass\n    instance.updated_at = now",
        _CONFORMANCE,
    ),
    Mutant(
        "a paused instance is claimed",
        "store/scripts/start.py",
        "    if instance.status in TERMINAL or instance.status is State.PAUSED:\n",
        "    if instance.status in TERMINAL:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "workers find the tokens of an instance that is to stop",
        "store/scripts/basis.py",
        "    hushed = instance.request is not None or instance.status is State.PAUSED\n",
        "    hushed = instance.status is State.PAUSED\n",
        _CONFORMANCE,
    ),
)

SIGNALS = (
    Mutant(
        "a signal is consumed before the move it causes, in a transaction of its own",
        "store/base.py",
        "        moved = self._write(lambda rows: scripts.checkpoint(rows, fence, move, consume, hold, share))\n",
        "        if consume is not None:\n"
        "            self._write(lambda rows: rows.consume_signal(\n"
        "                rows.instance_by_number(fence.instance).instance_id, consume, rows.now()))\n"
        "            consume = None\n"
        "        moved = self._write(lambda rows: scripts.checkpoint(rows, fence, move, consume, hold, share))\n",
        (SQLITE,),
    ),
    Mutant(
        "a token parks without looking for its signal",
        "store/scripts/move.py",
        "    signal = rows.oldest_signal(instance.instance_id, awaited.signal, deadline)\n",
        "    signal = None\n",
        _CONFORMANCE,
    ),
    Mutant(
        "two tokens go on with one signal",
        "store/scripts/move.py",
        "    if consume is not None and not rows.consume_signal(instance.instance_id, consume, now):\n",
        "    if consume is not None and rows.consume_signal(instance.instance_id, consume, now) is None:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "a signal wakes nobody",
        "store/scripts/steer.py",
        "    if instance is not None:\n        _wake(rows, instance, name)\n    return True",
        "    return True",
        _CONFORMANCE,
    ),
    Mutant(
        "a wait that is taken up again begins anew",
        "store/scripts/move.py",
        '    if not (token.state == "awaiting" and token.node == move.position.node):\n        token.due_at = None',
        "    if token.due_at:\n        token.due_at = None",
        _CONFORMANCE,
    ),
    Mutant(
        "a new instance under an old id gets the old one's signals",
        "store/scripts/start.py",
        "        rows.drop_signals(new.instance_id)\n",
        "",
        _CONFORMANCE,
    ),
)

JOINS = (
    Mutant(
        "a join does not wait for the last branch",
        "store/scripts/move.py",
        "    if rows.open_branches(instance.number, arrive.parent):\n",
        "    if rows.open_branches(instance.number, arrive.parent) > 1:\n",
        _CONFORMANCE,
    ),
    Mutant(
        "branches that are done stay",
        "store/scripts/move.py",
        "    rows.drop_tokens(instance.number, arrive.parent)\n",
        "",
        _CONFORMANCE,
    ),
)

TIMES = (
    Mutant(
        "a timer fires early",
        "store/scripts/start.py",
        'return ("timer", None) if token.due_at is not None and token.due_at <= now else None',
        'return ("timer", None) if token.due_at is not None and token.due_at - 1 <= now else None',
        _CONFORMANCE,
    ),
    Mutant(
        "a delay is counted from the start of the task before",
        "store/scripts/move.py",
        "    token.due_at = now + round(wait.seconds * MICROS)\n",
        "    token.due_at = instance.created_at + round(wait.seconds * MICROS)\n",
        _CONFORMANCE,
    ),
    Mutant(
        "no jitter",
        "core/retry.py",
        "return min(delay, cap) * (1 + self.jitter * (2 * chance - 1))",
        "return min(delay, cap)",
        ("tests/core/test_small.py", "tests/retry"),
    ),
    Mutant(
        "one retry too many",
        "core/plan.py",
        "failures < policy.max_retries:",
        "failures <= policy.max_retries:",
        ("tests/core/test_plan.py", "tests/runtime/test_retry.py"),
    ),
    Mutant(
        "a crash uses up a retry",
        "core/plan.py",
        "    failures = position.attempt - 1 - position.crashes\n",
        "    failures = position.attempt - 1\n",
        ("tests/core/test_plan.py", "tests/runtime/test_retry.py"),
    ),
)

LINES = (
    Mutant(
        "the order of claims is by the instance's priority before the task's",
        "store/scripts/basis.py",
        "    token.priority = priority or instance.priority or PRIORITY\n",
        "    token.priority = instance.priority or priority or PRIORITY\n",
        _CONFORMANCE,
    ),
    Mutant(
        "sqlite: purging leaves signals behind",
        "store/sqlite/rows.py",
        "            self.drop_signals(instance.instance_id)\n            self.drop_instance(instance)\n",
        "            self.drop_instance(instance)\n",
        (SQLITE,),
    ),
    Mutant(
        "an existing instance of another definition is taken for the same",
        "store/scripts/start.py",
        "check_definition(rows, existing, new.definition.definition_hash, new.definition.structure)",
        "check_definition(rows, existing, existing.definition_hash, new.definition.structure)",
        _CONFORMANCE,
    ),
    Mutant(
        "many are created in part",
        "store/scripts/work.py",
        '    if policy != "terminate_existing":\n        _check_all(rows, news, policy)\n',
        "",
        _CONFORMANCE,
    ),
    Mutant(
        "a value that cannot be read is claimed again and again",
        "store/scripts/work.py",
        "    except (BackendError, DeserializationError) as error:\n        # It would be claimed",
        "    except (BackendError, DeserializationError) as error:\n        return None\n        # It would be claimed",
        (MEMORY, SQLITE),
    ),
    Mutant(
        "nobody is told of a new instance",
        "store/base.py",
        "        elif not claim:\n            self.hints.notify()\n",
        "",
        _CONFORMANCE,
    ),
)

RULES = FENCES + LIVENESS + STATES + SIGNALS + JOINS + TIMES + LINES
