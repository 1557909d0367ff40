/** The same command given to both clients against one dockerd: same bytes on stdout and stderr, same exit code. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { describeIf } from "../support/test-if.ts";
import { type Outcome, PrivateDocker, whyNoDocker } from "./cli-support.ts";

const whyNot = whyNoDocker();
let docker: PrivateDocker;

/** "web" is running, "gone" has ended, both with the label x=y. */
const cases: readonly (readonly string[])[] = [
  ["inspect", "web"],
  ["inspect", "busybox", "web", "nope"],
  ["inspect", "-f", "{{.Foo}}", "web"],
  ["inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", "web"],
  [
    "inspect",
    "-f",
    "{{.State.Health}} {{.Config.ExposedPorts}} {{json .HostConfig.Mounts}} {{.Config.StopSignal}}",
    "web",
  ],
  ["inspect", "-f", '{{index .Config.Labels "none.such"}}|{{.Config.Labels.none}}', "web"],
  ["inspect", "-f", "{{.State.Health.Status}}", "web"],
  ["create", "--platform", "foo", "--network", "none", "busybox"],
  ["inspect", "-f", "{{$x := .State}}\n {{$x.Foo}}", "web"],
  [
    "inspect",
    "-f",
    '{{index .Config.Labels "x"}} {{len .Config.Env}} {{if .State.Running}}yes{{else}}no{{end}} {{printf "%s|%q|%5d" .Name .Name .State.Pid}}',
    "web",
  ],
  ["inspect", "--type", "image", "web"],
  ["inspect", "--type", "foo", "web"],
  ["inspect", "--type", "container", "web", "-s", "-f", "{{.SizeRw}}"],
  ["inspect", "-f", "{{", "web"],
  ["inspect", "--format", "json", "web"],
  ["version", "-f", "{{.Server.APIVersion}} {{.Server.Experimental}} {{.Server.Os}}"],
  ["info", "-f", "{{.HTTPProxy}}|{{.CPUCfsQuota}}|{{.ProductLicense}}|{{.DefaultAddressPools}}"],
  ["stop", "nope", "nope2"],
  ["kill", "nope"],
  ["rm", "nope"],
  ["rm", "-f", "nope"],
  ["rmi", "nope"],
  ["rmi", "-f", "nope"],
  ["wait", "nope"],
  ["start", "nope"],
  ["attach", "nope"],
  ["exec", "nope", "ls"],
  ["exec", "web", "echo", "hi"],
  ["exec", "web", "sh", "-c", "echo a; echo b >&2; exit 3"],
  ["exec", "web", "nope"],
  ["exec", "-d", "web", "nope"],
  ["exec", "-w", "/nope", "web", "ls"],
  ["exec", "-u", "nobodyx", "web", "ls"],
  ["exec", "-it", "web", "ls"],
  ["exec", "-it", "nope", "ls"],
  ["exec", "-e", "A=1", "-e", "HOME", "web", "sh", "-c", "echo $A $HOME"],
  ["exec", "--env-file", "/nope", "web", "ls"],
  ["exec", "web"],
  ["logs", "web"],
  ["logs", "--tail", "x", "web"],
  ["logs", "--since", "foo", "web"],
  ["run", "--rm", "--network", "none", "busybox", "echo", "hi"],
  ["run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo a; sleep .2; echo b >&2; exit 9"],
  ["run", "--rm", "--network", "none", "busybox", "sh", "-c", "kill -9 $$"],
  ["run", "--rm", "--network", "none", "busybox", "nope"],
  ["run", "--rm", "--network", "none", "busybox", "/bin"],
  ["run", "--rm", "--network", "none", "busybox", "/etc/passwd"],
  ["run", "--rm", "--network", "none", "-w", "/nope/x", "busybox", "pwd"],
  ["run", "--rm", "--network", "none", "--entrypoint", "", "busybox"],
  ["run", "--rm", "UPPER"],
  ["run", "-it", "--rm", "--network", "none", "busybox"],
  ["run", "-d", "-a", "stdout", "busybox"],
  ["run", "-a", "stdin", "--rm", "--network", "none", "busybox", "true"],
  ["run", "-a", "stderr", "--rm", "--network", "none", "busybox", "sh", "-c", "echo o; echo e >&2"],
  ["run", "--name", "web", "--network", "none", "busybox"],
  ["run", "--rm", "-t", "--network", "none", "busybox", "echo", "hi"],
  ["run", "--rm", "-t", "--network", "none", "busybox", "tty"],
  ["run", "--restart", "always", "--rm", "busybox"],
  ["run", "-v", "a:b:c:d", "busybox"],
  ["run", "-v", ":", "busybox"],
  ["run", "-v", "/a::x", "busybox"],
  ["run", "--pid", "x", "busybox"],
  ["run", "--security-opt", "foo", "busybox"],
  ["run", "--security-opt", "seccomp=/nope", "busybox"],
  ["run", "--storage-opt", "x", "busybox"],
  ["run", "--expose", "x", "busybox"],
  ["run", "--expose", "-1", "busybox"],
  ...["", "a..b", "-x", "a.com,b.com", "1.2", `${"a".repeat(250)}.com`, "a-.com"].map((domain) => {
    return ["run", "--dns-search", domain, "busybox"];
  }),
  ["network", "connect", "--link", "", "net", "web"],
  ["volume", "ls", "--filter", ""],
  ["run", "--label", "=x", "busybox"],
  ["run", "-l", " a b=x", "busybox"],
  ["network", "create", "--label", " =x", "net"],
  ["volume", "create", "--label", "a\tb=x", "volume"],
  ["run", "-p", "x", "busybox"],
  ["run", "-p", "80-90:80-82", "busybox"],
  ["run", "--mac-address", "x", "busybox"],
  ["run", "--network", "a", "--network", "none", "busybox"],
  ["run", "--network", "none", "--network-alias", "x", "busybox"],
  ["run", "--device", "a:b:c:d", "busybox"],
  ["run", "--device", "a", "busybox"],
  ["run", "--memory-swappiness", "300", "busybox"],
  ["run", "--pull", "foo", "busybox"],
  ["run", "--link", "a:b:c", "busybox"],
  ["run", "--add-host", "x", "busybox"],
  ["run", "--add-host", "x:y", "busybox"],
  ["run", "--add-host", "x=1.2.3.4", "--rm", "--network", "none", "busybox", "true"],
  ["run", "--dns", "x", "busybox"],
  ["run", "--label", "=x", "busybox"],
  ["run", "-e", "=x", "busybox"],
  ["run", "--health-interval", "x", "busybox"],
  ["run", "--health-interval", "3", "busybox"],
  ["run", "--no-healthcheck", "--health-cmd", "x", "busybox"],
  ["run", "--log-driver", "none", "--log-opt", "a=b", "busybox"],
  ["run", "--tty=x", "busybox"],
  ["run", "--stop-timeout", "x", "busybox"],
  ["run", "--ulimit", "nofile", "busybox"],
  ["run", "--ulimit", "nofile=3:1", "busybox"],
  ["run", "--ulimit", "nofile=3:1:5", "busybox"],
  ["run", "--ulimit", "nofile=3:-1", "--rm", "--network", "none", "busybox", "true"],
  ["run", "--ulimit", "nofile=-1:3", "busybox"],
  ["run", "--cpus", "x", "busybox"],
  ["run", "--cpus", "0.0000000001", "busybox"],
  ["run", "--mount", "type=bind", "busybox"],
  ["run", "--mount", "type=bind,dst=/a,volume-nocopy", "busybox"],
  ["run", "--mount", "type=bind,dst=/a,foo=x", "busybox"],
  ["run", "--mount", "type=bind,dst=/a,foo", "busybox"],
  ["run", "--mount", "type=bind,dst=/a,ro=foo", "busybox"],
  ["run", "--mount", "type=tmpfs,dst=/a,tmpfs-size=x", "busybox"],
  ["run", "--mount", "type=tmpfs,dst=/a,tmpfs-mode=9", "busybox"],
  ["run", "--mount", "type=bind,bind-recursive=readonly,dst=/a", "busybox"],
  ["run", "--mount", 'a"b', "busybox"],
  ["run", "--mount", "", "busybox"],
  ["run", "--mount", '"type=bind', "busybox"],
  ["run", "--sysctl", "foo", "busybox"],
  ["run", "--sysctl", "foo=1", "busybox"],
  ["run", "--device-read-bps", "/dev/x:1z", "busybox"],
  ["run", "--device-read-iops", "/dev/x:1z", "busybox"],
  ["run", "--device-read-iops", "foo", "busybox"],
  ["run", "--blkio-weight-device", "/dev/x:1000000", "busybox"],
  ["run", "--blkio-weight-device", "/dev/x:5", "busybox"],
  ["run", "--blkio-weight", "70000", "busybox"],
  ["run", "--blkio-weight", "x", "busybox"],
  ["run", "--oom-score-adj", "x", "busybox"],
  ["run", "--oom-score-adj", "99999999999999999999", "busybox"],
  ["run", "--device-cgroup-rule", "x", "busybox"],
  ["run", "--restart", "foo:bar", "busybox"],
  ["run", "--restart", ":3", "busybox"],
  ["run", "--isolation", "x", "--rm", "--network", "none", "busybox", "true"],
  ["run", "-m", "3x", "busybox"],
  ["run", "-m", "", "busybox"],
  ["run", "--zzz"],
  ["run", "-Z"],
  ["run", "-itz", "busybox"],
  ["run", "--name"],
  ["run", "-e"],
  ["run", "--=x"],
  ["run", "--help=foo"],
  ["create", "--network", "none", "busybox", "x", "y"],
  ["create"],
  ["create", "--foo"],
  ["stop"],
  ["stop", "-t", "x", "web"],
  ["logs"],
  ["logs", "a", "b"],
  ["rm"],
  ["ps", "--filter", "foo"],
  ["ps", "-n", "x"],
  ["ps", "--filter", "status=exited", "-q"],
  ["ps", "--filter", "foo=bar"],
  ["ps", "--format", "{{.ID}}: {{.Command}}", "--no-trunc"],
  ["ps", "--format", 'table {{.ID}}\\t{{.Label "x"}}\\t{{.Labels}}', "-a"],
  ["ps", "--format", "{{json .}}"],
  ["ps", "--format", "json"],
  ["ps", "--format", "raw"],
  ["ps", "-q", "--format", "x"],
  ["ps", "--format", "{{upper .Names}} {{lower .Names}} {{title .Names}} {{truncate .ID 3}} {{pad .ID 2 2}}|"],
  ["ps", "--format", '{{range $i, $x := split .Names "1"}}{{$i}}={{$x}};{{end}}'],
  ["ps", "--format", '{{join (split .Names "") "-"}}'],
  ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.CreatedAt}}"],
  ["images", "--no-trunc"],
  ["images", "nope"],
  ["images", "busybox"],
  ["images", "busybox:latest", "-q"],
  ["images", "--filter", "dangling=true"],
  ["images", "--filter", "x"],
  ["images", "--format", "raw"],
  ["images", "a", "b"],
  ["load", "-i", "/nope"],
  ["images", "--foo"],
  ["kill", "-s", "FOO", "web"],
  ["kill", "-s", "0", "web"],
  ["bogus"],
  ["ps", "-a", "--filter", "label=x=y"],
  ["ps", "-as", "--no-trunc"],
  ["logs", "gone"],
  ["logs", "-n", "1", "gone"],
  ["logs", "-t", "gone"],
  ["logs", "--since", "1h", "--until", "2030-01-01", "gone"],
  ["wait", "gone"],
  ["start", "-a", "gone"],
  ["inspect", "-f", "{{json .Mounts}} {{.Path}} {{.Args}} {{.RestartCount}}", "gone"],
  ["inspect", "-f", "{{with .Config}}{{.Image}} {{range $i, $e := .Cmd}}{{$i}}:{{$e}} {{end}}{{end}}", "gone"],
  ["inspect", "-f", '{{- /* note */ -}} {{eq .Name "/gone"}} {{and .Id true}} {{or "" 0 "z"}} {{not 0}}', "gone"],
  ["inspect", "-f", '{{printf "%-8s|%8.3s|%05d|%x|%t|%v" "ab" "abcdef" 42 255 true .Args}}', "gone"],
  ["inspect", "-f", "{{slice .Id 0 12}} {{len .Id}} {{index .Args 0}} {{.Config.Env | json | len}}", "gone"],
  ["inspect", "-f", "{{if ne .State.ExitCode 3}}a{{else if gt .State.ExitCode 2}}b{{else}}c{{end}}", "gone"],
  ["load", "-i", "SAVED"],
  ["load", "-q", "--input=SAVED"],
];

describeIf(whyNot)("same as docker", () => {
  beforeAll(async () => {
    docker = await PrivateDocker.start();
    const flags = ["--network", "none", "--label", "x=y"];
    const started = await docker.docker(["run", "-d", ...flags, "--name", "web", "busybox", "sleep", "1000"]);
    expect(started).toMatchObject({ stderr: "", code: 0 });
    const script = "echo one; echo two; echo error >&2; exit 3";
    const ended = await docker.docker(["run", ...flags, "--name", "gone", "busybox", "sh", "-c", script]);
    expect(ended.code).toBe(3);
  }, 90_000);

  afterAll(async () => {
    await docker.stop();
  }, 60_000);

  test.each(cases.map((args) => [args.join(" "), args] as const))("%s", async (_name, args) => {
    const known = args.map((word) => word.replace("SAVED", join(docker.folder, "saved.tar")));
    const theirs = await docker.docker(known);
    const ours = await docker.lighter(known);
    expect(normalize(ours)).toEqual(normalize({ ...theirs, stderr: renamed(theirs.stderr) }));
  });

  test("no daemon at DOCKER_HOST: the error, and none is started", async () => {
    const options = { env: { DOCKER_HOST: "unix:///nonexistent.sock" } };
    for (const args of [["ps"], ["run", "x"], ["exec", "x", "y"]]) {
      const theirs = await docker.docker(args, options);
      const ours = await docker.lighter(args, options);
      expect(ours).toEqual({ ...theirs, stdout: ours.stdout, stderr: renamed(theirs.stderr) });
    }
  });

  test("images and rmi: what was untagged and deleted", async () => {
    const results: Outcome[] = [];
    for (const client of ["docker", "lighter"] as const) {
      await docker.docker(["tag", "busybox", "other:1"]);
      results.push(await docker[client](["rmi", "other:1", "nope"]));
    }
    expect(results[1]).toEqual(results[0] as Outcome);
    expect(results[1]?.stdout).toBe("Untagged: other:1\n");
  });

  test("stop, start, kill and rm print the names as they were given", async () => {
    for (const client of ["docker", "lighter"] as const) {
      const name = `cycle-${client}`;
      await docker.docker(["run", "-d", "--network", "none", "--name", name, "busybox", "sleep", "1000"]);
      for (const args of [["stop", "-t", "0"], ["start"], ["kill"], ["rm"]])
        expect(await docker[client]([...args, name])).toEqual({ stdout: `${name}\n`, stderr: "", code: 0 });
    }
  });
});

/** The program's own name. Names of daemons, registries and folders are the server's words. */
function renamed(text: string): string {
  return text
    .replaceAll(/^docker:/gm, "lighter:")
    .replaceAll(/(['"])docker\b/g, "$1lighter")
    .replaceAll("a docker command", "a lighter command")
    .replaceAll("Usage:  docker", "Usage:  lighter")
    .replaceAll("Docker daemon at", "Lighter daemon at")
    .replaceAll("Is the docker daemon", "Is the lighter daemon");
}

/** IDs of what a command has just made differ, and time passes between the two runs. */
function normalize({ stdout, stderr, code }: Outcome): Outcome {
  const timeless = (text: string) =>
    text.replaceAll(/\b\d+ (seconds?|minutes?)\b|Less than a second|About a minute/g, "TIME").replaceAll(/ +/g, " ");
  return { stdout: timeless(stdout.replace(/^[0-9a-f]{64}$/m, "ID")), stderr: timeless(stderr), code };
}
