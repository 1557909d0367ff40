/** Run by tools-testcontainers.test.ts, with DOCKER_HOST. What its users write in their tests, as far as it goes without networks. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, test } from "node:test";
import { GenericContainer, Wait } from "testcontainers";

/** Testcontainers' streams do not keep a program running, and one that has nothing else to do would end. */
const alive = setInterval(() => {}, 60_000);
after(() => clearInterval(alive));

const script = "echo starting; sleep 0.05; echo ready to serve; trap 'exit 0' TERM; while :; do sleep 0.01; done";

function generic() {
  return new GenericContainer("host-usr")
    .withNetworkMode("none")
    .withBindMounts([{ source: "/usr", target: "/usr", mode: "ro" }])
    .withCommand(["/bin/sh", "-c", script])
    .withWaitStrategy(Wait.forLogMessage("ready to serve"))
    .withStartupTimeout(60_000);
}

test("a container is started, waited for by its log, looked into and stopped", async () => {
  const container = await generic().withEnvironment({ WHO: "me" }).withLabels({ a: "b" }).withName("generic").start();
  try {
    assert.equal(container.getName(), "/generic");
    assert.equal(container.getLabels().a, "b");
    const done = await container.exec(["sh", "-c", "echo $WHO $PWD; exit 3"], { workingDir: "/etc" });
    assert.deepEqual([done.output, done.exitCode], ["me /etc\n", 3]);
    const failed = await container.exec(["sh", "-c", "echo oops >&2; exit 1"], { user: "user" });
    assert.deepEqual([failed.stderr, failed.exitCode], ["oops\n", 1]);
    const logs = await container.logs({ tail: 1 });
    const [line] = await once(logs, "data");
    assert.match(`${line}`, /ready to serve/);
    logs.destroy();
    await container.restart();
    assert.equal((await container.exec(["true"])).exitCode, 0);
  } finally {
    await container.stop();
  }
});

test("the host's network", async () => {
  const container = await generic().withNetworkMode("host").start();
  assert.match((await container.exec(["cat", "/proc/net/dev"])).output, /lo:/);
  await container.stop();
});

test("a wait that is not met fails the start, and the container is gone", async () => {
  const failing = generic().withName("failing").withWaitStrategy(Wait.forLogMessage("never")).withStartupTimeout(300);
  await assert.rejects(failing.start(), /Log message "never" not received after 300ms/);
  const exits = generic().withCommand(["/bin/sh", "-c", "exit 3"]).withWaitStrategy(Wait.forOneShotStartup());
  await assert.rejects(exits.start(), /^Error: Container failed to start for [0-9a-f]{64}$/);
});

test("waiting by a command that succeeds", async () => {
  const container = await generic().withWaitStrategy(Wait.forSuccessfulCommand("test -d /usr")).start();
  await container.stop();
});

test("files are copied into a container before its start and while it runs, and out of it", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "testcontainers-"));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "file"), "from a file\n");
  const container = await generic()
    .withCopyFilesToContainer([{ source: join(directory, "file"), target: "/etc/copied", mode: 0o640 }])
    .withCopyDirectoriesToContainer([{ source: directory, target: "/srv/directory" }])
    .withCopyContentToContainer([{ content: "from a string\n", target: "/srv/content" }])
    .start();
  try {
    await container.copyContentToContainer([{ content: Readable.from(["from a stream\n"]), target: "/srv/later" }]);
    await container.copyFilesToContainer([{ source: join(directory, "file"), target: "/srv/file" }]);
    const said = await container.exec(["sh", "-c", "cd /srv; cat /etc/copied directory/file content later file"]);
    assert.equal(said.output, "from a file\nfrom a file\nfrom a string\nfrom a stream\nfrom a file\n");
    assert.equal((await container.exec(["stat", "-c", "%a", "/etc/copied"])).output, "640\n");
    const archive = await container.copyArchiveFromContainer("/srv");
    const bytes = await buffer(archive);
    for (const part of ["srv/later", "from a stream\n"]) assert.ok(bytes.includes(part), part);
    await container.copyArchiveToContainer(Readable.from([bytes]), "/etc");
    assert.equal((await container.exec(["cat", "/etc/srv/later"])).output, "from a stream\n");
  } finally {
    await container.stop();
  }
});
