import { expect, test } from "bun:test";
import { decodeFilter, interpretFilter } from "../../../tests/support/interpret-filter.ts";
import { BackwardAssembler, DATA_NR, OP_JUMP_EQ } from "./bpf.ts";

/** A filter that decides "nr is 7" by a jump over `fillers` harmless load instructions. */
function filterJumpingOver(fillers: number, far: "true" | "false" | "both"): Uint8Array {
  const code = new BackwardAssembler();
  const farTrue = far === "false" ? undefined : code.return(1);
  const farFalse = far === "true" ? undefined : code.return(2);
  let next = code.return(3);
  for (let count = 0; count < fillers; count++) next = code.load(DATA_NR, next);
  const jump = code.jump(OP_JUMP_EQ, 7, farTrue ?? next, farFalse ?? next);
  return code.finish(code.load(DATA_NR, jump));
}

test("a conditional jump goes where it should over any distance, near, at 255 and beyond", () => {
  for (let fillers = 0; fillers < 600; fillers++)
    for (const far of ["true", "false", "both"] as const) {
      const filter = decodeFilter(filterJumpingOver(fillers, far));
      const verdicts = [7, 8].map((nr) => interpretFilter(filter, { nr, arch: 0 }).action);
      expect(verdicts, `${far} over ${fillers}`).toEqual([far === "false" ? 3 : 1, far === "true" ? 3 : 2]);
    }
});

test("equal returns close by are one instruction, and one far away is laid down again", () => {
  const code = new BackwardAssembler();
  const first = code.return(5);
  expect(code.return(5)).toBe(first);
  let next = first;
  for (let count = 0; count < 300; count++) next = code.load(DATA_NR, next);
  expect(code.return(5)).not.toBe(first);
});

test("a jump with one target for both branches is no instruction", () => {
  const code = new BackwardAssembler();
  const end = code.return(1);
  expect(code.jump(OP_JUMP_EQ, 7, end, end)).toBe(end);
  expect(code.count).toBe(1);
});
