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
      entitlements: new Set(),
      settings: { extraHosts: [], ulimits: [], cgroupParent: "", shmBytes: 0 },
      platform: { os: "linux", architecture: "amd64" },
      resolveImage: async (reference: string) => ({ config: {}, reference }),
    }),
  );

test.each([
  [["FROM a", "RUN b"], "nothing"],
  [["FROM a", "COPY --from=b /x /y"], "nothing"],
  [["FROM a", "ADD https://h/x /y"], "nothing"],
  [["FROM a AS unused", "COPY x /", "FROM a", "RUN b"], "nothing"],
  [["FROM a", "COPY . /"], "everything"],
  [["FROM a", "RUN --mount=target=/c x"], "everything"],
  [["FROM a", "RUN --mount=target=/c,source=d/e x"], ["d/e"]],
  [["FROM a", "RUN --mount=target=/c,from=b x"], "nothing"],
  [["FROM a", "COPY x /", "COPY ./ /d/"], "everything"],
  [
    ["FROM a AS s", "COPY x y/z /", "FROM a", "COPY --from=s /x /", "ADD *.txt ../x /d/"],
    ["x", "y/z", "*.txt"],
  ],
])("the context's part of %p is %p", async (lines, expected) => {
  expect(await needOf(...lines)).toEqual(expected as string[]);
});
