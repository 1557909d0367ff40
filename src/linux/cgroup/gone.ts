/** How the kernel says that a cgroup is gone. */

/** The errors of a file of a cgroup that is gone: ENODEV if it was removed after the file was opened. */
export const CGROUP_GONE: readonly string[] = ["ENOENT", "ENODEV"];
