/** Progress of `cp`: one line on the terminal that is rewritten as bytes move. */
import { escapeControls } from "../format/harmless.ts";
import { formatSize } from "../format/units.ts";
import { stderr } from "../output.ts";

const UPDATE_MS = 75;
/** Control sequences DECSC, DECRC, ECMA-48 EL and DECTCEM. */
const SAVE_CURSOR = "\x1b7";
const RESTORE_CURSOR = "\x1b8";
const ERASE_LINE = "\x1b[2K";
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";

export class CopyProgress {
  #bytes = 0;
  #shown = 0;
  readonly #timer: Timer | undefined;

  /** `header` is shown before the size. */
  constructor(
    readonly header: string,
    readonly live: boolean,
  ) {
    if (!live) return;
    void stderr.control(`${SAVE_CURSOR}${HIDE_CURSOR}${this.#line()}`);
    this.#timer = setInterval(() => {
      if (this.#shown !== this.#bytes) void stderr.control(RESTORE_CURSOR + ERASE_LINE + this.#line());
    }, UPDATE_MS);
  }

  /** Counts bytes that have been copied. Resolves when the display has had its chance: who copies may never wait for anything. */
  async count(byteCount: number): Promise<void> {
    this.#bytes += byteCount;
    if (this.live) await new Promise((resume) => setImmediate(resume));
  }

  /** Counts chunks that go by. */
  async *counted<Chunk extends { readonly length: number }>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
    for await (const chunk of chunks) {
      yield chunk;
      this.#bytes += chunk.length;
    }
  }

  /** Ends the display, whether the copy succeeded or not. */
  stop(): void {
    if (!this.live) return;
    clearInterval(this.#timer);
    void stderr.control(RESTORE_CURSOR + ERASE_LINE + SHOW_CURSOR);
  }

  /** Ends the display after a successful copy and says what was copied where. */
  async finish(destination: string): Promise<void> {
    await stderr.text(`Successfully copied ${formatSize(this.#bytes, 3)} to ${destination}\n`);
  }

  #line(): string {
    this.#shown = this.#bytes;
    return escapeControls(this.header) + formatSize(this.#bytes, 3);
  }
}
