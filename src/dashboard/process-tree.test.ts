import { expect, test } from "bun:test";
import { treeOf } from "./process-tree.ts";

test("processes stand below their parents, and those without one in view at the left", () => {
  const rows = [
    ["10", "1", "init"],
    ["12", "10", "b"],
    ["11", "10", "a"],
    ["13", "12", "c"],
    ["20", "3", "exec"],
  ];
  expect(treeOf(rows).map(({ pid, depth, cells }) => [pid, depth, ...cells])).toEqual([
    ["10", 0, "init"],
    ["12", 1, "b"],
    ["13", 2, "c"],
    ["11", 1, "a"],
    ["20", 0, "exec"],
  ]);
  expect(treeOf([])).toEqual([]);
  expect(treeOf([["1", "1", "own parent"]])).toHaveLength(1);
});
