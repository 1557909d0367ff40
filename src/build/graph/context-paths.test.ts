import { expect, test } from "bun:test";
import { contextNeedOf } from "./context-paths.ts";
import { planBuild } from "./plan.ts";

const needOf = async (...lines: string[]) =>
  contextNeedOf(
    await planBuild(lines.join("\n"), {
      target: "",
      buildArgs: new Map(),
      labels: {},
      network: "default",
      platform: { os: "linux", architecture: "amd64" },
      resolveImage: async () => ({}),
    }),
  );

test.each([
  [["FROM a", "RUN b"], "nothing"],
  [["FROM a", "COPY --from=b /x /y"], "nothing"],
  [["FROM a", "ADD https://h/x /y"], "nothing"],
  [["FROM a AS unused", "COPY x /", "FROM a", "RUN b"], "nothing"],
  [["FROM a", "COPY . /"], "everything"],
  [["FROM a", "COPY x /", "COPY ./ /d/"], "everything"],
  [
    ["FROM a AS s", "COPY x y/z /", "FROM a", "COPY --from=s /x /", "ADD *.txt ../x /d/"],
    ["x", "y/z", "*.txt"],
  ],
])("the context's part of %p is %p", async (lines, expected) => {
  expect(await needOf(...lines)).toEqual(expected as string[]);
});
