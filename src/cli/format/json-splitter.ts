/** Cuts the body of a stream into JSON values. */
import { LighterError } from "../../base/errors.ts";
import { JSON_MESSAGE_MAX_BYTES } from "../../base/limits.ts";

const OPEN = new Set(["{", "["]);
const CLOSE = new Set(["}", "]"]);

/**
 * Cuts a stream of JSON objects into the text of each. Most servers put one on a line, but nothing requires it: a value
 * ends where its last bracket closes.
 */
export class JsonSplitter {
  #pending = "";
  /** Number of characters of `#pending` that were examined already. */
  #seen = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #failure: LighterError | undefined;

  /**
   * Returns the values that are complete by now. The next call reports what cannot be JSON, so that the values before
   * it are not lost.
   * @throws LighterError ("unavailable")
   */
  push(text: string): string[] {
    if (this.#failure !== undefined) throw this.#failure;
    this.#pending += text;
    const values: string[] = [];
    let start = 0;
    for (let at = this.#seen; at < this.#pending.length && this.#failure === undefined; at++) {
      if (this.#step(this.#pending.charAt(at))) {
        values.push(this.#pending.slice(start, at + 1));
        start = at + 1;
      } else if (this.#depth === 0) start = at + 1;
      if (at - start > JSON_MESSAGE_MAX_BYTES) this.#failure = unreadable("a message is too long");
    }
    this.#pending = this.#pending.slice(start);
    this.#seen = this.#pending.length;
    return values;
  }

  /**
   * Ends the stream.
   * @throws LighterError ("unavailable") if it was cut off inside a value
   */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#pending !== "") throw unreadable("unexpected EOF");
  }

  /** Returns true if `char` ends a value. */
  #step(char: string): boolean {
    if (this.#inString) this.#stepInString(char);
    else if (OPEN.has(char)) this.#depth++;
    else if (this.#depth === 0) {
      if (!/\s/.test(char)) this.#failure = unreadable(`${JSON.stringify(char)} is not the start of a JSON object`);
    } else if (char === '"') this.#inString = true;
    else if (CLOSE.has(char)) {
      this.#depth--;
      return this.#depth === 0;
    }
    return false;
  }

  #stepInString(char: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (char === "\\") this.#escaped = true;
    else if (char === '"') this.#inString = false;
  }
}

function unreadable(why: string): LighterError {
  return new LighterError("unavailable", `read the daemon's answer: ${why}`);
}
