"""Faults in what came later: claims that ask for a place, retries left to others, early signals, answers that were lost."""

from proof.mutants.mutant import MEMORY, POSTGRES, SQLITE, Mutant

_BEFORE = "only_what_comes_before"
_AVOIDING = ("tests/worker/test_affinity.py",)
_EARLY = ("tests/postgres/test_early_signals.py",)
_DOUBT = ("tests/postgres/test_doubt.py", "tests/postgres/test_faults.py")
_DAMAGE = ("tests/retry/test_damage.py",)
_QUICK = ("tests/postgres/test_quick.py",)

LATER = (
    Mutant(
        "sqlite: a late step is answered from what its new owner wrote",
        "store/sqlite/steps.py",
        "    written = set(connection.execute(_statement(len(steps)), values).fetchall())\n",
        "    connection.execute(_statement(len(steps)), values).fetchall()\n"
        '    there = "SELECT 1 FROM sayiir_results WHERE instance = ? AND ref = ?"\n'
        "    written = {step.key for step in steps if connection.execute(there, step.key).fetchone()}\n",
        ("tests/store/test_sqlite_steps.py",),
    ),
    Mutant(
        "postgres: a late step is answered from what its new owner wrote",
        "store/postgres/hot.py",
        "            if row != (line.worker, line.started_at):\n",
        "            if row is None:\n",
        ("tests/postgres/test_doubt.py",),
        "new_owner",
    ),
    Mutant(
        "memory: a claim that asks for what comes before a place takes anything",
        "store/memory/rows.py",
        "latest = now if before is None else min(now, before - round(priority * aging * MICROS) - 1)",
        "latest = now",
        (MEMORY,),
        _BEFORE,
    ),
    Mutant(
        "sqlite: a claim that asks for what comes before a place takes anything",
        "store/sqlite/rows.py",
        "latest = now if before is None else min(now, before - round(priority * aging * MICROS) - 1)",
        "latest = now",
        (SQLITE,),
        _BEFORE,
    ),
    Mutant(
        "postgres: a claim that asks for what comes before a place takes anything",
        "store/postgres/sql.py",
        " AND wake_at < $9::bigint - l.priority * $3::bigint\n",
        " AND $9::bigint IS NOT NULL\n",
        (POSTGRES,),
        _BEFORE,
    ),
    Mutant(
        "a full worker looks for any token, urgent or not",
        "runtime/claimer.py",
        "works = self._claim(shift.lanes, 1, round(max(job.urgency(aging) for job in jobs))).works",
        "works = self._claim(shift.lanes, 1).works",
        ("tests/worker/test_order.py", "tests/worker/test_slots.py"),
    ),
    Mutant(
        "a retry avoids nobody",
        "store/scripts/basis.py",
        "token.avoid = token.owner if rows.in_company() else None",
        "token.avoid = None",
        _AVOIDING,
    ),
    Mutant(
        "who works alone leaves his retries to others",
        "store/scripts/basis.py",
        "token.avoid = token.owner if rows.in_company() else None",
        "token.avoid = token.owner",
        _AVOIDING,
    ),
    Mutant(
        "postgres: a retry may never run where it failed",
        "store/postgres/sql.py",
        " OR wake_at <= (SELECT now FROM c) - $8::bigint)",
        " OR $8::bigint < 0)",
        _AVOIDING,
    ),
    Mutant(
        "sqlite: a retry may never run where it failed",
        "store/sqlite/sql.py",
        "    AND (avoid IS NULL OR avoid <> ? OR wake_at <= ?) ORDER BY wake_at LIMIT ?",
        "    AND (avoid IS NULL OR avoid <> ? OR ? < 0) ORDER BY wake_at LIMIT ?",
        _AVOIDING,
    ),
    Mutant(
        "who gives work back leaves it to others",
        "store/scripts/basis.py",
        '    if token.state != "backoff":\n        token.avoid = None\n    elif',
        "    if",
        (POSTGRES,),
        "gives_work_back",
    ),
    Mutant(
        "postgres: a signal that is sent before its instance is there is not marked",
        "store/postgres/sql.py",
        "@clock_micros(), NOT EXISTS (SELECT 1 FROM there)\n",
        "@clock_micros(), false\n",
        _EARLY,
    ),
    Mutant(
        "postgres: every signal is taken for an early one",
        "store/postgres/sql.py",
        "@clock_micros(), NOT EXISTS (SELECT 1 FROM there)\n",
        "@clock_micros(), true\n",
        _EARLY,
    ),
    Mutant(
        "postgres: nobody looks for early signals",
        "store/postgres/claims.py",
        "        return silent, early or is_time\n",
        "        return silent, is_time and False\n",
        _EARLY,
    ),
    Mutant(
        "postgres: a claim whose answer was lost is forgotten",
        "store/postgres/claims.py",
        "                self._forgotten[own] = self._clock.monotonic() + REMEMBER_SECS\n                raise\n",
        "                raise\n",
        _DOUBT,
    ),
    Mutant(
        "postgres: a batch whose answer was lost is made again without looking",
        "store/postgres/hot.py",
        "            self._lose(batch)  # one by one it is found out whose fault it was\n",
        "            self._own.drop()\n",
        ("tests/postgres/test_doubt.py",),
        "in_doubt",
    ),
    Mutant(
        "postgres: a write that is there already is an error",
        "store/postgres/hot.py",
        "            if not self._landed(connection, entry):\n                raise\n",
        "            raise\n",
        _DOUBT,
    ),
    Mutant(
        "postgres: a signal that was consumed in doubt is awaited again",
        "store/postgres/hot.py",
        "                self._landed(connection, entry)  # likewise: its signal is used up\n",
        "                pass\n",
        _DOUBT,
    ),
    Mutant(
        "damage lets an old fence fit",
        "store/columns.py",
        "if ended else instance.updated_at",
        "if ended else 1",
        _DAMAGE,
    ),
    Mutant(
        "a retry after damage has nothing to move",
        "runtime/retry.py",
        "    if from_task is None and not ended:\n",
        "    if from_task is None and ended is None:\n",
        _DAMAGE,
    ),
    Mutant(
        "a copy of a worker that a task forked off stays",
        "runtime/threads.py",
        "        os._exit(0)\n",
        "        pass\n",
        ("tests/proof/test_poison.py",),
        "forks and sqlite",
    ),
    Mutant(
        "postgres: an error of the server is an empty answer",
        "store/postgres/quick.py",
        "            failed = failed or errors.error_from_result(result)\n",
        "            failed = failed or None\n",
        _QUICK,
        "errors",
    ),
    Mutant(
        "postgres: a text ends at its first NUL",
        "store/postgres/quick.py",
        '    if b"\\0" in text:  # it would end there\n',
        '    if text == b"\\0":  # it would end there\n',
        _QUICK,
        "errors",
    ),
    Mutant(
        "postgres: purging leaves signals behind",
        "store/postgres/rows.py",
        "        self._do(self._sql.DROP_SIGNALS, ([instance.instance_id for instance in instances],) * 2)\n",
        "        pass\n",
        (POSTGRES,),
        "signals_and_their_keys",
    ),
)
