/** The same Dockerfiles through our daemon and through dockerd's classic builder: what is said, histories and configs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { ApiClient } from "../support/api-client.ts";
import { rawTar } from "../support/image-tar.ts";
import { describeIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { whyNoDocker } from "./cli-support.ts";

const TAR = { "Content-Type": "application/x-tar" };
let both: BesideDocker;

describeIf(whyNoDocker())("beside dockerd's classic builder", () => {
  beforeAll(async () => {
    both = await startBesideDocker("build");
    const links = ["sh", "cat"].map((name) => ({ name: `bin/${name}`, type: "2", linkName: "busybox" }));
    const root = rawTar({ name: "bin/busybox", mode: 0o755, content: readFileSync("/bin/busybox") }, ...links);
    for (const api of [both.ours, both.theirs])
      await api.request("POST", "/images/create?fromSrc=-&repo=tools&tag=1&changes=ENV%20PATH=/bin", root, TAR);
  }, 120_000);

  afterAll(() => both?.stop(), 60_000);

  async function built(api: ApiClient, dockerfile: string) {
    const context = rawTar(
      ...Object.entries({ Dockerfile: dockerfile, f: "f\n", "d/y": "y\n" }).map(([name, content]) => ({
        name,
        content,
      })),
    );
    const { text } = await api.request("POST", "/build?t=built:1&rm=1&networkmode=none", context, TAR);
    const lines = text
      .split("\r\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
    const said = lines.map(({ stream = "", error = "" }) => stream + error).join("");
    const { json: image } = await api.request("GET", "/images/built:1/json");
    const { json: history } = await api.request("GET", "/images/built:1/history");
    await api.request("DELETE", "/images/built:1");
    const { Config = {}, Author } = image;
    return {
      // Only a command has a container here.
      said: said
        .replace(/ ---> (Running in|Removed intermediate container) .*\n/g, "")
        .replace(/\b[0-9a-f]{12}\b/g, "ID"),
      config: Object.fromEntries(
        Object.entries(Config).filter(([name, value]) => name !== "Image" && value !== false && value !== ""),
      ),
      author: Author,
      history:
        Array.isArray(history) &&
        history.map(({ CreatedBy, Size }: { CreatedBy: string; Size: number }) => [
          CreatedBy.replace(/(#\(nop\) +(COPY|ADD|HEALTHCHECK)) .*/, "$1"), // Docker's have a hash and a Go structure
          Size > 0,
        ]),
    };
  }

  test.each<[string, string[]]>([
    [
      "everything that is only noted",
      [
        "# a comment",
        "ARG BASE=tools:1",
        "FROM $BASE AS first",
        "ARG  WORD=none",
        'ENV A=b C="d e"',
        "env X y z",
        'LABEL k="v w" q=$A',
        "WORKDIR $A/sub",
        "USER 0",
        "EXPOSE 80 90/udp",
        "VOLUME /data",
        "STOPSIGNAL SIGINT",
        "HEALTHCHECK --interval=5s CMD cat f",
        "ONBUILD RUN echo trigger",
        "MAINTAINER me",
        'ENTRYPOINT ["sh","-c"]',
        'CMD cat "f"',
      ],
    ],
    [
      "files and commands",
      [
        "FROM tools:1",
        "WORKDIR /w",
        "COPY f   d ./",
        "ARG W=1",
        "RUN cat f > g && \\",
        '    echo "$W"',
        'SHELL ["/bin/sh","-e","-c"]',
        "RUN cat y",
        'CMD ["cat","g"]',
      ],
    ],
    ["a command that fails", ["FROM tools:1", "RUN exit 3"]],
    ["stages", ["FROM tools:1 AS a", "RUN echo a > /a", "FROM tools:1", "COPY --from=a /a /b", "ADD d /e/"]],
  ])("%s", async (_, lines) => {
    const dockerfile = `${lines.join("\n")}\n`;
    const [ours, theirs] = [await built(both.ours, dockerfile), await built(both.theirs, dockerfile)];
    expect(ours).toEqual(theirs);
  });
});
