import { LighterError } from "../base/errors.ts";
import { JSON_MESSAGE_MAX_BYTES } from "../base/limits.ts";

const OPEN = new Set(["{", "["]);
const CLOSE = new Set(["}", "]"]);

/**
 * Cuts a stream of JSON objects into the text of each. Most servers put one on a line, but nothing says they must: a
 * value ends where its last bracket closes.
 */
export class JsonSplitter {
  #pending = "";
  /** Characters of `#pending` that were looked at. */
  #seen = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** The values complete by now. @throws LighterError ("unavailable") for what cannot be a JSON object */
  push(text: string): string[] {
    this.#pending += text;
    const values: string[] = [];
    let start = 0;
    for (let at = this.#seen; at < this.#pending.length; at++) {
      const char = this.#pending.charAt(at);
      if (this.#inString) this.#stepInString(char);
      else if (char === '"' && this.#depth > 0) this.#inString = true;
      else if (OPEN.has(char)) this.#depth++;
      else if (CLOSE.has(char) && this.#depth > 0) {
        this.#depth--;
        if (this.#depth > 0) continue;
        values.push(this.#pending.slice(start, at + 1));
        start = at + 1;
      } else if (this.#depth === 0) {
        if (!/\s/.test(char)) throw new LighterError("unavailable", `read the daemon's answer: "${char}" is not JSON`);
        start = at + 1;
      }
      if (at - start > JSON_MESSAGE_MAX_BYTES)
        throw new LighterError("unavailable", "read the daemon's answer: a message is too long");
    }
    this.#pending = this.#pending.slice(start);
    this.#seen = this.#pending.length;
    return values;
  }

  /** The stream has ended. @throws LighterError ("unavailable") if it was cut off inside a value */
  end(): void {
    if (this.#pending !== "") throw new LighterError("unavailable", "read the daemon's answer: unexpected EOF");
  }

  #stepInString(char: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (char === "\\") this.#escaped = true;
    else if (char === '"') this.#inString = false;
  }
}
