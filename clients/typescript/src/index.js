// The client of the HTTP API. One class, no dependencies; what it gives is described in index.d.ts.

const POLICIES = { fail: "fail", useExisting: "use_existing", terminateExisting: "terminate_existing" };
const ENDED = new Set(["completed", "failed", "cancelled"]);
const LONG_POLL_SECS = 25;

export class SayiirError extends Error {
  /** @param {{ code?: string, status?: number, detail?: string, title?: string, instance_id?: string | null, state?: string | null }} problem */
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "the server refused");
    this.name = "SayiirError";
    this.code = problem.code ?? "unknown";
    this.status = problem.status ?? 0;
    this.instanceId = problem.instance_id ?? null;
    this.state = problem.state ?? null;
  }
}

export class WorkflowClient {
  #base;
  #options;

  /** @param {string | URL} url @param {import("./index.js").WorkflowClientOptions} [options] */
  constructor(url, options = {}) {
    this.#base = `${String(url).replace(/\/+$/, "")}/api/v1`;
    this.#options = options;
    if (!(policyOf(options) in POLICIES)) {
      throw new RangeError(`conflictPolicy must be one of ${Object.keys(POLICIES).join(", ")}, not ${String(options.conflictPolicy)}`);
    }
  }

  /** @param {import("./index.js").ConflictPolicy} policy */
  withConflictPolicy(policy) {
    return new WorkflowClient(this.#base.slice(0, -"/api/v1".length), { ...this.#options, conflictPolicy: policy });
  }

  /** @param {string} workflowId @param {string} instanceId @param {unknown} input @param {{ priority?: number, definitionHash?: string, signal?: AbortSignal }} [options] */
  async submit(workflowId, instanceId, input, { priority, definitionHash, signal } = {}) {
    const policy = POLICIES[policyOf(this.#options)];
    const body = { workflow_id: workflowId, instance_id: instanceId, input, policy, priority, definition_hash: definitionHash };
    const answer = await this.#ask("POST", "/instances", body, signal);
    return answer.status === 201 ? statusOf(await answer.json()) : this.status(instanceId);
  }

  /** @param {string} instanceId @param {{ reason?: string }} [options] */
  async cancel(instanceId, options = {}) {
    await this.#ask("POST", path(instanceId, "cancel"), options);
  }

  /** @param {string} instanceId @param {{ reason?: string }} [options] */
  async pause(instanceId, options = {}) {
    await this.#ask("POST", path(instanceId, "pause"), options);
  }

  /** @param {string} instanceId @param {{ reason?: string }} [options] */
  async unpause(instanceId, options = {}) {
    await this.#ask("POST", path(instanceId, "unpause"), options);
  }

  /** @param {string} instanceId @param {{ fromTask?: string, input?: unknown, reason?: string }} [options] */
  async retry(instanceId, { fromTask, input, reason } = {}) {
    await this.#ask("POST", path(instanceId, "retry"), { from_task: fromTask, input, reason });
  }

  /** @param {string} instanceId @param {string} signalName @param {unknown} payload @param {{ dedupKey?: string }} [options] @returns {Promise<boolean>} */
  async sendSignal(instanceId, signalName, payload, { dedupKey } = {}) {
    const answer = await this.#ask("POST", path(instanceId, "signals", signalName), { payload, dedup_key: dedupKey });
    return (await answer.json()).accepted;
  }

  /** @param {string} instanceId */
  async status(instanceId) {
    return this.#output(instanceId, 0);
  }

  /** @param {string} instanceId @param {string} taskId @param {{ iteration?: number }} [options] @returns {Promise<unknown>} */
  async getTaskResult(instanceId, taskId, { iteration } = {}) {
    const query = iteration === undefined ? "" : `?iteration=${iteration}`;
    const found = await (await this.#ask("GET", path(instanceId, "tasks", taskId) + query)).json();
    return found.found ? found.value : undefined;
  }

  /** @param {string} instanceId @param {{ timeoutSecs?: number, signal?: AbortSignal }} [options] */
  async wait(instanceId, { timeoutSecs = Infinity, signal } = {}) {
    const deadline = Date.now() + timeoutSecs * 1000;
    for (;;) {
      const left = Math.max(0, (deadline - Date.now()) / 1000);
      const status = await this.#output(instanceId, Math.min(left, LONG_POLL_SECS), signal);
      if (ENDED.has(status.status)) return status;
      if (left === 0) throw new SayiirError({ code: "timeout", detail: `instance ${instanceId} is still ${status.status}`, state: status.status });
    }
  }

  /** @param {string} instanceId @param {number} secs @param {AbortSignal} [signal] */
  async #output(instanceId, secs, signal) {
    const answer = await this.#ask("GET", `${path(instanceId, "output")}?timeout=${secs.toFixed(3)}`, undefined, signal);
    const found = await answer.json();
    return statusOf(found.instance, found.output, found.error);
  }

  /** @param {string} method @param {string} where @param {object} [body] @param {AbortSignal} [signal] */
  async #ask(method, where, body, signal) {
    /** @type {Record<string, string>} */
    const headers = { accept: "application/json" };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (this.#options.token) headers.authorization = `Bearer ${this.#options.token}`;
    const send = this.#options.fetch ?? fetch;
    const answer = await send(this.#base + where, {
      method, headers, redirect: "error", body: body === undefined ? null : JSON.stringify(body), signal: signal ?? null,
    });
    if (answer.ok) return answer;
    const text = await answer.text();
    throw new SayiirError({ status: answer.status, ...problemOf(text, answer.status) });
  }
}

/** @param {import("./index.js").WorkflowClientOptions} options */
function policyOf(options) {
  return options.conflictPolicy ?? "fail";
}

/** @param {string} instanceId @param {string[]} more */
function path(instanceId, ...more) {
  // A segment of dots alone would be taken for a way up.
  return `/instances/${[instanceId, ...more].map((part) => encodeURIComponent(part).replaceAll(".", "%2E")).join("/")}`;
}

/** @param {string} text @param {number} status */
function problemOf(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    return { detail: `the server answered ${status}; is this the address of a sayiir server?` };
  }
}

/**
 * @param {import("./api.js").InstanceRow} row @param {unknown} [output] @param {import("./api.js").Trouble | null} [trouble]
 * @returns {import("./index.js").WorkflowStatus}
 */
function statusOf(row, output, trouble) {
  /** @type {import("./index.js").WorkflowStatus} */
  const found = {
    status: row.status, instanceId: row.instance_id, workflowId: row.workflow_id, definitionHash: row.definition_hash,
    createdAt: row.created_at, updatedAt: row.updated_at,
  };
  if (row.status === "completed") found.output = output;
  if (trouble) {
    found.error = trouble.message ? `${trouble.error_type}: ${trouble.message}` : trouble.error_type;
    found.errorDetail = trouble;
  }
  if (row.reason !== null) found.reason = row.reason;
  if (row.actor !== null && row.status === "cancelled") found.cancelledBy = row.actor;
  if (row.actor !== null && row.status === "paused") found.pausedBy = row.actor;
  return found;
}
