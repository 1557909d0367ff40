/** Types of what carries a connection's bytes to the daemon, and of where it leads. */

export type Address =
  | { readonly unix: string }
  /** A command whose standard input and output are the connection. */
  | { readonly ssh: readonly string[] }
  | { readonly hostname: string; readonly port: number; readonly tls?: ClientTls };

/** PEM texts. Without `ca` the system's authorities are trusted. */
export interface ClientTls {
  /** Whether the server's certificate is verified for its name. */
  readonly verify: boolean;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** The methods of a socket that we use. */
export type Transport = Pick<Bun.Socket<undefined>, "pause" | "resume" | "shutdown" | "end"> & {
  write(bytes: Uint8Array): number;
  /** The socket's descriptor, if it is a unix socket. */
  readonly unixFd?: number;
};

/** Callbacks of a connection. */
export interface Events {
  data(bytes: Uint8Array): void;
  drain(): void;
  end(): void;
  error(error: Error): void;
}
