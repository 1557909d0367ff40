import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { cpus } from "node:os";
import { TestDaemon } from "../support/daemon.ts";
import { eventually, until } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { describeIf } from "../support/test-if.ts";

/* What a container sees of its own limits in /proc and /sys. Tests read by way of its root, as its processes would. */

const MIB = 1 << 20;
const OWN = { "io.lighter.view": "own" };
const ONLINE = "/sys/devices/system/cpu/online";
const whyNot = !isRoot ? "needs root" : existsSync("/dev/fuse") ? undefined : "needs /dev/fuse";

let daemon: TestDaemon;

beforeAll(async () => {
  if (whyNot === undefined) daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

interface Started {
  id: string;
  pid: number;
}

async function start(hostConfig: object, body: object = { Labels: OWN }): Promise<Started> {
  const HostConfig = { Binds: ["/usr:/usr:ro"], NetworkMode: "none", ...hostConfig };
  const id = await daemon.run({ Cmd: ["/usr/bin/sleep", "1000000"], ...body, HostConfig });
  return { id, pid: (await daemon.inspect(id)).State.Pid };
}

const pathIn = ({ pid }: Started, path: string) => `/proc/${pid}/root${path}`;
const read = (container: Started, path: string) => readFileSync(pathIn(container, path), "utf8");
const remove = ({ id }: Started) => daemon.request("DELETE", `/containers/${id}?force=1&v=1`);
async function removeWholly(container: Started): Promise<void> {
  await remove(container);
  const isOf = (path: string) => path.includes(container.id.slice(0, 32));
  await until(() => !daemon.leftovers([container.id]).some(isOf), "nothing is left of it");
}

const update = ({ id }: Started, limits: object) => daemon.request("POST", `/containers/${id}/update`, limits);

async function exec({ id }: Started, script: string): Promise<string> {
  const body = { Cmd: ["/bin/bash", "-c", script], AttachStdout: true, AttachStderr: true, Tty: true };
  const { json } = await daemon.request("POST", `/containers/${id}/exec`, body);
  const connection = await daemon.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' });
  return (await connection.untilEnd()).replaceAll("\r\n", "\n");
}

function kibOf(container: Started, name: string): number {
  const line = new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(read(container, "/proc/meminfo"));
  return Number(line?.[1] ?? Number.NaN);
}

/** What a file's text looks like, whatever its numbers are: every line in full. */
const FORMS: Readonly<Record<string, RegExp>> = {
  "/proc/cpuinfo": /^(?:[^\n]*\n)+$/,
  "/proc/diskstats": /^(?: *\d+ +\d+ \S+(?: \d+){17}\n)*$/,
  "/proc/loadavg": /^(?:\d+\.\d\d ){3}1\/\d+ \d+\n$/,
  "/proc/meminfo": /^(?:[\w()]+: +\d+(?: kB)?\n){20,}$/,
  "/proc/stat": /^(?:cpu\d* {1,2}\d+ 0 \d+ \d+(?: 0){6}\n)+intr 0\nctxt 0\n(?:\w+ \d+\n){4}softirq(?: 0){11}\n$/,
  "/proc/swaps": /^Filename\t[^\n]*\n(?:\S+ +\w+[\t\d-]+\n)*$/,
  [ONLINE]: /^[\d,-]+\n$/,
};

describeIf(whyNot)("a container with a view of its own", () => {
  let limited: Started;
  beforeAll(async () => {
    limited = await start({ Memory: 200 * MIB, MemorySwap: 200 * MIB, NanoCpus: 1e9 });
  });

  test("sees its memory, what it has used of it, and a new limit at once", async () => {
    expect([kibOf(limited, "MemTotal"), kibOf(limited, "SwapTotal")]).toEqual([200 * 1024, 0]);
    await exec(limited, "head -c 20M /dev/zero >/dev/shm/x");
    await until(() => kibOf(limited, "Shmem") >= 20 * 1024, "the kernel has counted it");
    await until(() => kibOf(limited, "MemFree") < 180 * 1024, "the kernel has counted all of it");
    await exec(limited, "rm /dev/shm/x");
    await update(limited, { Memory: 100 * MIB, MemorySwap: 100 * MIB });
    expect(kibOf(limited, "MemTotal")).toBe(100 * 1024);
    expect(await exec(limited, "grep MemTotal /proc/meminfo")).toBe("MemTotal:         102400 kB\n");
  });

  test("sees the CPUs whose time it may use, by their numbers on the host, and a new limit at once", async () => {
    const first = /\d+/.exec(readFileSync(ONLINE, "utf8"))![0];
    const seen = () => [
      [...read(limited, "/proc/cpuinfo").matchAll(/^processor\s*: (\d+)$/gm)].map(([, cpu]) => cpu),
      [...read(limited, "/proc/stat").matchAll(/^cpu(\d+) /gm)].map(([, cpu]) => cpu),
      read(limited, ONLINE).trim(),
    ];
    expect(seen()).toEqual([[first], [first], first]);
    await update(limited, { NanoCpus: cpus().length * 1e9 });
    const all = cpus().map((_, cpu) => String(cpu));
    if (cpus().length === readdirSync("/sys/devices/system/cpu").filter((name) => /^cpu\d+$/.test(name)).length)
      expect(seen().slice(0, 2)).toEqual([all, all]);
    await update(limited, { CpusetCpus: first });
    expect(seen()).toEqual([[first], [first], first]);
  });

  test("reads whole texts, in whatever pieces, also with many others", async () => {
    for (const [path, form] of Object.entries(FORMS)) expect(read(limited, path)).toMatch(form);
    const open = Array.from({ length: 70 }, (_, index) => {
      const [path, form] = Object.entries(FORMS)[index % 7]!;
      return { form, fd: openSync(pathIn(limited, path), "r"), text: "" };
    });
    const piece = Buffer.alloc(199);
    for (let more = true; more; ) {
      more = false;
      for (const file of open) {
        const length = readSync(file.fd, piece, 0, piece.length, null);
        file.text += piece.toString("latin1", 0, length);
        more ||= length > 0;
      }
    }
    for (const { fd } of open) closeSync(fd);
    for (const { form, text } of open) expect(text).toMatch(form);
    const script = `for i in {1..200}; do (mapfile -t lines </proc/stat; echo "\${lines[-1]}") & done; wait`;
    expect(await exec(limited, script)).toBe("softirq 0 0 0 0 0 0 0 0 0 0 0\n".repeat(200));
  });

  test("sees a text that it has begun to read as it was, and one that it reads anew as it is", async () => {
    const fd = openSync(pathIn(limited, "/proc/meminfo"), "r");
    const piece = Buffer.alloc(10);
    readSync(fd, piece, 0, 10, null);
    await update(limited, { Memory: 150 * MIB, MemorySwap: 150 * MIB });
    const rest = readFileSync(fd, "utf8");
    expect(`${piece}${rest}`).toMatch(/^MemTotal: +102400 kB\n/);
    expect(readSync(fd, piece, 0, 10, 10_000_000)).toBe(0);
    const anew = Buffer.alloc(30);
    readSync(fd, anew, 0, 30, 0);
    expect(anew.toString()).toStartWith("MemTotal:         153600 kB");
    closeSync(fd);
  });

  test("cannot change or misuse it", async () => {
    const script = `exec 2>&1
      (echo >/proc/meminfo); (exec 3<>/proc/stat); chmod 777 /proc/stat; rm /proc/swaps
      truncate -s 0 /proc/loadavg; mkdir /proc/stat/x; cat /proc/stat/x; echo done`;
    const answer = await exec(limited, script);
    expect(answer).toEndWith("done\n");
    expect(answer.match(/Read-only file system|Not a directory|Permission denied|busy|not permitted/g)).toHaveLength(7);
    expect(read(limited, "/proc/stat")).toMatch(FORMS["/proc/stat"]!);
  });

  test("keeps its log, its end and its execs going while it reads all the time", async () => {
    const reads = "while :; do mapfile </proc/stat; mapfile </proc/meminfo; done";
    const script = `trap 'exit 7' TERM; (${reads}) & (${reads}) & ${reads}`;
    const loud = await start({}, { Labels: OWN, Cmd: ["/bin/bash", "-c", script] });
    for (let line = 0; line < 5; line++) {
      await exec(loud, `echo line ${line} >/proc/1/fd/1`);
      await eventually(async () =>
        expect((await daemon.request("GET", `/containers/${loud.id}/logs?stdout=1`)).text).toContain(`line ${line}\n`),
      );
    }
    const { answer } = await daemon.wait(loud.id);
    await daemon.request("POST", `/containers/${loud.id}/kill?signal=TERM`);
    expect((await answer).StatusCode).toBe(7);
    await remove(loud);
  });

  test("has it while there is no daemon, and with the next one", async () => {
    await daemon.kill();
    expect(kibOf(limited, "MemTotal")).toBe(150 * 1024);
    await daemon.launch();
    expect(await exec(limited, "grep MemTotal /proc/meminfo")).toBe("MemTotal:         153600 kB\n");
    await remove(limited);
  });
});

describeIf(whyNot)("a view", () => {
  test("is what was asked for: own, the host's, or the user's own file", async () => {
    const Labels = { "io.lighter.view": "mine" };
    const { status, json } = await daemon.request("POST", "/containers/create", { Image: daemon.image, Labels });
    expect([status, json.message]).toEqual([400, 'label "io.lighter.view": must be "own" or "host", not "mine"']);
    const host = await start({ Memory: 50 * MIB }, { Labels: { "io.lighter.view": "host" } });
    const hosts = /^MemTotal: .*$/m.exec(readFileSync("/proc/meminfo", "utf8"))![0];
    expect(read(host, "/proc/meminfo")).toContain(hosts);
    await remove(host);
    const Binds = ["/usr:/usr:ro", "/etc/os-release:/proc/meminfo:ro"];
    const given = await start({ Memory: 50 * MIB, NanoCpus: 1e9, Binds });
    expect(read(given, "/proc/meminfo")).toBe(readFileSync("/etc/os-release", "utf8"));
    expect(read(given, "/proc/stat")).toMatch(FORMS["/proc/stat"]!);
    await remove(given);
  });

  test("without limits is the host's numbers, and the container's own time", async () => {
    const free = await start({});
    const hosts = /^MemTotal: .*$/m.exec(readFileSync("/proc/meminfo", "utf8"))![0];
    expect(read(free, "/proc/meminfo")).toContain(hosts);
    expect(read(free, ONLINE)).toBe(readFileSync(ONLINE, "utf8"));
    await remove(free);
  });

  test("is let go before what is left of the container is killed: no file that it has open holds that up", async () => {
    const script = `tail -f /proc/stat >/dev/null & tail=$!
      until readlink /proc/$tail/fd/* | grep -q stat; do :; done`;
    const ended = await start({ PidMode: "host" }, { Labels: OWN, Cmd: ["/bin/bash", "-c", script] });
    await (await daemon.wait(ended.id, "not-running")).answer;
    await removeWholly(ended);
  });

  test("holds up neither a pause nor an end while many read it", async () => {
    const reads = "while :; do mapfile </proc/stat; mapfile </proc/cpuinfo; done";
    const Cmd = ["/bin/bash", "-c", `for i in {1..8}; do (${reads}) & done; wait`];
    for (const hostConfig of [{}, { PidMode: "host" }, { UsernsMode: "auto" }]) {
      const read = await start(hostConfig, { Labels: OWN, Cmd });
      for (const verb of ["pause", "unpause", "kill"])
        expect((await daemon.request("POST", `/containers/${read.id}/${verb}`)).status).toBe(204);
      await (await daemon.wait(read.id, "not-running")).answer;
      await removeWholly(read);
    }
  });

  test("ends with its supervisor: who reads it is told, and does not wait", async () => {
    const doomed = await start({ Memory: 50 * MIB });
    const fd = openSync(pathIn(doomed, "/proc/meminfo"), "r");
    const status = readFileSync(`/proc/${doomed.pid}/status`, "utf8");
    process.kill(Number(/^PPid:\t(\d+)$/m.exec(status)![1]), "SIGKILL");
    await until(() => !existsSync(`/proc/${doomed.pid}`), "the container has ended with it");
    await eventually(() => expect(() => readSync(fd, Buffer.alloc(10), 0, 10, 0)).toThrow(/ENOTCONN|ECONNABORTED/));
    closeSync(fd);
    await until(async () => !(await daemon.inspect(doomed.id)).State.Running, "the daemon has noticed");
    await remove(doomed);
  });
});
