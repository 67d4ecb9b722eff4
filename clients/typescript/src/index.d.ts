import type { InstanceRow, Trouble } from "./api.js";

export type * from "./api.js";

/** What `submit` does with an id that is taken. */
export type ConflictPolicy = "fail" | "useExisting" | "terminateExisting";

export interface WorkflowClientOptions {
  /** Sent as `Authorization: Bearer …`. */
  token?: string;
  /** "fail" when not given. */
  conflictPolicy?: ConflictPolicy;
  /** Instead of the global one. */
  fetch?: typeof fetch;
}

/** How an instance stands. */
export interface WorkflowStatus {
  status: InstanceRow["status"];
  instanceId: string;
  workflowId: string;
  definitionHash: string;
  /** RFC 3339, exact to the microsecond. */
  createdAt: string;
  updatedAt: string;
  /** Once it has completed. */
  output?: unknown;
  /** "ErrorType: message", once it has failed. */
  error?: string;
  errorDetail?: Trouble;
  reason?: string;
  cancelledBy?: string;
  pausedBy?: string;
}

/** The server refused; `code` is a stable name of the cause, such as "instance_not_found". */
export class SayiirError extends Error {
  readonly code: string;
  readonly status: number;
  readonly instanceId: string | null;
  /** How the instance stands, where that is why. */
  readonly state: string | null;
}

/** Submits workflow instances and steers them; workers do the work. */
export class WorkflowClient {
  constructor(url: string | URL, options?: WorkflowClientOptions);
  /** A client of the same server with another policy. */
  withConflictPolicy(policy: ConflictPolicy): WorkflowClient;
  /** Stores a new instance of a workflow that the server knows. */
  submit(
    workflowId: string, instanceId: string, input: unknown,
    options?: { priority?: number; definitionHash?: string; signal?: AbortSignal },
  ): Promise<WorkflowStatus>;
  cancel(instanceId: string, options?: { reason?: string }): Promise<void>;
  pause(instanceId: string, options?: { reason?: string }): Promise<void>;
  unpause(instanceId: string, options?: { reason?: string }): Promise<void>;
  /** Brings a failed or cancelled instance back to life. */
  retry(instanceId: string, options?: { fromTask?: string; input?: unknown; reason?: string }): Promise<void>;
  /** False when a signal of this name and key was sent before. */
  sendSignal(instanceId: string, signalName: string, payload: unknown, options?: { dedupKey?: string }): Promise<boolean>;
  status(instanceId: string): Promise<WorkflowStatus>;
  /** What a task gave; undefined when it has not. */
  getTaskResult(instanceId: string, taskId: string, options?: { iteration?: number }): Promise<unknown>;
  /** Waits until the instance has ended, and returns how; rejects with the code "timeout" after `timeoutSecs`. */
  wait(instanceId: string, options?: { timeoutSecs?: number; signal?: AbortSignal }): Promise<WorkflowStatus>;
}
