/** Progress on a terminal: a picture that is drawn over the one before. */
import { formatNow } from "../../base/time.ts";
import type { SolveStatus } from "../../spec/solve-status.ts";
import { screenSize } from "../format/look.ts";
import type { OutputStream } from "../output.ts";
import { cleanUpOnSignal } from "../streams/signals.ts";
import type { SolveState } from "./solve-state.ts";
import { drawFrame } from "./terminal-frame.ts";

const FRAME_INTERVAL_MS = 100;
const [HIDE_CURSOR, SHOW_CURSOR] = ["\x1b[?25l", "\x1b[?25h"];
const [CLEAR_REST_OF_LINE, CLEAR_BELOW] = ["\x1b[K", "\x1b[J"];

interface Terminal {
  stream: OutputStream;
  /** Its size now. */
  size: () => { rows: number; columns: number } | undefined;
}

export class TerminalDisplay {
  readonly #state: SolveState;
  readonly #terminal: Terminal;
  readonly #begun = formatNow();
  #timer: ReturnType<typeof setInterval> | undefined;
  #stopCleaning = () => {};
  /** The widths of the lines of the picture that is there. */
  #widths: number[] = [];
  #isBusy = false;

  constructor(state: SolveState, terminal: Terminal) {
    this.#state = state;
    this.#terminal = terminal;
    this.#begin();
  }

  #begin(): void {
    void this.#terminal.stream.control(HIDE_CURSOR);
    this.#stopCleaning = cleanUpOnSignal(() => this.end());
    // When nobody reads, the last picture says so.
    this.#timer = setInterval(() => this.#paint(false).catch(() => clearInterval(this.#timer)), FRAME_INTERVAL_MS);
  }

  update(status: SolveStatus): void {
    this.#state.apply(status);
  }

  /** Draws the last picture, which stays. */
  async end(): Promise<void> {
    await this.#leave(true);
  }

  /** Leaves the terminal to others for a while. The next picture is drawn below what they have left. */
  async pauseFor(work: () => Promise<void>): Promise<void> {
    await this.#leave(false);
    this.#widths = [];
    await work();
    this.#begin();
  }

  async #leave(isEnd: boolean): Promise<void> {
    clearInterval(this.#timer);
    this.#stopCleaning();
    await this.#paint(isEnd);
    await this.#terminal.stream.control(SHOW_CURSOR);
  }

  /** Draws, unless the terminal has not taken the picture before yet. */
  async #paint(isEnd: boolean): Promise<void> {
    if (this.#isBusy && !isEnd) return;
    this.#isBusy = true;
    const { rows, columns } = screenSize(this.#terminal.size());
    const hasColor = (process.env.NO_COLOR ?? "") === "";
    const options = { rows: rows - 1, columns, now: formatNow(), begun: this.#begun, hasColor, isEnd };
    const lines = drawFrame(this.#state, options);
    // A terminal that has become narrower has wrapped the lines.
    const height = this.#widths.reduce((sum, width) => sum + Math.max(Math.ceil(width / columns), 1), 0);
    this.#widths = lines.map((line) => [...line.replace(COLOR, "")].length);
    const up = height === 0 ? "" : `\x1b[${height}A`;
    const text = lines.map((line) => `${line}${CLEAR_REST_OF_LINE}\n`).join("");
    await this.#terminal.stream.control(`${up}\r${text}${CLEAR_BELOW}`);
    this.#isBusy = false;
  }
}

const COLOR = /\x1b\[\d+m/g;
