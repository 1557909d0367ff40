/** A connection inside of a call: what comes in its messages is read, and what is written goes out in messages. */
import { Duplex } from "node:stream";
import { Outbox } from "./outbox.ts";

/**
 * Opens the connection. `exchange` is given what is to be sent, which ends when the connection closes, and not before: peers take the
 * end of one direction for that of both. It yields what comes in; the connection closes when that ends.
 */
export function openTunnel(exchange: (outgoing: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>): Duplex {
  const outbox = new Outbox();
  const incoming = exchange(outbox)[Symbol.asyncIterator]();
  const connection = new Duplex({
    read() {
      nextPiece(incoming).then(
        (piece) => this.push(piece),
        (error) => this.destroy(error),
      );
    },
    write(chunk: Uint8Array, _encoding, done) {
      outbox.send(new Uint8Array(chunk));
      done();
    },
    destroy(error, done) {
      outbox.close();
      void incoming.return?.();
      done(error);
    },
  });
  connection.once("end", () => connection.destroy());
  connection.on("error", () => connection.destroy()); // the peer has gone
  return connection;
}

/** The next bytes; null at the end. A piece without bytes says nothing. */
async function nextPiece(pieces: AsyncIterator<Uint8Array>): Promise<Uint8Array | null> {
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next())
    if (next.value.length > 0) return next.value;
  return null;
}
