import { expect, test } from "bun:test";
import { LeftConnections } from "./left-connections.ts";

test("connections of several containers are forgotten together, a moment later", async () => {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  using left = new LeftConnections(resolve);
  left.add(["10.0.0.2"]);
  left.add(["10.0.0.3", "fd00::3"]);
  expect(await promise).toEqual(["10.0.0.2", "10.0.0.3", "fd00::3"]);
});

test("whoever gets an address before has them forgotten first; others do not wait", () => {
  const forgotten: (readonly string[])[] = [];
  using left = new LeftConnections((addresses) => forgotten.push(addresses));
  left.add(["10.0.0.2"]);
  left.settle(["10.0.0.9"]);
  expect(forgotten).toEqual([]);
  left.settle(["10.0.0.2"]);
  expect(forgotten).toEqual([["10.0.0.2"]]);
});

test("what is left when the daemon lets go is forgotten then, once", () => {
  const forgotten: (readonly string[])[] = [];
  {
    using left = new LeftConnections((addresses) => forgotten.push(addresses));
    left.add([]);
    left.add(["10.0.0.2"]);
  }
  expect(forgotten).toEqual([["10.0.0.2"]]);
});
