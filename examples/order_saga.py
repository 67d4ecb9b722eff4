"""An order as a saga: reserve, charge, then ship; or, if the card is declined, give the goods back.

Shows a route that compensates, a failure that is an outcome rather than an exception, and what the three conflict
policies do when the same order comes in twice.
"""

from sayiir import Flow, InMemoryBackend, InstanceAlreadyExistsError, WorkflowClient, resume_workflow, task


@task
def reserve(order: dict) -> dict:
    print(f"  reserve {order['item']}")
    return {**order, "reserved": True}


@task(retries=2)
def charge(order: dict) -> dict:
    # A declined card is an answer, not a failure: retrying would not change it.
    print(f"  charge {order['amount']} to {order['card']}")
    return {**order, "payment": "declined" if order["card"] == "expired" else "paid"}


@task
def ship(order: dict) -> str:
    print(f"  ship {order['item']}")
    return f"{order['item']} is on its way"


@task
def give_back(order: dict) -> str:
    print(f"  put {order['item']} back on the shelf")
    return f"{order['item']} was not sold"


saga = (
    Flow("order")
    .then(reserve)
    .then(charge)
    .route(lambda order: order["payment"], keys=["paid", "declined"])
    .branch("paid", ship)
    .branch("declined", give_back)
    .done()
    .build()
)


def main() -> None:
    backend = InMemoryBackend()
    client = WorkflowClient(backend)

    for instance_id, card in (("order-1", "valid"), ("order-2", "expired")):
        print(instance_id)
        client.submit(saga, instance_id, {"item": "lamp", "amount": 30, "card": card})
        print(" ", resume_workflow(saga, instance_id, backend).output["result"])

    again = {"item": "lamp", "amount": 30, "card": "valid"}
    try:
        client.submit(saga, "order-1", again)
    except InstanceAlreadyExistsError as error:
        print("fail:", error.code)

    # A shop's page that is sent twice must not sell twice: the first order answers.
    status = client.with_conflict_policy("use_existing").submit(saga, "order-1", again)
    print("use_existing:", status.output["result"])

    status = client.with_conflict_policy("terminate_existing").submit(saga, "order-1", again)
    print("terminate_existing:", status.status)
    print(" ", resume_workflow(saga, "order-1", backend).output["result"])


if __name__ == "__main__":
    main()

"""Prints:
order-1
  reserve lamp
  charge 30 to valid
  ship lamp
  lamp is on its way
order-2
  reserve lamp
  charge 30 to expired
  put lamp back on the shelf
  lamp was not sold
fail: instance_already_exists
use_existing: lamp is on its way
terminate_existing: in_progress
  reserve lamp
  charge 30 to valid
  ship lamp
  lamp is on its way
"""
