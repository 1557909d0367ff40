import { expect, test } from "bun:test";
import type { SolveVertex } from "../../spec/solve-status.ts";
import { PlainDisplay } from "./plain-display.ts";
import { SolveState } from "./solve-state.ts";
import { drawFrame, type FrameOptions } from "./terminal-frame.ts";

const at = (seconds: number) => `2026-01-01T00:00:${String(seconds).padStart(2, "0")}Z`;
const base64 = (text: string) => Buffer.from(text).toString("base64");

const vertex = (name: string, times: Partial<SolveVertex>): SolveVertex => ({ digest: name, name, ...times });
const log = (name: string, text: string, seconds: number) => ({
  ...{ vertex: name, stream: 1, data: base64(text), timestamp: at(seconds) },
});

const options: FrameOptions = { columns: 40, rows: 20, now: at(9), begun: at(0), hasColor: false, isEnd: false };

/** A step that is done, one from the cache, one that runs, and one that has not begun. */
function state(): SolveState {
  const built = new SolveState();
  built.apply({
    vertexes: [
      vertex("[1/3] FROM a", { started: at(0), completed: at(1) }),
      vertex("[2/3] COPY b c", { started: at(1), completed: at(1), cached: true }),
      vertex("[3/3] RUN make something that is long", { started: at(2) }),
      vertex("exporting", {}),
    ],
  });
  const running = "[3/3] RUN make something that is long";
  built.apply({ logs: [log(running, "one\ntwo\r\n10%\r20%\nunfin", 3), log(running, "ished\u001b[2J\n", 4)] });
  return built;
}

test("drawFrame draws a line for each step that has begun, with its time, and the last lines of those that run", () => {
  expect(drawFrame(state(), options)).toEqual([
    "[+] Building 9.0s (2/4)",
    " => [1/3] FROM a                    1.0s",
    " => CACHED [2/3] COPY b c           0.0s",
    " => [3/3] RUN make something tha    7.0s",
    " => => # one",
    " => => # two",
    " => => # 20%",
    " => => # unfinished\\x1b[2J",
  ]);
});

test("drawFrame leaves out the steps that ended first where there is no room, until the end", () => {
  expect(drawFrame(state(), { ...options, rows: 6 })).toEqual([
    "[+] Building 9.0s (2/4)",
    " => [3/3] RUN make something tha    7.0s",
    " => => # one",
    " => => # two",
    " => => # 20%",
    " => => # unfinished\\x1b[2J",
  ]);
  expect(drawFrame(state(), { ...options, rows: 6, isEnd: true })).toEqual([
    "[+] Building 9.0s (2/4) FINISHED",
    " => [1/3] FROM a                    1.0s",
    " => CACHED [2/3] COPY b c           0.0s",
    " => [3/3] RUN make something tha    7.0s",
  ]);
});

test("drawFrame draws on a terminal of any size, in color if it is wanted", () => {
  for (let columns = 1; columns < 30; columns++)
    for (let rows = 1; rows < 10; rows++) {
      const lines = drawFrame(state(), { ...options, columns, rows });
      expect(lines.length).toBeLessThanOrEqual(Math.max(rows, 2));
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(Math.max(columns, 9));
    }
  expect(drawFrame(state(), { ...options, hasColor: true })[1]).toStartWith("\x1b[34m =>");
});

test("PlainDisplay keeps the lines of one step together, unless another has waited for a second", () => {
  let now = 0;
  const display = new PlainDisplay(new SolveState(), () => now);
  const said = [
    display.update({ vertexes: [vertex("a", { started: at(0) }), vertex("b", { started: at(0) })] }),
    display.update({ logs: [log("b", "of b\n", 1), log("a", "of a\n", 1)] }),
  ];
  now = 1500;
  said.push(display.update({}));
  said.push(display.update({ vertexes: [vertex("b", { started: at(0), completed: at(2), error: "no" })] }));
  said.push(display.update({ vertexes: [vertex("a", { started: at(0), completed: at(12) })] }), display.end());
  expect(said).toEqual([
    "#1 a\n",
    "#1 1.000 of a\n",
    "#1 ...\n\n#2 b\n#2 1.000 of b\n",
    "#2 ERROR: no\n",
    "\n#1 a\n#1 DONE 12.0s\n",
    "",
  ]);
});
