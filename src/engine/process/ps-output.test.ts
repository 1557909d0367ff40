import { expect, test } from "bun:test";
import { checkPsArguments, parsePsOutput } from "./ps-output.ts";

test("the lines of the container's processes, the command as one field", () => {
  const output = `UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 10:00 ?        00:00:01 /sbin/init
root          42       1  0 10:00 ?        00:00:00 sleep  1000
nobody        43      42  0 10:00 ?        00:00:00 [kworker]
`;
  expect(parsePsOutput(output, new Set([42, 43]))).toEqual({
    titles: ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
    processes: [
      ["root", "42", "1", "0", "10:00", "?", "00:00:00", "sleep 1000"],
      ["nobody", "43", "42", "0", "10:00", "?", "00:00:00", "[kworker]"],
    ],
  });
});

test("threads go with their process", () => {
  const output = "PID LWP CMD\n7 - one\n- 7 -\n8 - two\n- 8 -\n";
  expect(parsePsOutput(output, new Set([8])).processes).toEqual([
    ["8", "-", "two"],
    ["-", "8", "-"],
  ]);
});

test("output without pids is refused", () => {
  expect(() => parsePsOutput("CMD\nsleep\n", new Set())).toThrow("Couldn't find PID field in ps output");
  expect(() => parsePsOutput("PID CMD\nx sleep\n", new Set())).toThrow("Unexpected pid 'x'");
});

test("no other column may be called PID", () => {
  expect(() => checkPsArguments("-o ppid=PID")).toThrow('specifying "ppid=PID" is not allowed');
  expect(() => checkPsArguments("-o comm= PIDX")).toThrow('specifying "comm=PIDX" is not allowed');
  checkPsArguments("-o pid=PID");
  checkPsArguments("aux");
});
