/** What carries the bytes of a connection to the daemon, and where to. */

export type Address =
  | { readonly unix: string }
  /** A command whose standard input and output are the connection. */
  | { readonly ssh: readonly string[] }
  | { readonly hostname: string; readonly port: number; readonly tls?: ClientTls };

/** PEM texts. Without `ca`: the authorities that everybody trusts. */
export interface ClientTls {
  /** The server's certificate must be good for its name. */
  readonly verify: boolean;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** What we use of a socket. */
export type Transport = Pick<Bun.Socket<undefined>, "pause" | "resume" | "shutdown" | "end"> & {
  write(bytes: Uint8Array): number;
};

/** What a connection hears of. */
export interface Events {
  data(bytes: Uint8Array): void;
  drain(): void;
  end(): void;
  error(error: Error): void;
}
