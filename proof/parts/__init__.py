"""The parts of the proof, and their shares of an hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from proof.part import Budget, Figures, Part
from proof.parts import mutants, parked, real, scenarios, simulation, soak, takeover
from proof.rounds import rounds

_LONG_SECS = 240.0
"""With so much time a part's tests are run at their full length, else at that of every push, again and again."""


def _tests(*tests: str, more: Mapping[str, str] | None = None, only: Sequence[str] = ()) -> Callable[[Budget], Figures]:
    def run(budget: Budget) -> Figures:
        long = {"SAYIIR_PROVE": "1", **(more or {})} if budget.seconds >= _LONG_SECS else {}
        return rounds(budget, [*tests, *only], long)

    return run


PARTS: tuple[Part, ...] = (
    Part("simulation", "deterministic simulation of workers, stores and clients", 12, simulation.run),
    Part("crashes", "a crash at every effect, random flows, signals and steering", 4, _tests(
        "tests/proof/test_crash_everywhere.py", "tests/proof/test_random_flows.py", "tests/proof/test_signals.py",
        "tests/proof/test_steering.py",
    )),
    Part("interleavings", "racing verbs statement by statement, with a fault after each", 9, _tests(
        "tests/postgres/test_interleavings.py", "tests/postgres/test_statement_faults.py",
        "tests/store/test_sqlite_statement_faults.py", more={"SAYIIR_ALL_ORDERS": "1"},
    )),
    Part("models", "verbs of stores and of users against reference models", 4, _tests(
        "tests/conformance/test_model.py", "tests/proof/test_verbs.py",
    )),
    Part("kills", "SIGKILL of processes on SQLite", 3, _tests("tests/proof/test_kill.py")),
    Part("chaos", "workers killed and stopped, servers restarted, connections ended, clocks wrong", 8, _tests(
        "tests/proof/test_chaos.py",
    )),
    Part("faults", "answers lost, servers away, connections cut", 3, _tests(
        "tests/postgres/test_faults.py", "tests/postgres/test_presence.py", "tests/postgres/test_races.py",
        "tests/postgres/test_cuts.py", "tests/postgres/test_refusals.py", "tests/postgres/test_doubt.py",
        "tests/postgres/test_bouncer.py", "tests/postgres/test_quick.py", "tests/postgres/test_standstill.py",
        "tests/postgres/test_explained.py",
    )),
    Part("poison", "tasks that kill, hang or fork in their process", 2, _tests(
        "tests/proof/test_poison.py", "tests/worker/test_processes.py", "tests/process",
    )),
    Part("power", "power cuts on SQLite", 2, _tests("tests/proof/test_power.py")),
    Part("fuzz", "damaged rows, ids, values", 2, _tests("tests/proof/test_fuzz.py")),
    Part("upgrade", "files of earlier formats, opened and finished", 0.5, _tests("tests/upgrade")),
    Part("scenarios", "the five public scenarios", 7, scenarios.run),
    Part("takeover", "from SIGKILL to the next attempt elsewhere", 2, takeover.run),
    Part("real", "six cases beside real sayiir 1.0.0", 1.5, real.run),
    Part("soak", "a steady stream, and nothing that grows", 6, soak.run),
    Part("parked", "very many instances that wait", 4, parked.run),
    Part("mutants", "faults in our own code, each of which the tests must notice", 20, mutants.run),
)  # fmt: skip
