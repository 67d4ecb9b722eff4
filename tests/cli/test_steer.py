"""`sayiir instance cancel|pause|unpause|retry` and `sayiir signal send`: by id, from stdin, by filter."""

import pytest

from sayiir import WorkflowClient, connect
from sayiir.service import Access, Role, Service
from tests.cli.shop import quick


def statuses(place):
    with connect(place.database) as backend:
        return {row.instance_id: row.status for row in WorkflowClient(backend).find_all()}


def audit(place):
    with connect(place.database) as backend:
        lines, _ = Service(backend).audit(Access("test", Role.ADMIN))
        return [(line.action, line.target, line.reason) for line in lines]


@pytest.mark.parametrize(
    ("verb", "target", "status"),
    [
        ("cancel", "waits-1", "cancelled"),
        ("pause", "new-1", "paused"),
        ("unpause", "paused-1", "in_progress"),
        ("retry", "failed-1", "in_progress"),
        ("retry", "cancelled-1", "in_progress"),
    ],
)
def test_one_instance(place, verb, target, status):
    lines = place("instance", verb, target, "--reason", "because").lines
    assert lines[1].split()[0] == target
    assert lines[1].split()[2] == status
    assert statuses(place)[target] == status
    assert audit(place)[0] == (verb, target, "because")


@pytest.mark.parametrize("verb", ["cancel", "pause", "unpause", "retry"])
def test_every_form(shop, verb):
    target = {"unpause": "paused-1", "retry": "failed-1"}.get(verb, "waits-1")
    again = {"pause": "unpause", "unpause": "pause", "cancel": "retry", "retry": "cancel"}[verb]
    wide = shop("instance", verb, target, "-o", "wide").lines
    assert "VERSION" in wide[0]
    shop("instance", again, target)
    assert shop.json("instance", verb, target)["items"][0]["instance_id"] == target
    shop("instance", again, target)
    assert [row["instance_id"] for row in shop.jsonl("instance", verb, target)] == [target]
    shop("instance", again, target)
    assert shop.ids("instance", verb, target) == [target]


def test_ids_from_a_pipe(place):
    assert place.ids("instance", "pause", "-", input="new-1\nwaits-1\n") == ["new-1", "waits-1"]
    assert statuses(place)["waits-1"] == "paused"


def test_what_is_refused_does_not_stop_the_rest(place):
    done = place("instance", "cancel", "done-1", "nobody", "new-1", "-o", "ids", code=5)
    assert done.lines == ["new-1"]
    assert done.err.splitlines() == [
        "sayiir: cannot cancel instance 'done-1': it is completed; only an instance that has not finished can be cancelled",
        "sayiir: instance 'nobody' not found; check the id and the backend",
    ]
    assert place("instance", "cancel", "nobody", code=4).out == ""


def test_a_dry_run_changes_nothing(place):
    before = statuses(place)
    done = place("instance", "cancel", "--where", "workflow:orders", "--dry-run")
    assert [line.split() for line in done.lines] == [
        ["action", "cancel"], ["matched", "3"], ["would", "be", "done", "1"], ["refused", "2"],
    ]  # fmt: skip
    assert len(done.err.splitlines()) == 2
    total = place.json("instance", "cancel", "new-1", "done-1", "--dry-run")
    assert (total["dry_run"], total["matched"], total["done"], total["refused"][0][0]) == (True, 2, 1, "done-1")
    assert statuses(place) == before


def test_all_that_fit(place):
    done = place("instance", "pause", "--where", "status:in_progress,awaiting_signal", "--yes", "--reason", "stop")
    assert [line.split() for line in done.lines] == [["action", "pause"], ["matched", "2"], ["done", "2"], ["refused", "0"]]
    assert statuses(place)["new-1"] == statuses(place)["waits-1"] == "paused"
    assert ("pause", "new-1", "stop") in audit(place)


def test_all_that_fit_in_the_other_forms(shop):
    part, = shop.jsonl("instance", "pause", "--where", "new-1", "--yes")
    assert (part["action"], part["done"]) == ("pause", 1)
    assert shop.json("instance", "pause", "--where", "done-1", "--yes", code=5)["refused"][0][0] == "done-1"
    assert shop.ids("instance", "cancel", "--where", "workflow:orders", "--yes", code=5) == ["failed-1", "done-1"]
    assert "matched" in shop("instance", "unpause", "--where", "new-1", "-y", "-o", "wide").out


def test_more_than_one_portion(shop):
    with connect(shop.database) as backend:
        WorkflowClient(backend).submit_many(quick, [(f"many-{number}", number) for number in range(1100)])
    parts = shop.jsonl("instance", "cancel", "--where", "many-", "--yes")
    assert [part["done"] for part in parts] == [1000, 100]
    done = shop("instance", "retry", "--where", "many-", "--yes")
    assert "matched  1100" in done.out
    assert done.err == "1000 of 1000 …\n"
    ids = "".join(f"many-{number}\n" for number in range(1100))
    assert shop.json("instance", "cancel", "-", "--dry-run", input=ids)["done"] == 1100


def test_a_filter_asks_first(shop):
    done = shop("instance", "cancel", "--where", "workflow:orders", code=2)
    assert done.err == (
        "sayiir: cancel 3 instances that fit 'workflow:orders': nobody can be asked here; add --yes, or --dry-run to see "
        "what it would do\n"
    )
    assert statuses(shop)["waits-1"] == "awaiting_signal"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which: ids, - for ids on stdin, or --where with a filter"),
        (["a", "--where", "b"], "say which: ids, - for ids on stdin, or --where with a filter, not both"),
        (["--where", " "], "--where is empty and would mean every instance; write a word at least, as in status:failed"),
    ],
)
@pytest.mark.parametrize("command", [("instance", "cancel"), ("instance", "retry"), ("signal", "send", "approval")])
def test_a_selection_must_be_one(shop, command, words, said):
    assert shop(*command, *words, code=2).err.splitlines()[-1] == f"Error: {said}"


def test_retry_from_a_task_with_another_input(place):
    place("instance", "retry", "failed-1", "--from", "charge", "--input", '{"amount": 5, "customer": "x"}')
    assert statuses(place)["failed-1"] == "in_progress"
    done = place("instance", "retry", "cancelled-1", "--from", "nothing", code=2)
    assert done.err.startswith("sayiir: ")
    assert "nothing" in done.err


def test_retry_of_many_has_no_input(shop):
    assert "named instances" in shop("instance", "retry", "--where", "failed", "--from", "x", code=2).err
    done = shop("instance", "retry", "failed-1", "--input", "{not json", code=2)
    assert done.err.startswith("sayiir: --input is no JSON: ")


def test_a_signal(place):
    lines = place("signal", "send", "approval", "waits-1", "--payload", '{"approved": false}').lines
    assert lines == ["INSTANCE  SIGNAL    SENT", "waits-1   approval  yes"]
    from sayiir import resume_workflow
    from tests.cli.shop import orders

    with connect(place.database) as backend:
        assert resume_workflow(orders, "waits-1", backend).output == "shipped: False"
    assert audit(place)[0][:2] == ("signal", "waits-1")


def test_a_signal_in_the_other_forms(shop, tmp_path):
    (tmp_path / "payload.json").write_text('{"approved": true}\n')
    payload = ["--payload", f"@{tmp_path}/payload.json"]
    sent = {"instance_id": "waits-1", "signal": "approval", "accepted": True}
    assert shop.json("signal", "send", "approval", "waits-1", *payload) == {"items": [sent]}
    assert shop.jsonl("signal", "send", "approval", "waits-1", "--dedup-key", "k") == [sent]
    assert shop.jsonl("signal", "send", "approval", "waits-1", "--dedup-key", "k") == [{**sent, "accepted": False}]
    assert shop.ids("signal", "send", "approval", "-", input="waits-1\n") == ["waits-1"]
    assert shop("signal", "send", "approval", "waits-1", "--payload", "-", "-o", "wide", input="1").lines[1].endswith("yes")


def test_a_signal_to_all_that_fit(shop):
    words = ["signal", "send", "approval", "--where", "status:awaiting_signal"]
    done = shop(*words, "--dry-run", "-o", "ids")
    assert (done.lines, done.err) == (["waits-1"], "nothing was sent\n")
    assert "add --yes" in shop(*words, code=2).err
    assert shop.ids(*words, "--yes") == ["waits-1"]
    assert [line[:2] for line in audit(shop)] == [("signal", "waits-1")]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("yes", "sayiir: --payload is no JSON: JSON is malformed: invalid character (byte 0); text needs quotes: '\"yes\"'"),
        ("@no/such/file", "sayiir: --payload: 'no/such/file' cannot be read: No such file or directory; check the path"),
    ],
)
def test_a_payload_that_cannot_be_read(shop, payload, said):
    assert shop("signal", "send", "approval", "waits-1", "--payload", payload, code=2).err == f"{said}\n"
    assert audit(shop) == []


def test_stdin_is_read_once(shop):
    done = shop("signal", "send", "approval", "-", "--payload", "-", code=2)
    assert done.err.splitlines()[-1] == "Error: stdin cannot be both the ids and the payload; use --payload @file"


def test_a_signal_to_an_instance_that_has_ended(shop):
    assert shop("signal", "send", "approval", "done-1", code=5).err.startswith("sayiir: ")
