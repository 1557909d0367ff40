/** A login in a running machine. */
import { runExec } from "../containers/exec-session.ts";
import type { Client } from "../http/client.ts";
import { inputIsTerminal } from "../streams/tty-check.ts";

/**
 * Logs a user in, as `su` does where there is one: by PAM, so that it is a session to the machine. $1 is the user, what follows a
 * command for its shell. A terminal that the machine does not know becomes one that every machine knows.
 */
const SCRIPT = `user=$1; shift
for root in /etc /lib /usr/lib /usr/share; do
  [ -d $root/terminfo ] && known=no
  [ -e "$root/terminfo/$(printf %.1s "$TERM")/$TERM" ] && known=yes && break
done
[ "$known" = no ] && TERM=xterm
if command -v su >/dev/null 2>&1; then
  if [ $# -eq 0 ]; then exec su -l "$user"; fi
  exec su -l -c 'exec "$@"' -- "$user" sh "$@"
fi
if [ $# -gt 0 ]; then exec "$@"; fi
exec sh -l`;

/** Opens a login shell, or runs a command in one, and returns the exit code. */
export function loginShell(
  client: Client,
  machine: string,
  user: string,
  argv: readonly string[],
  detachKeys: string,
): Promise<number> {
  const tty = inputIsTerminal();
  return runExec(client, machine, {
    argv: ["/bin/sh", "-c", SCRIPT, "sh", user, ...argv],
    user: "0",
    env: tty ? [`TERM=${process.env.TERM || "xterm"}`] : [],
    tty,
    stdin: true,
    detach: false,
    detachKeys,
  });
}
