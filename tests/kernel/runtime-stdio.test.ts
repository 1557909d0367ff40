import { describe, expect } from "bun:test";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { FRAME } from "../../src/linux/program/format.ts";
import { lockExclusive } from "../../src/linux/sys/flock.ts";
import type { StartRequest } from "../../src/runtime/mod.ts";
import { until } from "../support/eventually.ts";
import {
  ALL,
  collect,
  finish,
  isAlive,
  isRoot,
  OUTPUT,
  OutputReader,
  parentOf,
  readUntil,
  rooted,
  Stage,
} from "../support/stage.ts";

/* stdin, stdout and stderr: through pipes or a terminal, to clients and to the log file. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);

/** Writes `count` lines of 64 bytes, numbered, to stdout. */
const lines = (count: number) => `perl -e 'printf("%-63d\\n", $_) for 1..${count}'`;
const expectedLines = (count: number) =>
  Array.from({ length: count }, (_, index) => `${index + 1}`.padEnd(63)).join("\n") + (count > 0 ? "\n" : "");

/** Whether a process is there whose session this process has begun. */
function hasSession(pid: number): boolean {
  const sessionOf = (name: string) => /^.*\) \S+ \d+ \d+ (\d+) /s.exec(readFileSync(`/proc/${name}/stat`, "utf8"))?.[1];
  return readdirSync("/proc").some((name) => {
    try {
      return /^\d+$/.test(name) && sessionOf(name) === String(pid);
    } catch {
      return false; // it has gone
    }
  });
}

describe("pipes", () => {
  rooted("stdout and stderr come apart, whole and in order", async () => {
    const { stdout, stderr } = await stage.run(`${lines(20_000)}; echo oops >&2; printf end`);
    expect(stdout).toBe(`${expectedLines(20_000)}end`);
    expect(stderr).toBe("oops\n");
  });

  rooted("every frame has Docker's header: stream, three zero bytes, length in big-endian", async () => {
    const request = stage.request(["/bin/sh", "-c", "printf ab; printf c >&2"], { attach: [OUTPUT] });
    const container = await stage.runtime.start(request);
    const chunks: Buffer[] = [];
    for await (const chunk of container.attached[0]! as AsyncIterable<Buffer>) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const frames = new OutputReader().push(bytes);
    expect(frames.map(({ kind, payload }) => [kind, Buffer.from(payload).toString()]).sort()).toEqual([
      [FRAME.STDOUT, "ab"],
      [FRAME.STDERR, "c"],
    ]);
    expect([...bytes.subarray(1, 4)]).toEqual([0, 0, 0]);
    await container.gone;
  });

  rooted("stdin arrives, also more than a pipe holds, and ends when the client half-closes", async () => {
    const stdin = expectedLines(10_000);
    expect((await stage.run("cat; echo eof", { stdin })).stdout).toBe(`${stdin}eof\n`);
  });

  rooted("without a client for stdin the process reads its end at once", async () => {
    expect((await stage.run("wc -c; readlink /proc/self/fd/0")).stdout).toBe("0\n/dev/null\n");
  });

  rooted("stdin of a client that does not close it stays open, and closeStdin closes it", async () => {
    const plan = { ...ALL, closeStdinOnEnd: false };
    const container = await stage.runtime.start(stage.request(["/bin/cat"], { attach: [plan] }));
    const [socket] = container.attached;
    socket!.write("one\n");
    await readUntil(socket!, (text) => text.includes("one"));
    socket!.end();
    const second = await container.attach(plan);
    second.write("two\n");
    await readUntil(second, (text) => text.includes("two"));
    await container.closeStdin();
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    await container.gone;
  });

  rooted("stdin of a client that was killed with output unread is taken to its end, and then closed", async () => {
    // More than the pipe and the socket's buffers hold, so that some is still in the socket when the client goes.
    const stdin = expectedLines(3_000);
    const request = stage.request(["/bin/sh", "-c", "echo unread; read go </tmp/go; exec wc -c >/data/count"], {
      attach: [ALL],
      change: (config) => {
        config.mounts!.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
        config.process!.args = [
          "/bin/sh",
          "-c",
          "echo unread; mkfifo /tmp/go; read go </tmp/go; exec wc -c >/data/count",
        ];
      },
    });
    const container = await stage.runtime.start(request);
    const [socket] = container.attached;
    await new Promise<void>((resolve) => socket!.write(stdin, () => resolve()));
    socket!.destroy();
    await until(() => existsSync(`/proc/${container.pid}/root/tmp/go`), "the container made its fifo");
    writeFileSync(`/proc/${container.pid}/root/tmp/go`, "go\n");
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    await container.gone;
    expect(Number(readFileSync(join(stage.rootfs, "data/count"), "utf8"))).toBe(stdin.length);
  });

  rooted("a process of another user may open its own /dev/stdout again", async () => {
    const { stdout, stderr } = await stage.run("echo again >/dev/stdout; echo err >/dev/stderr; cat /dev/stdin", {
      stdin: "in\n",
      change: (config) => {
        config.process!.user = { uid: 1234, gid: 1234 };
      },
    });
    expect({ stdout, stderr }).toEqual({ stdout: "again\nin\n", stderr: "err\n" });
  });

  rooted("each of many clients gets all of the output that follows its connection", async () => {
    const clients = 40;
    const { stdout } = await (async () => {
      const request = stage.request(["/bin/sh", "-c", `read go; ${lines(2_000)}`], {
        attach: [ALL, ...new Array(clients).fill(OUTPUT)],
      });
      const container = await stage.runtime.start(request);
      const late = await Promise.all(new Array(clients).fill(0).map(() => container.attach(OUTPUT)));
      const collected = [...container.attached.slice(1), ...late].map((socket) => collect(socket, false));
      container.attached[0]!.write("go\n");
      const own = collect(container.attached[0]!, false);
      const all = await Promise.all(collected);
      await container.gone;
      expect(new Set(all.map(({ stdout }) => stdout)).size).toBe(1);
      expect(all[0]!.stdout).toBe((await own).stdout);
      return all[0]!;
    })();
    expect(stdout).toBe(expectedLines(2_000));
  });

  rooted(
    "a client that reads slowly holds the process back and loses nothing, and requests are answered meanwhile",
    async () => {
      const request = stage.request(["/bin/sh", "-c", `${lines(50_000)}; : >/data/done`], { attach: [OUTPUT, OUTPUT] });
      const container = await stage.runtime.start(request);
      const [slow, quick] = container.attached as [Socket, Socket];
      const quickly = collect(quick, false); // reads what it can; `slow` reads nothing yet
      for (let i = 0; i < 5; i++) expect(await container.signal(0)).toBe(true);
      expect(existsSync(join(stage.rootfs, "data/done"))).toBe(false);
      expect(isAlive(container.pid)).toBe(true);
      const [one, two] = await Promise.all([collect(slow, false), quickly]);
      expect(one.stdout).toBe(expectedLines(50_000));
      expect(two.stdout).toBe(one.stdout);
      expect(existsSync(join(stage.rootfs, "data/done"))).toBe(true);
      await container.gone;
    },
  );

  rooted("a client that goes in the middle of a chunk holds nobody up", async () => {
    const request = stage.request(["/bin/sh", "-c", lines(50_000)], { attach: [OUTPUT, OUTPUT] });
    const container = await stage.runtime.start(request);
    const [one, two] = container.attached as [Socket, Socket];
    one.once("data", () => one.destroy());
    expect((await collect(two, false)).stdout).toBe(expectedLines(50_000));
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    await container.gone;
  });

  rooted(
    "a client that does not read holds up no end, nor what others get of it, and gets all when it reads",
    async () => {
      // The pipe is larger than all that the client's connection holds, so that there is something left in it at the end.
      const script = `use Fcntl; fcntl($_, 1031, 1 << 20) or die for *STDOUT, *STDERR; # F_SETPIPE_SZ
      syswrite(STDOUT, "o" x (1 << 20)); syswrite(STDERR, "e" x (1 << 19)); syswrite(STDOUT, "!"); exit 7`;
      const container = await stage.runtime.start(
        stage.request(["/usr/bin/perl", "-e", script], { attach: [OUTPUT, OUTPUT, ALL] }),
      );
      const supervisor = parentOf(container.pid);
      const [idle, reading, leaving] = container.attached as [Socket, Socket, Socket];
      const read = collect(reading, false);
      expect(await container.exited).toMatchObject({ exitCode: 7 });
      await container.gone;
      const whole = { stdout: `${"o".repeat(1 << 20)}!`, stderr: "e".repeat(1 << 19) };
      expect(await read).toEqual(whole);
      leaving.destroy();
      expect(await collect(idle, false)).toEqual(whole);
      await until(() => !hasSession(supervisor), "who gave them the rest has gone");
    },
  );

  rooted("output of a process nobody is attached to is not held up", async () => {
    const container = await stage.runtime.start(stage.request(["/bin/sh", "-c", lines(20_000)], { attach: [] }));
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    await container.gone;
  });

  rooted("what the last writer wrote just before the end is not lost", async () => {
    for (let i = 0; i < 20; i++) {
      const { stdout } = await stage.run("printf %65536d 1; kill -9 $$");
      expect(stdout.length).toBe(65536);
    }
  });
});

describe("a client's own socket", () => {
  /** Both ends of a connection; what is written to `served` comes out of `client`. */
  async function pair(): Promise<{ client: Socket; served: Socket }> {
    const path = join(stage.directory, "client.sock");
    const accepted = Promise.withResolvers<Socket>();
    const server = createServer({ allowHalfOpen: true }, accepted.resolve);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const client = connect({ path, allowHalfOpen: true } as Parameters<typeof connect>[0] & object);
    const served = await accepted.promise;
    server.close();
    client.on("error", () => client.destroy());
    served.on("error", () => served.destroy());
    return { client, served };
  }

  /** Resolves with what the connection has had of output, at its end. */
  async function endOf(connection: Socket): Promise<number> {
    let bytes = 0;
    for await (const chunk of connection as AsyncIterable<Buffer>) bytes += chunk.length;
    return bytes;
  }

  rooted("gets the output from the supervisor, and the connection has stdin and the end", async () => {
    const { client, served } = await pair();
    const request = stage.request(["/bin/sh", "-c", `cat; ${lines(50_000)}; echo bad >&2`], {
      attach: [{ ...ALL, output: () => served }],
    });
    const container = await stage.runtime.start(request);
    const output = collect(client, false);
    container.attached[0]!.end("typed\n");
    expect(await endOf(container.attached[0]!)).toBe(0);
    served.end();
    expect(await output).toEqual({ stdout: `typed\n${expectedLines(50_000)}`, stderr: "bad\n" });
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    client.destroy();
    await container.gone;
  });

  rooted("that is read slowly holds the process back and loses nothing", async () => {
    const [slow, quick] = [await pair(), await pair()];
    const request = stage.request(["/bin/sh", "-c", `${lines(50_000)}; : >/data/slow`], {
      attach: [slow, quick].map(({ served }) => ({ ...OUTPUT, output: () => served })),
    });
    const container = await stage.runtime.start(request);
    const ended = container.attached.map(endOf);
    const quickly = collect(quick.client, false);
    for (let i = 0; i < 5; i++) expect(await container.signal(0)).toBe(true);
    expect(existsSync(join(stage.rootfs, "data/slow"))).toBe(false);
    const slowly = collect(slow.client, false);
    expect(await Promise.all(ended)).toEqual([0, 0]);
    for (const { served } of [slow, quick]) served.end();
    expect((await slowly).stdout).toBe(expectedLines(50_000));
    expect((await quickly).stdout).toBe(expectedLines(50_000));
    for (const { client } of [slow, quick]) client.destroy();
    await container.gone;
  });

  rooted("that is closed in the middle of a chunk ends its connection, and holds nobody up", async () => {
    const { client, served } = await pair();
    const request = stage.request(["/bin/sh", "-c", lines(50_000)], {
      attach: [{ ...OUTPUT, output: () => served }, OUTPUT],
    });
    const container = await stage.runtime.start(request);
    const other = collect(container.attached[1]!, false);
    client.once("data", () => client.destroy());
    expect(await endOf(container.attached[0]!)).toBe(0);
    served.destroy();
    expect((await other).stdout).toBe(expectedLines(50_000));
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    await container.gone;
  });

  rooted("is let go of when the connection is closed", async () => {
    const { client, served } = await pair();
    const request = stage.request(["/bin/sh", "-c", "echo here; exec sleep 1000"], {
      attach: [{ ...OUTPUT, output: () => served }],
    });
    const container = await stage.runtime.start(request);
    const output = collect(client, false);
    container.attached[0]!.destroy();
    served.destroy();
    await output; // to its end: nobody else has the socket
    await container.signal(9);
    await container.gone;
  });

  rooted("has a terminal's output as it is", async () => {
    const { client, served } = await pair();
    const request = stage.request(["/bin/sh", "-c", "echo here"], {
      terminal: true,
      attach: [{ ...ALL, output: () => served }],
    });
    const container = await stage.runtime.start(request);
    const output = collect(client, true);
    expect(await endOf(container.attached[0]!)).toBe(0);
    served.end();
    expect(await output).toEqual({ stdout: "here\r\n", stderr: "" });
    client.destroy();
    await container.gone;
  });
});

describe("a terminal", () => {
  const sized = {
    terminal: true,
    change: (config: { process?: object }) => {
      Object.assign(config.process!, { consoleSize: { height: 33, width: 101 } });
    },
  };

  rooted("has the size asked for, is the controlling terminal, and is /dev/console", async () => {
    const { stdout } = await stage.run(
      "stty size; tty; stat -c '%F %t:%T' /dev/console; test -t 0 -a -t 1 -a -t 2 && echo tty; echo to-tty >/dev/tty; echo to-console >/dev/console; stat -c %g /dev/pts/0",
      sized,
    );
    expect(stdout.replaceAll("\r\n", "\n")).toBe(
      "33 101\n/dev/pts/0\ncharacter special file 88:0\ntty\nto-tty\nto-console\n5\n",
    );
  });

  rooted("is the user's", async () => {
    const { stdout } = await stage.run("stat -c '%u %g %a' /dev/pts/0; stat -c %u /dev/console", {
      terminal: true,
      change: (config) => {
        config.process!.user = { uid: 1234, gid: 1234 };
      },
    });
    expect(stdout).toBe("1234 5 620\r\n1234\r\n");
  });

  rooted("that is resized tells the process with SIGWINCH", async () => {
    const script = `$SIG{WINCH} = sub { my $s = \`stty size\`; if ($s =~ /^50 120/) { $SIG{WINCH} = "IGNORE"; syswrite STDOUT, $s; exit 0 } }; $| = 1; print "ready\\n"; sleep 1 while 1`;
    // Ignored once seen: the signal must not cut into perl's own last write.
    const request = stage.request(["/usr/bin/perl", "-e", script], { terminal: true, attach: [OUTPUT] });
    const container = await stage.runtime.start(request);
    const text = readUntil(container.attached[0]!, (text) => text.includes("50 120"));
    // Resizes until the handler is there: what came before it is not kept for it.
    let ended = false;
    const exited = container.exited.finally(() => {
      ended = true;
    });
    for (let rows = 1; !ended; rows = rows === 1 ? 2 : 1) {
      await container.resize(rows, 120).catch(() => {});
      await container.resize(50, 120).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(await exited).toMatchObject({ exitCode: 0 });
    expect(await text).toContain("50 120");
    await container.gone;
  });

  rooted("takes typed input with line editing, and Ctrl-C and Ctrl-D mean something", async () => {
    const request = stage.request(
      ["/bin/sh", "-c", "trap 'echo interrupted' INT; echo ready; cat; echo after; cat; echo end"],
      {
        terminal: true,
        attach: [ALL],
      },
    );
    const container = await stage.runtime.start(request);
    const [socket] = container.attached;
    await readUntil(socket!, (text) => text.includes("ready"));
    socket!.write("abX\x7fc\n");
    await readUntil(socket!, (text) => text.includes("abc\r\n"));
    socket!.write("\x03");
    await readUntil(socket!, (text) => text.includes("after"));
    socket!.write("\x04");
    await readUntil(socket!, (text) => text.includes("end"));
    expect(await container.exited).toMatchObject({ exitCode: 0 });
    socket!.destroy();
    await container.gone;
  });

  rooted("a process without one has no controlling terminal, and a size means nothing to it", async () => {
    const container = await stage.runtime.start(
      stage.request(["/bin/sh", "-c", "(: </dev/tty) 2>&1; cat"], { attach: [ALL] }),
    );
    await container.resize(10, 10);
    const { stdout } = await finish(container);
    expect(stdout).toMatch(/No such device or address/);
  });

  rooted("output is whole, whatever the clients do", async () => {
    const { stdout } = await stage.run(lines(5_000), { terminal: true });
    expect(stdout.replaceAll("\r\n", "\n")).toBe(expectedLines(5_000));
  });
});

describe("the log file", () => {
  interface Entry {
    log: string;
    stream: string;
    time: string;
  }
  const read = (path: string) =>
    readFileSync(path, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Entry);

  let count = 0;
  async function logged(script: string, options: { maxBytes?: number; maxFiles?: number; terminal?: boolean } = {}) {
    const path = join(stage.directory, `log-${count++}`);
    const log: NonNullable<StartRequest["log"]> = {
      path,
      maxBytes: options.maxBytes ?? 0,
      maxFiles: options.maxFiles ?? 1,
    };
    const ran = await stage.run(script, { log, terminal: options.terminal ?? false, attach: [] });
    expect(ran.exitCode).toBe(0);
    return path;
  }

  rooted("is there as soon as its process runs, before anything is said", async () => {
    const path = join(stage.directory, "log-early");
    const log = { path, maxBytes: 0, maxFiles: 1 };
    const container = await stage.runtime.start(stage.request(["/bin/sleep", "1000"], { log, attach: [] }));
    expect(statSync(path)).toMatchObject({ size: 0, mode: 0o100640 });
    await container.signal(9);
    await container.gone;
  });

  rooted("has an entry a line, with stream and time, as Docker's json-file", async () => {
    const before = Date.now();
    const path = await logged("echo one; echo two >&2; printf '\\n'; printf unfinished");
    const text = readFileSync(path, "utf8");
    expect(text.split("\n")[0]).toMatch(/^\{"log":"one\\n","stream":"stdout","time":"[0-9T:.-]+Z"\}$/);
    const entries = read(path);
    expect(entries.map(({ log, stream }) => `${stream} ${log}`).sort()).toEqual(
      ["stdout one\n", "stderr two\n", "stdout \n", "stdout unfinished"].sort(),
    );
    for (const { time } of entries) {
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
      expect(Date.parse(time)).toBeGreaterThanOrEqual(before - 1000);
      expect(Date.parse(time)).toBeLessThanOrEqual(Date.now() + 1000);
    }
  });

  rooted("cuts lines into parts of 16 KiB, whatever is in them", async () => {
    for (const [char, length] of [
      ["a", 40_000],
      ["\\\\", 40_000],
      ["\\x01", 40_000],
    ] as const) {
      const path = await logged(`perl -e 'print "${char}" x ${length}, "\\n"; print "next\\n"'`);
      const entries = read(path);
      expect(entries.map(({ log }) => log.length)).toEqual([16384, 16384, length - 2 * 16384 + 1, 5]);
      expect(
        new Set(
          entries
            .map(({ log }) => log)
            .join("")
            .slice(0, length),
        ).size,
      ).toBe(1);
    }
  });

  rooted("a line of exactly 16 KiB ends where it ends", async () => {
    const path = await logged(`perl -e 'print "a" x 16384, "\\n", "b" x 16383, "\\n", "c\\n"'`);
    expect(read(path).map(({ log }) => log.length)).toEqual([16384, 1, 16384, 2]);
  });

  rooted("escapes as Docker does, and replaces bytes that are not UTF-8", async () => {
    const path = await logged(
      `perl -e 'print "q\\" b\\\\ t\\t r\\r c\\x01 d\\x7f <&> \\xe2\\x80\\xa8 \\xc3\\xa9 \\xff\\xc3( \\xed\\xa0\\x80\\n"'`,
    );
    const text = readFileSync(path, "utf8");
    expect(text).toStartWith(
      String.raw`{"log":"q\" b\\ t\t r\r c\u0001 d` +
        "\x7f" +
        String.raw` \u003c\u0026\u003e \u2028 ` +
        "é" +
        String.raw` \ufffd\ufffd( \ufffd\ufffd\ufffd\n"`,
    );
    expect(read(path)).toHaveLength(1);
  });

  rooted("a character cut by a read or by a write is whole in the log", async () => {
    const path = await logged(
      `perl -e '$| = 1; print "\\xe2"; select(undef, undef, undef, 0.05); print "\\x82\\xac\\n"'`,
    );
    expect(read(path).map(({ log }) => log)).toEqual(["€\n"]);
  });

  rooted("rotates: files of about max-size, the newest without a number, none more than max-file", async () => {
    const path = await logged(lines(6_000), { maxBytes: 200_000, maxFiles: 3 });
    const name = path.slice(path.lastIndexOf("/") + 1);
    const files = readdirSync(stage.directory).filter((each) => each === name || each.startsWith(`${name}.`));
    expect(files.sort()).toEqual([name, `${name}.1`, `${name}.2`]);
    const numbers = [`${path}.2`, `${path}.1`, path].flatMap((file) => read(file).map(({ log }) => Number(log)));
    // Without a gap up to the last line; the first ones went with the files that were dropped.
    expect(numbers).toEqual(numbers.map((_, index) => 6_000 - numbers.length + 1 + index));
    for (const file of [`${path}.1`, `${path}.2`]) {
      const bytes = readFileSync(file).length;
      expect(bytes).toBeGreaterThanOrEqual(200_000);
      expect(bytes).toBeLessThan(200_000 + 200); // the entry that filled it is whole
    }
    expect(readFileSync(path).length).toBeGreaterThan(0);
  });

  rooted(
    "moves compressed files on with the others, drops both forms of the oldest, and ends what was interrupted",
    async () => {
      const path = join(stage.directory, "log-compressed");
      writeFileSync(path, "x".repeat(200));
      for (const name of ["1.gz", "2", "2.gz", "3.gz", "5"]) writeFileSync(`${path}.${name}`, name);
      const run = () => stage.run("echo said", { log: { path, maxBytes: 100, maxFiles: 5 }, attach: [] });
      const names = () =>
        readdirSync(stage.directory)
          .filter((name) => name.startsWith("log-compressed"))
          .map((name) => name.slice("log-compressed".length))
          .sort();
      await run();
      expect(names()).toEqual(["", ".1", ".2.gz", ".3", ".3.gz", ".4.gz", ".5"]);
      expect(readFileSync(`${path}.3`, "utf8")).toBe("2");
      expect(readFileSync(`${path}.4.gz`, "utf8")).toBe("3.gz");
      expect(readFileSync(`${path}.1`, "utf8")).toBe("x".repeat(200));
      expect(readFileSync(path, "utf8")).toContain("said");
      writeFileSync(path, "y".repeat(200));
      await run();
      expect(names()).toEqual(["", ".1", ".2", ".3.gz", ".4", ".4.gz", ".5"]);
      writeFileSync(`${path}.next`, "was current");
      writeFileSync(path, "z".repeat(200));
      await run();
      expect(names()).toEqual(["", ".1", ".2", ".3", ".4", ".5"]);
      expect(readFileSync(`${path}.1`, "utf8")).toStartWith("zzz");
      expect(readFileSync(`${path}.2`, "utf8")).toBe("was current");
      expect(readFileSync(`${path}.3`, "utf8")).toStartWith("yyy");
      expect(readFileSync(`${path}.4`, "utf8")).toStartWith("xxx");
    },
  );

  rooted("comes back when somebody has removed it, once it should be rotated", async () => {
    const path = join(stage.directory, "log-removed");
    const log = { path, maxBytes: 1000, maxFiles: 3 };
    const script = `echo one; read go; ${lines(100)}; read go; echo last`;
    const container = await stage.runtime.start(stage.request(["/bin/sh", "-c", script], { log, attach: [ALL] }));
    const client = container.attached[0]!;
    await readUntil(client, (text) => text.includes("one\n"));
    rmSync(path);
    client.write("go\n");
    await readUntil(client, (text) => text.includes("\n100 "));
    client.end("go\n");
    await container.gone;
    expect(read(path).at(-1)?.log).toBe("last\n");
    expect(readFileSync(path).length).toBeLessThan(1000);
  });

  rooted("is not rotated while somebody has its lock, and is with the next output after it", async () => {
    const path = join(stage.directory, "log-locked");
    writeFileSync(path, "x".repeat(200));
    const fd = openSync(path, "r");
    const log = { path, maxBytes: 100, maxFiles: 3 };
    try {
      lockExclusive(fd);
      await stage.run("echo locked", { log, attach: [] });
      expect(existsSync(`${path}.1`)).toBe(false);
    } finally {
      closeSync(fd);
    }
    await stage.run("echo free", { log, attach: [] });
    expect(readFileSync(`${path}.1`, "utf8")).toMatch(/^x+\{"log":"locked.*\n$/);
    expect(read(path).map(({ log }) => log)).toEqual(["free\n"]);
  });

  rooted("with one file starts over when that is full", async () => {
    const path = await logged(lines(6_000), { maxBytes: 200_000, maxFiles: 1 });
    expect(existsSync(`${path}.1`)).toBe(false);
    const numbers = read(path).map(({ log }) => Number(log));
    expect(numbers.at(-1)).toBe(6_000);
    expect(readFileSync(path).length).toBeLessThan(200_000 + 200);
  });

  rooted("of a terminal has carriage returns, and says stdout", async () => {
    const path = await logged("echo a; echo b >&2", { terminal: true });
    expect(read(path).map(({ log, stream }) => [log, stream])).toEqual([
      ["a\r\n", "stdout"],
      ["b\r\n", "stdout"],
    ]);
  });

  rooted("goes on after what an earlier run wrote", async () => {
    const path = join(stage.directory, "log-twice");
    for (const word of ["first", "second"])
      await stage.run(`echo ${word}`, { log: { path, maxBytes: 0, maxFiles: 1 }, attach: [] });
    expect(read(path).map(({ log }) => log)).toEqual(["first\n", "second\n"]);
  });

  rooted("a full disk costs whole entries, never halves, and the process runs on", async () => {
    const path = "/dev/full";
    const ran = await stage.run(`${lines(3_000)}; exit 7`, { log: { path, maxBytes: 0, maxFiles: 1 } });
    expect(ran).toMatchObject({ exitCode: 7 });
    expect(ran.stdout).toBe(expectedLines(3_000));
  });

  rooted("goes on while clients come and go, and while there is none", async () => {
    const path = join(stage.directory, "log-clients");
    const request = stage.request(["/bin/sh", "-c", `for i in 1 2 3 4 5 6 7 8; do ${lines(500)}; done`], {
      log: { path, maxBytes: 0, maxFiles: 1 },
      attach: [OUTPUT],
    });
    const container = await stage.runtime.start(request);
    container.attached[0]!.once("data", () => container.attached[0]!.destroy());
    const extra: Promise<unknown>[] = [];
    for (let i = 0; i < 5; i++)
      extra.push(
        container
          .attach(OUTPUT)
          .then((socket) => socket.once("data", () => socket.destroy()))
          .catch(() => {}),
      );
    await container.exited;
    await container.gone;
    await Promise.all(extra);
    expect(
      read(path)
        .map(({ log }) => log)
        .join(""),
    ).toBe(expectedLines(500).repeat(8));
  });
});

/** A static program of glibc's is larger by itself: see scripts/c-compiler.ts. */
const SUPERVISOR_KIB_MAX = statSync(join(import.meta.dirname, "../../dist/launcher")).size < 400_000 ? 1024 : 1536;

rooted(
  "the supervisor of an idle container takes less than 1 MiB, also after much output and with a client",
  async () => {
    const path = join(stage.directory, "log-idle");
    const request = stage.request(
      ["/bin/sh", "-c", `${lines(20_000)}; ${lines(20_000)} >&2; echo done; exec sleep 1000`],
      {
        log: { path, maxBytes: 0, maxFiles: 1 },
        attach: [OUTPUT],
      },
    );
    const container = await stage.runtime.start(request);
    await readUntil(container.attached[0]!, (text) => text.includes("done\n"));
    const status = readFileSync(`/proc/${parentOf(container.pid)}/status`, "utf8");
    expect(status).toMatch(/^Name:\s+lighter$/m);
    const kib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
    expect(kib("RssAnon") + kib("RssFile") + kib("RssShmem")).toBeLessThanOrEqual(SUPERVISOR_KIB_MAX);
    container.attached[0]!.destroy();
    await container.signal(9);
    await container.gone;
  },
);
