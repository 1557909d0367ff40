/** Connects clients to the streams of a container's process. */
import type { Socket } from "node:net";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { ATTACHED_CLIENTS_MAX } from "../../base/limits.ts";
import { tooManyAttached } from "../../runtime/mod.ts";
import type { AttachPlan } from "../../runtime/types.ts";
import type { Container } from "../container.ts";
import { markedForRemoval } from "../errors.ts";
import type { ContainerRecord } from "../state/record.ts";

/** A client's connection to a process. */
interface Attached {
  socket: Socket;
  /** Resolves when the process has ended and everybody knows: questions after that get the right answer. */
  exitKnown: Promise<unknown>;
}

/** A client's wish for a process's streams, which may come before the process is started. */
export class PendingAttach {
  readonly plan: AttachPlan;
  readonly #connection = Promise.withResolvers<Attached | undefined>();
  #cancelled = false;

  constructor(plan: AttachPlan) {
    this.plan = plan;
  }

  /** The connection, once the process runs; undefined: it will not (failed to start, removed, cancelled). */
  get connection(): Promise<Attached | undefined> {
    return this.#connection.promise;
  }

  /** Hands over the connection; called by whoever starts the process. */
  deliver(attached: Attached | undefined): void {
    if (this.#cancelled) attached?.socket.destroy();
    else this.#connection.resolve(attached);
  }

  /** Gives the wish up: the client has gone. */
  cancel(): void {
    this.#cancelled = true;
    this.#connection.resolve(undefined);
  }
}

/**
 * Asks for the streams of the container's process: the running one, or the next one from its first byte. `ref` is what the client
 * called the container. `begin` opens the client's stream, once nothing speaks against it; no output that comes later is missed.
 * The caller cancels the wish when its client goes away.
 */
export function attach(container: Container, ref: string, plan: AttachPlan, begin: () => void): Promise<PendingAttach> {
  // This runs in the queue, since a start that is under way has taken its list of attaches already.
  return container.queue.run(async () => {
    if (container.record.status === "removing") throw markedForRemoval(container.id);
    if (container.record.paused)
      throw new LighterError("conflict", `container ${ref} is paused, unpause the container before attach`);
    if (container.restarts.isWaiting)
      throw new LighterError("conflict", `container ${ref} is restarting, wait until the container is running`);
    const pending = new PendingAttach(plan);
    container.publish("attach");
    const { exitKnown } = container;
    const socket = container.isRunning ? await connectTo(container, plan) : undefined;
    if (socket !== undefined) {
      pending.deliver({ socket, exitKnown });
      begin();
      return pending;
    }
    if (container.pendingAttaches.size >= ATTACHED_CLIENTS_MAX) throw tooManyAttached();
    begin();
    container.pendingAttaches.add(pending);
    void pending.connection.then(() => container.pendingAttaches.delete(pending));
    return pending;
  });
}

/**
 * Tells whether output has headers. Clients know a terminal by `Tty`: the console of a machine without one is sent to them as the
 * output of any process.
 */
export function withHeaders({ config }: Pick<ContainerRecord, "config">, plan: AttachPlan): AttachPlan {
  return config.Tty ? plan : { ...plan, headers: true };
}

/** Connects to a process; undefined if it has ended and its end has not been noted yet. */
async function connectTo({ supervised, record }: Container, plan: AttachPlan): Promise<Socket | undefined> {
  try {
    return await supervised?.attach(withHeaders(record, plan));
  } catch (error) {
    if (["ENOENT", "ECONNREFUSED"].includes(errnoOf(error))) return undefined;
    throw error;
  }
}
