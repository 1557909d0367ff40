import { shortSocketPath } from "../sys/unix-socket.ts";

/**
 * A client's end of a supervisor's socket. Bun's own sockets: importing node:net costs more time than a whole command of
 * the OCI runtime has.
 */
export class ControlSocket {
  #socket: Bun.Socket<undefined> | undefined;
  #closed = false;
  /** What the kernel did not take yet. */
  #unsent: Uint8Array[] = [];

  private constructor(
    private readonly onData: (bytes: Uint8Array) => void,
    private readonly onClose: () => void,
  ) {}

  /** Resolves when connected; the other side may accept later. `onClose` is called once, however it ends. */
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

  /** We send nothing more; the other side may. Earlier writes are small: the kernel has them. */
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
