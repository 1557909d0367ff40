/** The client's end of a supervisor's socket, without node:net. */
import { shortSocketPath } from "../sys/unix-socket.ts";

/**
 * A client's end of a supervisor's socket. It uses Bun's own sockets: importing node:net takes longer than a whole command of the
 * OCI runtime may.
 */
export class ControlSocket {
  #socket: Bun.Socket<undefined> | undefined;
  #closed = false;
  /** Bytes that the kernel has not taken yet. */
  #unsent: Uint8Array[] = [];

  private constructor(
    private readonly onData: (bytes: Uint8Array) => void,
    private readonly onClose: () => void,
  ) {}

  /** Connects; the other side may accept later. `onClose` is called once, however the connection ends. */
  static async open(
    longPath: string,
    onData: (bytes: Uint8Array) => void,
    onClose: () => void,
  ): Promise<ControlSocket> {
    const control = new ControlSocket(onData, onClose);
    const { path, close } = shortSocketPath(longPath);
    try {
      control.#socket = await Bun.connect<undefined>({
        unix: path,
        allowHalfOpen: true,
        socket: {
          data: (_, bytes) => {
            if (!control.#closed) control.onData(bytes);
          },
          drain: () => control.#send(),
          end: () => control.destroy(),
          close: () => control.#close(),
          error: () => control.destroy(),
        },
      });
    } finally {
      close();
    }
    return control;
  }

  get closed(): boolean {
    return this.#closed;
  }

  write(bytes: Uint8Array): void {
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.#send();
  }

  #send(): void {
    for (let next = this.#unsent[0]; next !== undefined && !this.#closed; next = this.#unsent[0]) {
      const count = this.#socket?.write(next) ?? -1;
      if (count < 0) {
        this.destroy();
        return;
      }
      if (count < next.length) {
        this.#unsent[0] = next.subarray(count);
        return;
      }
      this.#unsent.shift();
    }
  }

  /** Closes our direction; the other side may still send. Earlier writes are small, so the kernel has them. */
  end(): void {
    if (!this.#closed) this.#socket?.shutdown();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#socket?.end();
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onClose();
  }
}
