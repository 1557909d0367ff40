import { expect, test } from "bun:test";
import { Leftovers } from "./leftovers.ts";

/** Says what it does in `done`. */
function leftovers(done: string[], onForgotten = () => {}): Leftovers {
  return new Leftovers({
    forgetConnections(addresses) {
      done.push(`forget ${addresses.join(" ")}`);
      onForgotten();
    },
    unplug: (name) => void done.push(`unplug ${name}`),
  });
}

test("what several containers leave is cleared together, a moment later", async () => {
  const done: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  using left = leftovers(done, resolve);
  left.add(["10.0.0.2"], "veth2");
  left.add(["10.0.0.3", "fd00::3"], "");
  await promise;
  expect(done).toEqual(["unplug veth2", "forget 10.0.0.2 10.0.0.3 fd00::3"]);
});

test("whoever gets an address before has it cleared first; others do not wait", () => {
  const done: string[] = [];
  using left = leftovers(done);
  left.add(["10.0.0.2"], "veth2");
  left.settle(["10.0.0.9"]);
  expect(done).toEqual([]);
  left.settle(["10.0.0.2"]);
  expect(done).toEqual(["unplug veth2", "forget 10.0.0.2"]);
});

test("what is left when the daemon lets go is cleared then, once", () => {
  const done: string[] = [];
  {
    using left = leftovers(done);
    left.add([], "");
    left.add(["10.0.0.2"], "");
  }
  expect(done).toEqual(["forget 10.0.0.2"]);
});

test("a link that cannot be unplugged keeps nobody from the rest", () => {
  const forgotten: string[] = [];
  using left = new Leftovers({
    forgetConnections: (addresses) => void forgotten.push(...addresses),
    unplug() {
      throw new Error("no");
    },
  });
  left.add(["10.0.0.2"], "veth2");
  left.settle(["10.0.0.2"]);
  expect(forgotten).toEqual(["10.0.0.2"]);
});
