/*
 * The program of the embedded image `hello`: prints what the kernel gave this container.
 *
 *	hello          the report
 *	hello true     exits 0 at once
 *	hello exit N   exits N
 *	hello sleep    waits for SIGTERM or SIGINT, then exits 0 (also as pid 1)
 * The last three let tests and benches run a container without any other image.
 *
 * No libc: raw system calls, so that the image is a few kilobytes and starts in no time. Everything
 * it reads is optional: /proc and /sys may be missing, unreadable or hold anything.
 */
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/time.h>
#include <linux/utsname.h>

typedef unsigned char u8;
typedef unsigned long u64;

/* --- system calls ----------------------------------------------------------------------------- */

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n"
	"\tcall start\n");

static long sys(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl start\n");

static long sys(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#else
#error "hello knows x86_64 and aarch64"
#endif

static _Noreturn void quit(long code)
{
	for (;;)
		sys(__NR_exit_group, code, 0, 0, 0);
}

/* Reads the first `size - 1` bytes of a file, NUL-terminated. Returns -1 if it cannot be read. */
static long read_file(const char *path, char *text, long size)
{
	long fd = sys(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	long length = 0;

	if (fd < 0)
		return -1;
	while (length < size - 1) {
		long got = sys(__NR_read, fd, (long)text + length, size - 1 - length, 0);

		if (got <= 0) {
			if (got < 0 && length == 0)
				length = -1;
			break;
		}
		length += got;
	}
	sys(__NR_close, fd, 0, 0, 0);
	if (length >= 0)
		text[length] = 0;
	return length;
}

/* --- text ------------------------------------------------------------------------------------- */

static char out[4096];
static u64 out_length;
static int out_is_tty;
static u64 line_length; /* visible columns since the last newline */

static void flush(void)
{
	for (u64 done = 0; done < out_length;) {
		long wrote =
			sys(__NR_write, 1, (long)out + (long)done, (long)(out_length - done), 0);

		if (wrote <= 0)
			break; /* there is nobody to tell */
		done += (u64)wrote;
	}
	out_length = 0;
}

static void put_raw(char c)
{
	if (out_length == sizeof(out))
		flush();
	out[out_length++] = c;
}

/*
 * Prints a character. Texts come from the kernel but are set by people (hostnames): control bytes
 * must not reach the terminal.
 */
static void put_char(char c)
{
	if (c != '\n' && ((u8)c < 0x20 || c == 0x7f))
		c = '?';
	line_length = c == '\n' ? 0 : line_length + 1;
	put_raw(c);
}

static void put(const char *text)
{
	while (*text)
		put_char(*text++);
}

static void style(const char *escape)
{
	if (out_is_tty)
		while (*escape)
			put_raw(*escape++);
}

#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

/* Prints at least `width` digits, with leading zeros. */
static void put_number(u64 value, int width)
{
	char digits[20];
	int count = 0;

	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value || count < width);
	while (count)
		put_char(digits[--count]);
}

static void pad_to(u64 column)
{
	while (line_length < column)
		put_char(' ');
}

#define VALUE_COLUMN 16
#define LINE_COLUMNS 78

static void label(const char *name)
{
	put("  ");
	style(DIM);
	put(name);
	style(PLAIN);
	pad_to(VALUE_COLUMN);
}

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Reads a decimal number and moves past it. Returns -1 if there is none; huge ones stay huge. */
static long parse_number(const char **text)
{
	const char *c = *text;
	u64 value = 0;

	if (*c < '0' || *c > '9')
		return -1;
	for (; *c >= '0' && *c <= '9'; c++)
		value = value > (1UL << 58) ? 1UL << 62 : value * 10 + (u64)(*c - '0');
	*text = c;
	return (long)value;
}

struct path {
	char text[512];
	u64 length;
};

/* Appends `text` up to `end` or its NUL. A path that is too long is cut and will not be found. */
static void path_add(struct path *path, const char *text, const char *end)
{
	while (text != end && *text && path->length < sizeof(path->text) - 1)
		path->text[path->length++] = *text++;
	path->text[path->length] = 0;
}

/* --- the report ------------------------------------------------------------------------------- */

static void report_process(void)
{
	label("process");
	put("pid ");
	put_number((u64)sys(__NR_getpid, 0, 0, 0, 0), 1);
	put(", uid ");
	put_number((u64)sys(__NR_geteuid, 0, 0, 0, 0), 1);
	put(", gid ");
	put_number((u64)sys(__NR_getegid, 0, 0, 0, 0), 1);
	put("\n");
}

static void report_system(void)
{
	struct new_utsname name;

	if (sys(__NR_uname, (long)&name, 0, 0, 0) < 0)
		return;
	label("hostname");
	put(name.nodename);
	put("\n");
	label("kernel");
	put(name.sysname);
	put(" ");
	put(name.release);
	put(", ");
	put(name.machine);
	put("\n");
}

/*
 * Prints the civil date from days since 1970-01-01, in years that begin in March, so that the leap
 * day comes last.
 */
static void report_time(void)
{
	long now[2]; /* struct timespec: seconds, nanoseconds */
	u64 days, seconds, day, year, month;

	if (sys(__NR_clock_gettime, CLOCK_REALTIME, (long)now, 0, 0) < 0 || now[0] < 0)
		return;
	seconds = (u64)now[0] % 86400;
	days = (u64)now[0] / 86400 + 719468; /* days from 0000-03-01 */
	year = days / 146097 * 400;
	days %= 146097; /* day of the 400-year era */
	day = (days - days / 1460 + days / 36524 - days / 146096) / 365; /* year of the era */
	year += day;
	days -= 365 * day + day / 4 - day / 100; /* day of the year */
	month = (5 * days + 2) / 153;
	day = days - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 3 : month - 9;
	label("time");
	put_number(year + (month <= 2), 4);
	put("-");
	put_number(month, 2);
	put("-");
	put_number(day, 2);
	put(" ");
	put_number(seconds / 3600, 2);
	put(":");
	put_number(seconds / 60 % 60, 2);
	put(":");
	put_number(seconds % 60, 2);
	put(" UTC\n");
}

static void report_root(void)
{
	/* statfs(2) f_type; include/uapi/linux/magic.h */
	static const struct {
		unsigned magic;
		char name[12];
	} types[] = {
		{ 0x794c7630, "overlay" }, { 0xef53, "ext4" },	    { 0x01021994, "tmpfs" },
		{ 0x9123683e, "btrfs" },   { 0x58465342, "xfs" },   { 0x73717368, "squashfs" },
		{ 0x2fc12fc1, "zfs" },	   { 0xe0f5e1e2, "erofs" }, { 0x858458f6, "ramfs" },
		{ 0x65735546, "fuse" },	   { 0x6969, "nfs" },
	};
	struct statfs fs;
	const char *name = "unknown type";

	if (sys(__NR_statfs, (long)"/", (long)&fs, 0, 0) < 0)
		return;
	for (u64 i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].magic == (unsigned)fs.f_type)
			name = types[i].name;
	label("root");
	put(name);
	put(fs.f_flags & 1 ? ", read-only\n" : ", writable\n"); /* ST_RDONLY */
}

static void report_namespaces(void)
{
	/*
	 * Inode numbers of the host's own namespaces, which are part of the kernel's ABI
	 * (include/uapi/linux/nsfs.h). Those of net and mnt are fixed on recent kernels only.
	 */
	static const struct {
		char name[8];
		unsigned host;
	} namespaces[] = {
		{ "pid", 0xeffffffc },	  { "net", 0xeffffff9 },  { "mnt", 0xeffffff8 },
		{ "ipc", 0xefffffff },	  { "uts", 0xeffffffe },  { "user", 0xeffffffd },
		{ "cgroup", 0xeffffffb }, { "time", 0xeffffffa },
	};
	u64 seen = 0;

	label("namespaces");
	for (u64 i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		struct path path;
		char link[64];
		const char *digits = link;
		long length, inode = -1;

		path.length = 0;
		path_add(&path, "/proc/self/ns/", 0);
		path_add(&path, namespaces[i].name, 0);
		length = sys(__NR_readlinkat, AT_FDCWD, (long)path.text, (long)link,
			     sizeof(link) - 1);
		if (length <= 0)
			continue; /* no /proc, or a kernel without this kind */
		link[length] = 0; /* "pid:[4026532281]" */
		while (*digits && *digits != '[')
			digits++;
		if (*digits)
			digits++;
		inode = parse_number(&digits);
		if (inode < 0)
			continue;
		if (seen % 2 == 0) {
			if (seen)
				put("\n");
			pad_to(VALUE_COLUMN);
		} else {
			pad_to(VALUE_COLUMN + 30);
		}
		seen++;
		put(namespaces[i].name);
		pad_to(line_length <= VALUE_COLUMN + 8 ? VALUE_COLUMN + 8 : VALUE_COLUMN + 38);
		put_number((u64)inode, 1);
		if (inode == namespaces[i].host)
			put(" (host's)");
	}
	put(seen ? "\n" : "not visible without /proc\n");
}

/*
 * Reads `file` of this process's cgroup, for `controller` on v1 (its hierarchy is a folder of
 * /sys/fs/cgroup) or for v2 if `controller` is "". A line of /proc/self/cgroup is
 * "ID:CONTROLLER,CONTROLLER:/PATH"; v2's list is empty. With a cgroup namespace, or where only the
 * own part is mounted, the file is right at the mount point.
 */
static long read_cgroup(const char *controller, const char *file, char *text, long size)
{
	char lines[4096];
	const char *line = lines;

	if (read_file("/proc/self/cgroup", lines, sizeof(lines)) < 0)
		lines[0] = 0;
	while (*line) {
		const char *list = line, *list_end, *item, *end;
		int found = 0;

		for (end = line; *end && *end != '\n'; end++)
			;
		while (list != end && *list++ != ':')
			;
		for (list_end = list; list_end != end && *list_end != ':'; list_end++)
			;
		for (item = list; item <= list_end && !found; item++) {
			const char *name = controller;

			while (item != list_end && *name && *item == *name)
				item++, name++;
			found = !*name && (item == list_end || *item == ',') &&
				(*controller || list == list_end);
			while (item != list_end && *item != ',')
				item++;
		}
		for (int own = 1; found && list_end != end && own >= 0; own--) {
			struct path path;
			long length;

			path.length = 0;
			path_add(&path, "/sys/fs/cgroup/", 0);
			path_add(&path, list, list_end);
			if (own)
				path_add(&path, list_end + 1, end);
			path_add(&path, "/", 0);
			path_add(&path, file, 0);
			length = read_file(path.text, text, size);
			if (length >= 0)
				return length;
		}
		line = *end ? end + 1 : end;
	}
	return -1;
}

/* A limit of 1 EiB or more is v1's way to say "none": it writes the highest page-aligned number. */
#define NO_LIMIT (1L << 60)

static void put_bytes(u64 bytes)
{
	static const char units[] = "BKMGTP";
	u64 unit = 0, tenths;

	for (tenths = bytes * 10; tenths >= 10240 && unit < sizeof(units) - 2; unit++)
		tenths = (tenths + 512) / 1024;
	put_number(tenths / 10, 1);
	if (tenths % 10) {
		put(".");
		put_number(tenths % 10, 1);
	}
	put_char(' ');
	if (unit) {
		put_char(units[unit]);
		put("i");
	}
	put("B\n");
}

static void report_limits(void)
{
	char text[64];
	const char *next = text;
	long value, period = -1;

	label("memory");
	if (read_cgroup("", "memory.max", text, sizeof(text)) < 0 &&
	    read_cgroup("memory", "memory.limit_in_bytes", text, sizeof(text)) < 0)
		put("not visible\n");
	else if ((value = parse_number(&next)) < 0 || value >= NO_LIMIT)
		put("no limit\n");
	else
		put_bytes((u64)value);

	/* "$QUOTA $PERIOD" or "max $PERIOD" on v2; two files on v1, -1 for none. Microseconds. */
	label("cpu");
	next = text;
	if (read_cgroup("", "cpu.max", text, sizeof(text)) >= 0) {
		value = parse_number(&next);
		if (*next == ' ')
			next++;
		period = parse_number(&next);
	} else if (read_cgroup("cpu", "cpu.cfs_quota_us", text, sizeof(text)) >= 0) {
		value = parse_number(&next);
		next = text;
		if (read_cgroup("cpu", "cpu.cfs_period_us", text, sizeof(text)) >= 0)
			period = parse_number(&next);
	} else {
		value = -2;
	}
	if (value == -2) {
		put("not visible\n");
	} else if (value < 0 || value >= NO_LIMIT / 100 || period <= 0) {
		put("no limit\n");
	} else {
		u64 hundredths = (u64)value * 100 / (u64)period;

		put_number(hundredths / 100, 1);
		if (hundredths % 100) {
			put(".");
			put_number(hundredths % 100, 2);
		}
		put(hundredths == 100 ? " processor\n" : " processors\n");
	}

	label("processes");
	next = text;
	if (read_cgroup("", "pids.max", text, sizeof(text)) < 0 &&
	    read_cgroup("pids", "pids.max", text, sizeof(text)) < 0) {
		put("not visible\n");
	} else if ((value = parse_number(&next)) < 0) {
		put("no limit\n");
	} else {
		put("at most ");
		put_number((u64)value, 1);
		put("\n");
	}
}

static void report_capabilities(void)
{
	/* The names in the order of their numbers: include/uapi/linux/capability.h. */
	static const char names[] =
		"chown\0dac_override\0dac_read_search\0fowner\0fsetid\0kill\0setgid\0setuid\0"
		"setpcap\0linux_immutable\0net_bind_service\0net_broadcast\0net_admin\0net_raw\0"
		"ipc_lock\0ipc_owner\0sys_module\0sys_rawio\0sys_chroot\0sys_ptrace\0sys_pacct\0"
		"sys_admin\0sys_boot\0sys_nice\0sys_resource\0sys_time\0sys_tty_config\0mknod\0"
		"lease\0audit_write\0audit_control\0setfcap\0mac_override\0mac_admin\0syslog\0"
		"wake_alarm\0block_suspend\0audit_read\0perfmon\0bpf\0checkpoint_restore\0";
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	const char *name = names;
	u64 set, count = 0, known = 0;

	if (sys(__NR_capget, (long)&header, (long)data, 0, 0) < 0)
		return;
	set = data[0].effective | (u64)data[1].effective << 32;
	for (u64 bit = 0; bit < 64; bit++) {
		count += set >> bit & 1;
		/* PR_CAPBSET_READ fails for a capability that this kernel does not have. */
		known += sys(__NR_prctl, PR_CAPBSET_READ, (long)bit, 0, 0) >= 0;
	}
	label("capabilities");
	if (!count) {
		put("none\n");
		return;
	}
	put_number(count, 1);
	put(" of ");
	put_number(known, 1);
	put(count == known ? ", all there are\n" : "\n");
	if (count == known)
		return;
	pad_to(VALUE_COLUMN);
	for (u64 bit = 0; bit < 64 && *name; bit++) {
		u64 length = 0;

		while (name[length])
			length++;
		if (set >> bit & 1) {
			if (line_length + 1 + length > LINE_COLUMNS)
				put("\n");
			if (line_length < VALUE_COLUMN)
				pad_to(VALUE_COLUMN);
			else if (line_length > VALUE_COLUMN)
				put(" ");
			put(name);
		}
		name += length + 1;
	}
	put("\n");
}

static void report_confinement(void)
{
	static const char modes[][8] = { "off", "strict", "filter" };
	long mode = sys(__NR_prctl, PR_GET_SECCOMP, 0, 0, 0);
	long no_new = sys(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0);

	label("seccomp");
	put(mode >= 0 && mode <= 2 ? modes[mode] : "not in this kernel");
	put("\n");
	label("no-new-privs");
	put(no_new > 0 ? "on\n" : "off\n");
}

static int stdout_takes_colour(char **env)
{
	char termios[256]; /* more than the kernel's struct termios */

	for (; *env; env++) {
		const char *want = "NO_COLOR=";
		const char *have = *env;

		while (*want && *want == *have)
			want++, have++;
		if (!*want && *have)
			return 0;
	}
	return sys(__NR_ioctl, 1, TCGETS, (long)termios, 0) == 0;
}

static _Noreturn void sleep_until_told(void)
{
	/*
	 * These are waited for while blocked, so that they also reach pid 1, for which the kernel
	 * drops default actions.
	 */
	u64 signals = 1UL << (SIGTERM - 1) | 1UL << (SIGINT - 1);

	sys(__NR_rt_sigprocmask, SIG_BLOCK, (long)&signals, 0, sizeof(signals));
	while (sys(__NR_rt_sigtimedwait, (long)&signals, 0, 0, sizeof(signals)) < 0)
		;
	quit(0);
}

/* Starts with the stack as it is at entry: argc, argv…, NULL, envp…, NULL. */
__attribute__((used)) _Noreturn static void start(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);

	if (argc > 1) {
		const char *number = argc > 2 ? argv[2] : "";

		if (equal(argv[1], "true"))
			quit(0);
		if (equal(argv[1], "exit"))
			quit(parse_number(&number) & 255);
		if (equal(argv[1], "sleep"))
			sleep_until_told();
	}
	out_is_tty = stdout_takes_colour(argv + argc + 1);
	put("\n  ");
	style(BOLD);
	put("Hello from a Lighter container.");
	style(PLAIN);
	put("\n  This is what the kernel gave it:\n\n");
	report_process();
	report_system();
	report_time();
	report_root();
	put("\n");
	report_namespaces();
	put("\n");
	report_limits();
	put("\n");
	report_capabilities();
	report_confinement();
	put("\n  Next:\n"
	    "    lighter ps -a            this container, and how it ended\n"
	    "    lighter run -it IMAGE    a shell in an image of yours\n"
	    "    lighter explain hello    every system call that started this\n\n");
	flush();
	quit(0);
}
