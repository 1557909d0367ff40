/**
 * The programs, and the page, inside `dist/lighter`, as paths to read: real files when run from source, files inside the
 * executable when built (those can be read but not executed where they are: copy the bytes to a memfd or a file first).
 * Anyone may import this; it imports nothing of ours. `bun run build` makes them before it needs them.
 */
import dashboardPath from "../dist/dashboard" with { type: "file" };
import helloPath from "../dist/hello" with { type: "file" };
import initPath from "../dist/init" with { type: "file" };
import launcherPath from "../dist/launcher" with { type: "file" };

export { dashboardPath, helloPath, initPath, launcherPath };
