/*
 * Uses /dev/net/tun and /dev/fuse as their users do: makes an interface, mounts a file system.
 * Prints what there is then.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int use_tun(void)
{
	struct ifreq request = { .ifr_name = "tun7", .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);

	if (fd < 0)
		return fail("open /dev/net/tun");
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return fail("TUNSETIFF");
	printf("interface %s %d\n", request.ifr_name, access("/sys/class/net/tun7", F_OK));
	return 0;
}

/* Nobody serves it: it is mounted all the same, and who would ask it has to wait. */
static int use_fuse(const char *directory)
{
	char options[64], line[256];
	int fd = open("/dev/fuse", O_RDWR);
	FILE *mounts;

	if (fd < 0)
		return fail("open /dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("test", directory, "fuse.test", MS_NOSUID | MS_NODEV, options) < 0)
		return fail("mount");
	mounts = fopen("/proc/self/mounts", "r");
	while (mounts && fgets(line, sizeof(line), mounts))
		if (strstr(line, "fuse.test"))
			printf("mounted %.*s\n", (int)strcspn(line + 5, " "), line + 5);
	return umount2(directory, MNT_DETACH) < 0 ? fail("umount2") : 0;
}

/* argv[1]: the directory to mount on */
int main(int argc, char **argv)
{
	return argc < 2 || use_tun() | use_fuse(argv[1]);
}
