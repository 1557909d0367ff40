/** Talks to a container's supervisor. */
import { text } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { SIGKILL } from "../../base/signals.ts";
import { FRAME, OP_INDEX_UNKNOWN } from "../program/format.ts";
import { errnoName } from "../sys/errno.ts";
import { ControlSocket } from "./control-socket.ts";
import { parseExitRecord, type RawExitRecord } from "./exit-record.ts";
import { encodeFrame, type Frame, FrameReader } from "./frames.ts";

/** The op at which a start failed, and its errno. Index -1: the child died, or the launcher refused the program. */
export interface PlayFailure {
  opIndex: number;
  errno: string;
}

/**
 * Thrown by `created`, `started` and `start` when the launcher reports a failed op. The caller has the program and words the
 * message.
 */
export class PlayError extends Error {
  override readonly name = "PlayError";
  constructor(readonly failure: PlayFailure) {
    super(`op ${failure.opIndex}: ${failure.errno}`);
  }
}

function settled<T>(): PromiseWithResolvers<T> {
  const resolvers = Promise.withResolvers<T>();
  resolvers.promise.catch(() => {}); // whoever awaits it sees the rejection; nobody has to
  return resolvers;
}

/** The control connection to a supervisor: events, and requests answered in order. The process lives on when it closes. */
export class SupervisorConnection {
  #socket: ControlSocket | undefined;
  readonly #reader = new FrameReader();
  readonly #answers: PromiseWithResolvers<number>[] = [];
  readonly #pauses: PromiseWithResolvers<number>[] = [];
  #pausesSeen = 0;
  #failure: Error | undefined;
  readonly #started = settled<number>();
  readonly #exited = settled<RawExitRecord>();
  readonly #closed = settled<void>();

  /** Resolves with the process's pid once execve(2) has succeeded. */
  readonly started = this.#started.promise;
  /** Rejects ("unavailable") when the connection ends without an exit record. */
  readonly exited = this.#exited.promise;
  /** Resolves when the supervisor has gone, or after `disconnect`. */
  readonly closed = this.#closed.promise;
  /** Called when the log's files have got new names; once for several times in quick succession. */
  onRotated: () => void = () => {};
  /** What the process says of itself by sd_notify(3), as in NOTIFIED. */
  notified = "";
  /** Called when `notified` has changed. */
  onNotified: () => void = () => {};

  private constructor() {}

  static async open(path: string): Promise<SupervisorConnection> {
    const connection = new SupervisorConnection();
    connection.#socket = await ControlSocket.open(
      path,
      (bytes) => connection.#onData(bytes),
      () => connection.#onClose(),
    );
    connection.#socket.write(encodeFrame(FRAME.CONTROL));
    return connection;
  }

  #onData(chunk: Uint8Array): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#onFrame(frame);
    } catch (error) {
      this.#exited.reject(error);
      this.#socket?.destroy();
    }
  }

  #onFrame({ kind, payload }: Frame): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    switch (kind) {
      case FRAME.CREATED:
        this.#pause(this.#pausesSeen).resolve(view.getUint32(0, true));
        this.#pausesSeen++;
        break;
      case FRAME.STARTED:
        this.#started.resolve(view.getUint32(0, true));
        break;
      case FRAME.FAILED: {
        const index = view.getUint32(0, true);
        const errno = errnoName(view.getUint32(4, true));
        this.#fail(new PlayError({ opIndex: index === OP_INDEX_UNKNOWN ? -1 : index, errno }));
        break;
      }
      case FRAME.EXITED:
        this.#exited.resolve(parseExitRecord(payload));
        break;
      case FRAME.ROTATED:
        this.onRotated();
        break;
      case FRAME.NOTIFIED:
        this.notified = text(payload);
        this.onNotified();
        break;
      case FRAME.RESULT:
        this.#answers.shift()?.resolve(view.getUint32(0, true));
        break;
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pause of this.#pauses) pause.reject(error);
    this.#started.reject(error);
    this.#exited.reject(error);
  }

  /** The op that failed, or undefined if none has. */
  get failedOp(): PlayError | undefined {
    return this.#failure instanceof PlayError && this.#failure.failure.opIndex >= 0 ? this.#failure : undefined;
  }

  #pause(index: number): PromiseWithResolvers<number> {
    for (let next = this.#pauses.length; next <= index; next++) {
      const pause = settled<number>();
      if (this.#failure !== undefined) pause.reject(this.#failure);
      this.#pauses.push(pause);
    }
    return this.#pauses[index]!;
  }

  /** Resolves with the process's pid once it waits for START or RELEASE at its pause `index`, counted from 0. */
  paused(index: number): Promise<number> {
    return this.#pause(index).promise;
  }

  #onClose(): void {
    const gone = new LighterError("unavailable", "the supervisor is gone");
    this.#fail(gone);
    for (const answer of this.#answers.splice(0)) answer.reject(gone);
    this.#closed.resolve();
  }

  /** Sends a request and resolves with the errno name of the answer, or "" for success. */
  async #request(kind: number, payload?: Uint8Array): Promise<string> {
    if (this.#socket === undefined || this.#socket.closed)
      throw new LighterError("unavailable", "the supervisor is gone");
    const answer = settled<number>();
    this.#answers.push(answer);
    this.#socket.write(encodeFrame(kind, payload));
    const errno = await answer.promise;
    return errno === 0 ? "" : errnoName(errno);
  }

  signal(signal: number): Promise<string> {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, signal, true);
    return this.#request(FRAME.SIGNAL, payload);
  }

  resize(rows: number, columns: number): Promise<string> {
    const payload = new Uint8Array(4);
    const view = new DataView(payload.buffer);
    view.setUint16(0, Math.min(rows, 0xffff), true);
    view.setUint16(2, Math.min(columns, 0xffff), true);
    return this.#request(FRAME.RESIZE, payload);
  }

  reopenLog(): Promise<string> {
    return this.#request(FRAME.REOPEN_LOG);
  }

  closeStdin(): Promise<string> {
    return this.#request(FRAME.CLOSE_STDIN);
  }

  /** Lets a waiting process start. @throws PlayError if the process failed while it waited */
  async start(): Promise<string> {
    try {
      return await this.#request(FRAME.START);
    } catch (error) {
      throw this.#failure ?? error;
    }
  }

  release(): Promise<string> {
    return this.#request(FRAME.RELEASE);
  }

  /** Ends a process that waits at a pause, and with it the launcher. */
  async abandon(): Promise<void> {
    if (this.#socket === undefined || this.#socket.closed) return;
    await this.signal(SIGKILL).catch(() => {}); // it may be gone
    this.#socket.end(); // a launcher that does not wait for the process goes when its clients have gone
  }

  disconnect(): void {
    this.#socket?.destroy();
  }
}
