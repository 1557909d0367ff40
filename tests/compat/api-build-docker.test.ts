/** The same Dockerfiles through our daemon and through dockerd's classic builder: what is said, histories and configs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { ApiClient } from "../support/api-client.ts";
import { rawTar } from "../support/image-tar.ts";
import { readTar } from "../support/read-tar.ts";
import { describeIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { whyNoDocker } from "./cli-support.ts";

const TAR = { "Content-Type": "application/x-tar" };
let both: BesideDocker;
/** What is newer was made by a command of the build. */
const MADE_BEFORE = 1_700_000_000;

describeIf(whyNoDocker())("beside dockerd's classic builder", () => {
  beforeAll(async () => {
    both = await startBesideDocker("build");
    const links = ["sh", "cat", "mkdir", "ln", "chown", "chmod"].map((name) => ({
      name: `bin/${name}`,
      type: "2",
      linkName: "busybox",
    }));
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

  /** The files of an image, below /t, without times that the build has made: name, kind, mode, owner, size, target, time, content. */
  async function treeOf(api: ApiClient, image: string): Promise<string[]> {
    const { json } = await api.request("POST", "/containers/create", { Image: image, Cmd: ["x"] });
    const url = `/containers/${json.Id}/archive?path=/t`;
    const { text } = await api.request("GET", url);
    await api.request("DELETE", `/containers/${json.Id}`);
    return readTar(Buffer.from(text, "latin1"))
      .map(({ type, path, mode, uid, gid, size, linkPath, mtimeSeconds, content }) => {
        const time = type === "directory" || mtimeSeconds > MADE_BEFORE ? "" : mtimeSeconds;
        const kind = type === "hardlink" ? "file" : type; // who is the first of two names depends on their order
        return `${path} ${kind} ${mode.toString(8)} ${uid}:${gid} ${size} ${linkPath} ${time} ${content}`;
      })
      .sort();
  }

  const packed = () =>
    gzipSync(
      rawTar(
        { name: "in/", type: "5", mode: 0o700, uid: 5 },
        { name: "in/file", content: "packed", uid: 5, gid: 6, mode: 0o640 },
        { name: "in/link", type: "2", linkName: "file" },
        { name: "in/second", type: "1", linkName: "in/file", uid: 5, gid: 6, mode: 0o640 },
        { name: "made/up/deep", content: "deep", mode: 0o600 },
      ),
    );
  const FILES = [
    { name: "plain.txt", content: "plain", mode: 0o640, uid: 9, gid: 9, mtime: 1_500_000_000 },
    { name: "run.sh", content: "#!/bin/sh", mode: 0o755, mtime: 1_500_000_001 },
    { name: "d/", type: "5", mode: 0o755 },
    { name: "d/one.txt", content: "1", mode: 0o600 },
    { name: "d/two.md", content: "22", mode: 0o644 },
    { name: "d/sub/", type: "5", mode: 0o1777 },
    { name: "d/sub/three.txt", content: "333", mode: 0o644 },
    { name: "d/sub/up", type: "2", linkName: "../one.txt" },
    { name: "to-file", type: "2", linkName: "plain.txt" },
    { name: "to-dir", type: "2", linkName: "/d" },
    { name: "sp ace", content: "space" },
    { name: "[odd]", content: "odd" },
  ];

  test.each<[string, string[]]>([
    ["a file into a directory and as one", ["COPY plain.txt /t/", "COPY run.sh /t/as", "COPY plain.txt /t/new/dir/"]],
    ["a directory's content", ["WORKDIR /t/there", "COPY d .", "COPY d ./again/", "COPY . /t/all/"]],
    ["files over files", ["COPY plain.txt /t/x", "COPY run.sh /t/x", "COPY d /t/y/", "COPY plain.txt /t/y/one.txt"]],
    ["patterns", ["COPY *.txt r?n.sh /t/", "COPY d/*.[!m]* /t/set/", "COPY d*/t*.md /t/below/", "COPY */sub /t/subs/"]],
    ["names with spaces and brackets", ['COPY ["sp ace", "/t/a b"]', "COPY [[]odd] /t/"]],
    [
      "links in the context",
      ["COPY to-file /t/", "COPY to-dir /t/dir/", "COPY to-dir/sub /t/sub/", "COPY to-file /t/named"],
    ],
    [
      "links in the image",
      [
        "RUN mkdir -p /t/real && ln -s real /t/link && ln -s gone /t/loose",
        "COPY plain.txt /t/link/",
        "COPY d /t/link",
      ],
    ],
    [
      "owners",
      ["COPY --chown=3:4 d plain.txt /t/", "COPY --chown=7 run.sh /t/made/for/", "ADD --chown=1:2 plain.txt /t/added"],
    ],
    [
      "owners by name",
      [
        "RUN mkdir -p /etc && echo me:x:11:12::/: > /etc/passwd && echo us:x:13: > /etc/group",
        "COPY --chown=me:us plain.txt /t/a",
        "COPY --chown=11:us plain.txt /t/c",
      ],
    ],
    ["archives", ["ADD packed.tgz /t/", "ADD packed.tgz plain.txt /t/more/", "COPY packed.tgz /t/kept", "ADD d /t/d/"]],
    [
      "archives over files",
      ["RUN mkdir -p /t/in/old /t/made && echo f > /t/in/link && echo g > /t/made/other", "ADD packed.tgz /t/"],
    ],
    [
      "other stages",
      [
        "RUN mkdir -p /t /o/in && echo 1 > /o/one && ln /o/one /o/in/two && chown 5:6 /o/in /o/one && chmod 711 /o/in",
        "FROM tools:1",
        "COPY --from=0 /o /t/o/",
        "COPY --from=0 /o/one /t/",
        "COPY --from=0 --chown=8 /o /t/own/",
      ],
    ],
    ["variables", ["ENV D=/t W=plain.txt", "WORKDIR $D", "COPY $W $D/x/", "ARG N=d", "COPY $N ./$N/"]],
  ])("copies %s", async (_, lines) => {
    const dockerfile = `FROM tools:1\n${lines.join("\n")}\n`;
    const context = rawTar({ name: "Dockerfile", content: dockerfile }, ...FILES, {
      name: "packed.tgz",
      content: packed(),
    });
    const trees = [];
    for (const api of [both.ours, both.theirs]) {
      const { text } = await api.request("POST", "/build?t=copied:1&networkmode=none&nocache=1", context, TAR);
      expect(text).toContain("Successfully tagged copied:1");
      trees.push(await treeOf(api, "copied:1"));
      await api.request("DELETE", "/images/copied:1");
    }
    expect(trees[0]).toEqual(trees[1]!);
  });

  test.each<[string, string[]]>([
    ["nothing is there", ["COPY nope /x"]],
    ["nothing matches", ["ADD nope* /x"]],
    ["it is of another image", ["COPY --from=tools:1 /nope /x"]],
  ])("cannot copy when %s", async (_, lines) => {
    const context = rawTar({ name: "Dockerfile", content: `FROM tools:1\n${lines.join("\n")}\n` }, ...FILES);
    const errors = [];
    for (const api of [both.ours, both.theirs]) {
      const { text } = await api.request("POST", "/build?networkmode=none", context, TAR);
      const last = JSON.parse(text.trimEnd().split("\r\n").at(-1)!);
      errors.push(last.error ?? last.message);
    }
    expect(errors[0]).toBe(errors[1]);
  });
});
