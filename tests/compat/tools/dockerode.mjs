/** Run by tools-dockerode.test.ts. Every way in which dockerode can talk to a daemon, as its users write it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import Docker from "dockerode";
import { extract, pack } from "tar-stream";

const docker = new Docker({ socketPath: process.env.TEST_SOCKET });
const HostConfig = JSON.parse(process.env.TEST_HOST_CONFIG);
const registry = process.env.TEST_REGISTRY;
const Image = "host-usr";

/** A test may have removed it itself. */
function unlessGone(error) {
  if (error.statusCode !== 404) throw error;
}

/** Removed when the test is over. */
async function create(t, script, options = {}) {
  const container = await docker.createContainer({ Image, Cmd: ["/bin/sh", "-c", script], HostConfig, ...options });
  t.after(() => container.remove({ force: true, v: true }).catch(unlessGone));
  return container;
}

async function run(t, script, options) {
  const container = await create(t, script, options);
  await container.start();
  return container;
}

/** Collects what is written to it; `shows(text)` resolves when that has come. */
class Collector extends Writable {
  text = "";

  _write(chunk, _, done) {
    this.text += chunk;
    this.emit("more");
    done();
  }

  async shows(text) {
    while (!this.text.includes(text)) await once(this, "more");
  }
}

/** Both streams of a multiplexed one. */
function demultiplexed(stream) {
  const [stdout, stderr] = [new Collector(), new Collector()];
  docker.modem.demuxStream(stream, stdout, stderr);
  return { stdout, stderr };
}

/** Resolves when it has. */
async function said(container, text) {
  const stream = await container.logs({ follow: true, stdout: true });
  await demultiplexed(stream).stdout.shows(text);
  stream.destroy();
}

const fails = (promise, statusCode) => assert.rejects(promise, (error) => error.statusCode === statusCode);

/** All messages of a pull, push or load. */
function progress(stream) {
  return new Promise((resolve, reject) =>
    docker.modem.followProgress(stream, (error, messages) => (error ? reject(error) : resolve(messages))),
  );
}

test("ping, version and info", async () => {
  assert.equal(`${await docker.ping()}`, "OK");
  assert.equal((await docker.version()).Os, "linux");
  assert.equal((await docker.info()).OSType, "linux");
});

test("a container is created, started, waited for, inspected and removed", async (t) => {
  const container = await create(t, "exit 5", { name: "five", Labels: { of: "dockerode" } });
  assert.equal((await container.inspect()).State.Status, "created");
  await container.start();
  assert.deepEqual(await container.wait(), { StatusCode: 5 });
  const filters = { label: ["of=dockerode"] };
  assert.deepEqual(await docker.listContainers({ filters }), []);
  const [listed] = await docker.listContainers({ all: true, filters });
  assert.equal(listed.Names[0], "/five");
  assert.equal((await docker.getContainer("five").inspect()).State.ExitCode, 5);
  await container.rename({ name: "six" });
  assert.equal((await docker.getContainer("six").inspect()).Id, container.id);
});

test("run: the container's output, and its end", async () => {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const command = ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"];
  const [data, container] = await docker.run(Image, command, [stdout, stderr], { Tty: false, HostConfig });
  assert.deepEqual([data.StatusCode, stdout.text, stderr.text], [3, "out\n", "err\n"]);
  await container.remove();
});

test("what is refused has Docker's status", async (t) => {
  await fails(docker.getContainer("nonesuch").inspect(), 404);
  await fails(docker.createContainer({ Image: "none/such" }), 404);
  const container = await run(t, "sleep 1000", { name: "taken" });
  await fails(container.start(), 304);
  await fails(container.remove(), 409);
  await fails(docker.createContainer({ Image, name: "taken" }), 409);
  await container.kill();
  await fails(container.stop(), 304);
});

test("attach without hijack: output from the first byte to the end", async (t) => {
  const container = await create(t, "echo out; echo err >&2");
  const stream = await container.attach({ stream: true, stdout: true, stderr: true });
  const { stdout, stderr } = demultiplexed(stream);
  await container.start();
  await once(stream, "end");
  assert.deepEqual([stdout.text, stderr.text], ["out\n", "err\n"]);
});

test("attach with hijack: input too, whose end is the process's", async (t) => {
  const container = await create(t, "cat; echo over", { OpenStdin: true, StdinOnce: true, AttachStdin: true });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const { stdout } = demultiplexed(stream);
  await container.start();
  stream.write("one\n");
  await stdout.shows("one\n");
  stream.write("two\n");
  stream.end();
  await once(stream, "end");
  assert.equal(stdout.text, "one\ntwo\nover\n");
  assert.deepEqual(await container.wait(), { StatusCode: 0 });
});

test("a terminal: raw output, and its size", async (t) => {
  const container = await create(t, "read go; stty size", { Tty: true, OpenStdin: true });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, hijack: true });
  const output = stream.pipe(new Collector());
  await container.start();
  await container.resize({ h: 33, w: 101 });
  stream.write("\n");
  await output.shows("33 101\r\n");
});

test("exec: output, exit code, input by hijack, and a terminal", async (t) => {
  const container = await run(t, "sleep 1000");
  const options = { AttachStdout: true, AttachStderr: true, Env: ["A=b"], WorkingDir: "/etc", User: "user" };
  const exec = await container.exec({ Cmd: ["/bin/sh", "-c", "echo $A $PWD; id -u >&2; exit 7"], ...options });
  const plain = await exec.start({});
  const both = demultiplexed(plain);
  await once(plain, "end");
  assert.deepEqual([both.stdout.text, both.stderr.text], ["b /etc\n", "1000\n"]);
  const { ExitCode, Running } = await exec.inspect();
  assert.deepEqual({ ExitCode, Running }, { ExitCode: 7, Running: false });

  const cat = await container.exec({ Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
  const hijacked = await cat.start({ hijack: true, stdin: true });
  const { stdout } = demultiplexed(hijacked);
  hijacked.end("through\n");
  await once(hijacked, "end");
  assert.equal(stdout.text, "through\n");

  const tty = await container.exec({ Cmd: ["sh", "-c", "test -t 0 && stty size"], Tty: true, AttachStdout: true });
  const terminal = await tty.start({ Tty: true, hijack: true, stdin: true });
  assert.match(`${await buffer(terminal)}`, /^\d+ \d+\r\n$/);
  const missing = await container.exec({ Cmd: ["nonesuch"], AttachStdout: true });
  assert.match(`${await buffer(await missing.start({}))}`, /executable file not found in \$PATH/);
  assert.equal((await missing.inspect()).ExitCode, 126);
});

test("logs: all of them, the last ones, and those to come", async (t) => {
  const container = await run(t, "echo one; echo two >&2; read go; echo three", { OpenStdin: true });
  const followed = await container.logs({ follow: true, stdout: true, stderr: true });
  const { stdout, stderr } = demultiplexed(followed);
  await Promise.all([stdout.shows("one\n"), stderr.shows("two\n")]);
  const stdin = await container.attach({ stream: true, stdin: true, hijack: true });
  stdin.write("\n");
  await once(followed, "end");
  assert.equal(stdout.text, "one\nthree\n");
  const last = await container.logs({ stdout: true, stderr: true, tail: 1, timestamps: true });
  assert.match(last.subarray(8).toString(), /^\d{4}-\S+Z three\n$/);
});

test("stop, restart and kill", async (t) => {
  const container = await run(t, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
  await said(container, "ready\n"); // before that the signal means nothing to it
  await container.stop();
  assert.equal((await container.inspect()).State.ExitCode, 9);
  await container.restart();
  assert.equal((await container.inspect()).State.Running, true);
  await container.kill({ signal: "SIGKILL" });
  assert.equal((await container.inspect()).State.ExitCode, 137);
});

test("events: those of before, and those to come", async (t) => {
  const since = Math.floor(Date.now() / 1000);
  const container = await create(t, "exit 0", { name: "eventful" });
  const stream = await docker.getEvents({ since, filters: { container: ["eventful"] } });
  const output = stream.pipe(new Collector());
  await output.shows('"Action":"create"');
  await container.start();
  await output.shows('"Action":"die"');
  stream.destroy();
  const actions = output.text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).Action);
  assert.deepEqual(actions, ["create", "start", "die"]);
});

test("stats once and again and again, top, pause and update", async (t) => {
  const container = await run(t, "exec sleep 1000");
  const sample = await container.stats({ stream: false });
  assert.equal(sample.id, container.id);
  assert.ok(sample.memory_stats.usage > 0 && sample.cpu_stats.cpu_usage.total_usage > 0);
  const stream = await container.stats({ stream: true });
  const output = stream.pipe(new Collector());
  await output.shows("}\n");
  stream.destroy();
  assert.equal(JSON.parse(output.text.split("\n")[0]).id, container.id);

  const { Titles, Processes } = await container.top({ ps_args: "-o pid,comm" });
  assert.deepEqual([Titles, Processes.map(([, comm]) => comm)], [["PID", "COMMAND"], ["sleep"]]);
  await container.pause();
  assert.equal((await container.inspect()).State.Status, "paused");
  await container.unpause();
  await container.update({ PidsLimit: 77 });
  assert.equal((await container.inspect()).HostConfig.PidsLimit, 77);
});

/** A tar archive in memory. */
async function tarOf(files) {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
  archive.finalize();
  return buffer(archive);
}

test("images are imported, tagged, pushed, pulled, saved, loaded, listed and removed", async (t) => {
  const tree = Readable.from([await tarOf({ "etc/hello": "hello\n" })]);
  await progress(await docker.importImage(tree, { fromSrc: "-", repo: "made", tag: "1" }));
  assert.equal((await docker.getImage("made:1").inspect()).RootFS.Layers.length, 1);
  await docker.getImage("made:1").remove();

  const reference = `${registry}/of/dockerode:1`;
  await docker.getImage(Image).tag({ repo: `${registry}/of/dockerode`, tag: "1" });
  const pushed = await progress(await docker.getImage(reference).push({ authconfig: {} }));
  assert.ok(pushed.some(({ aux }) => aux?.Digest.startsWith("sha256:")));
  await docker.getImage(reference).remove();
  await fails(docker.getImage(reference).inspect(), 404);
  const pulled = await progress(await docker.pull(reference));
  assert.ok(pulled.some(({ status }) => status?.startsWith("Status: ")));
  const { Id } = await docker.getImage(Image).inspect();
  assert.equal((await docker.getImage(reference).inspect()).Id, Id);
  assert.equal((await docker.getImage(reference).history()).length, 1);

  const saved = await buffer(await docker.getImage(reference).get());
  await docker.getImage(reference).remove();
  const loaded = await progress(await docker.loadImage(Readable.from([saved])));
  assert.match(loaded.map(({ stream }) => stream).join(""), /Loaded image: .*of\/dockerode:1/);
  const listed = await docker.listImages({ filters: { reference: [reference] } });
  assert.deepEqual(
    listed.map((image) => image.Id),
    [Id],
  );
  await docker.getImage(reference).remove();
  await fails(docker.pull(`${registry}/of/nobody:1`), 404);

  const container = await create(t, "true");
  const { Id: committed } = await container.commit({ repo: "committed", tag: "1" });
  assert.equal((await docker.getImage("committed:1").inspect()).Id, committed);
  await docker.getImage("committed:1").remove();
});

/** A tar archive's files, by name. */
async function filesOf(archive) {
  const files = {};
  const entries = extract();
  entries.on("entry", async ({ name }, content, next) => {
    files[name] = `${await buffer(content)}`;
    next();
  });
  await pipeline(archive, entries);
  return files;
}

test("archives: files are put into a container, looked at and taken out, whether it runs or not", async (t) => {
  const container = await create(t, "exec sleep 1000");
  const put = (archive, path) => container.putArchive(archive, { path });
  await put(await tarOf({ "put/one": "before the start\n" }), "/etc");
  await container.start();
  await put(Readable.from([await tarOf({ two: "while it runs\n" })]), "/etc/put");
  const info = (await container.infoArchive({ path: "/etc/put/two" })).resume();
  const stat = JSON.parse(Buffer.from(info.headers["x-docker-container-path-stat"], "base64").toString());
  assert.deepEqual([stat.name, stat.size], ["two", 14]);
  assert.deepEqual(await filesOf(await container.getArchive({ path: "/etc/put" })), {
    "put/": "",
    "put/one": "before the start\n",
    "put/two": "while it runs\n",
  });
  await fails(container.getArchive({ path: "/etc/nonesuch" }), 404);
  await fails(container.putArchive(await tarOf({ x: "" }), { path: "/nonesuch" }), 404);
});

test("a container's changes and all of its files", async (t) => {
  const container = await run(t, "echo made >/etc/made");
  await container.wait();
  const changes = await container.changes();
  assert.deepEqual(
    changes.filter(({ Path }) => Path === "/etc/made"),
    [{ Path: "/etc/made", Kind: 1 }],
  );
  assert.equal((await filesOf(await container.export()))["etc/made"], "made\n");
});

test("volumes are created, listed, shared, kept while they are used, and removed", async (t) => {
  const volume = await docker.createVolume({ Name: "shared", Labels: { of: "dockerode" } });
  const { Volumes } = await docker.listVolumes({ filters: { label: ["of=dockerode"] } });
  assert.deepEqual(
    Volumes.map(({ Name }) => Name),
    ["shared"],
  );
  assert.equal((await docker.getVolume("shared").inspect()).Labels.of, "dockerode");
  const shared = { HostConfig: { ...HostConfig, Binds: [...HostConfig.Binds, "shared:/data"] } };
  const writer = await run(t, "echo kept >/data/file", shared);
  assert.deepEqual(await writer.wait(), { StatusCode: 0 });
  const reader = await run(t, "cat /data/file", shared);
  await reader.wait();
  assert.equal((await reader.logs({ stdout: true })).subarray(8).toString(), "kept\n");
  await fails(volume.remove(), 409);
  for (const container of [writer, reader]) await container.remove();
  await volume.remove();
  await fails(volume.inspect(), 404);
  assert.ok("SpaceReclaimed" in (await docker.pruneVolumes()));
});

/** What a build by BuildKit says, with its error. */
async function built(files, options) {
  const stream = await docker.buildImage(Readable.from([await tarOf(files)]), { version: "2", ...options });
  const messages = await new Promise((resolve, reject) =>
    docker.followProgress(stream, (error, all) => (error ? reject(error) : resolve(all))),
  );
  return messages.map(({ stream: text, error }) => text ?? error ?? "").join("");
}

test("an image is built by BuildKit, whose progress is told", async () => {
  const Dockerfile = "FROM host-usr\nCOPY file /file\nLABEL of=dockerode\n";
  const said = await built({ Dockerfile, file: "built\n" }, { t: "by-dockerode:1" });
  assert.match(said, /\[2\/2\] COPY file \/file/);
  assert.match(said, /Built image: sha256:[0-9a-f]{64}/);
  const image = docker.getImage("by-dockerode:1");
  assert.equal((await image.inspect()).Config.Labels.of, "dockerode");
  await image.remove();
  assert.match(await built({ Dockerfile: "FROM host-usr\nCOPY none /\n" }), /stat none: file does not exist/);
});

test("a base image is pulled with the credentials of a build's session", async () => {
  const [username, password] = process.env.TEST_LOGIN.split(":");
  const repo = `${process.env.TEST_PRIVATE_REGISTRY}/base`;
  const authconfig = { username, password, serveraddress: process.env.TEST_PRIVATE_REGISTRY };
  await docker.getImage("host-usr").tag({ repo, tag: "1" });
  await progress(await docker.getImage(`${repo}:1`).push({ authconfig }));
  await docker.getImage(`${repo}:1`).remove();
  const files = { Dockerfile: `FROM ${repo}:1\nLABEL a=b\n` };
  assert.match(await built(files, {}), /no basic auth credentials/);
  assert.match(await built(files, { authconfig }), /Built image: sha256:/);
});

test("disk usage, and containers pruned", async () => {
  const container = await docker.createContainer({ Image, HostConfig, Labels: { prune: "me" } });
  const { Containers } = await docker.df();
  assert.ok(Containers.some(({ Id }) => Id === container.id));
  const { ContainersDeleted } = await docker.pruneContainers({ filters: { label: ["prune=me"] } });
  assert.deepEqual(ContainersDeleted, [container.id]);
});
