// Against a live server with a worker: SAYIIR_TEST_URL and SAYIIR_TEST_TOKEN, as tests/clients/test_typescript.py starts it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SayiirError, WorkflowClient } from "../src/index.js";

const url = process.env.SAYIIR_TEST_URL ?? "";
const token = process.env.SAYIIR_TEST_TOKEN ?? "";
const client = new WorkflowClient(url, { token });

/** @param {string} code */
const refused = (code) => (/** @type {unknown} */ error) => error instanceof SayiirError && error.code === code;

test("submit, wait, results", async () => {
  const status = await client.submit("double", "a/b ü.", 21, { priority: 1 });
  assert.equal(status.status, "in_progress");
  const ended = await client.wait("a/b ü.", { timeoutSecs: 60 });
  assert.equal(ended.status, "completed");
  assert.equal(ended.output, 42);
  assert.equal((await client.status("a/b ü.")).output, 42);
  assert.equal(await client.getTaskResult("a/b ü.", "double"), 42);
});

test("conflict policies", async () => {
  await client.submit("gate", "conflict", 1);
  await assert.rejects(client.submit("gate", "conflict", 1), refused("instance_already_exists"));
  const existing = await client.withConflictPolicy("useExisting").submit("gate", "conflict", 1);
  assert.equal(existing.instanceId, "conflict");
  const fresh = await client.withConflictPolicy("terminateExisting").submit("gate", "conflict", 2);
  assert.equal(fresh.status, "in_progress");
  // @ts-expect-error -- none of the three
  assert.throws(() => client.withConflictPolicy("use_existing"), RangeError);
});

test("signals, once by key", async () => {
  await client.submit("gate", "signalled", 1);
  await client.pause("signalled"); // or it may have ended when the second one comes
  await until("signalled", "paused");
  assert.equal(await client.sendSignal("signalled", "go", 5, { dedupKey: "k" }), true);
  assert.equal(await client.sendSignal("signalled", "go", 6, { dedupKey: "k" }), false);
  await client.unpause("signalled");
  assert.equal((await client.wait("signalled", { timeoutSecs: 60 })).output, 5);
  await assert.rejects(client.sendSignal("signalled", "go", 1), refused("invalid_state"));
});

test("cancel, pause, unpause, retry", async () => {
  await client.submit("gate", "steered", 1);
  await client.pause("steered", { reason: "lunch" });
  let status = await until("steered", "paused");
  assert.equal(status.reason, "lunch");
  assert.equal(status.pausedBy, "token");
  await client.unpause("steered");
  await client.cancel("steered", { reason: "enough" });
  status = await client.wait("steered", { timeoutSecs: 60 });
  assert.deepEqual([status.status, status.reason, status.cancelledBy], ["cancelled", "enough", "token"]);
  await client.retry("steered");
  assert.notEqual((await client.status("steered")).status, "cancelled");
});

test("failures tell why", async () => {
  await client.submit("bad", "broken", 1);
  const status = await client.wait("broken", { timeoutSecs: 60 });
  assert.equal(status.status, "failed");
  assert.equal(status.error, "ZeroDivisionError: integer division or modulo by zero");
  assert.equal(status.errorDetail?.task_id, "boom");
});

test("refusals have codes", async () => {
  await assert.rejects(client.status("nobody"), refused("instance_not_found"));
  await assert.rejects(client.submit("nobody", "x", 1), refused("unknown_workflow"));
  await assert.rejects(client.submit("double", "x", "text"), refused("deserialization_error"));
  await assert.rejects(new WorkflowClient(url, { token: "wrong" }).status("x"), refused("unauthorized"));
  await client.submit("gate", "waiting", 1);
  await assert.rejects(client.wait("waiting", { timeoutSecs: 0.05 }), refused("timeout"));
  assert.equal(await client.getTaskResult("waiting", "last"), undefined);
});

/** @param {string} id @param {string} wanted */
async function until(id, wanted) {
  for (;;) {
    const status = await client.status(id);
    if (status.status === wanted) return status;
  }
}
