/*
 * Loads a seccomp filter and shows what the kernel makes of it.
 *
 *   seccomp-probe FLAGS FILTER < CALLS
 *
 * FLAGS are for seccomp(2), in hexadecimal; FILTER is a file with struct sock_filter[]. CALLS are
 * lines "ARCH NR ARG0 .. ARG5" in hexadecimal; ARCH is AUDIT_ARCH_X86_64, _I386 or _AARCH64. For
 * each, one line:
 *
 *   errno N     the call failed, or the filter made it fail, with N; errno 0: it succeeded
 *   passed      the filter let the call through (guarded only)
 *   SIGNAME     the filter ended the process: "SIGSYS"
 *
 * Guarded (the default), no call is ever made: an older filter turns what passes into errno 999,
 * and since the kernel takes the newest of equally severe verdicts, the filter's own errnos show.
 * With a third argument "real" the calls are made. Each run of calls has a child of its own, which
 * ends by an illegal instruction: a filter may forbid exit(2).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#else
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

#define MAX_CALLS 65536
#define GUARD_ERRNO 999

struct call {
	uint32_t arch, nr;
	uint64_t arg[6];
};

/* Written by the child, read by the parent: a filter may forbid write(2). */
struct shared {
	volatile uint32_t next;
	volatile int32_t failed_to_load; /* an errno */
	volatile int32_t result[MAX_CALLS];
};

static struct call calls[MAX_CALLS];
static uint32_t call_count;
static struct sock_filter filter[BPF_MAXINSNS];
static struct sock_fprog program = { .filter = filter };

static long load(unsigned int flags, const struct sock_fprog *prog)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, prog);
}

/* Stops everything but the one call that loads the filter under test. */
static void load_guard(void)
{
	struct sock_filter guard[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(uintptr_t)&program, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | GUARD_ERRNO),
	};
	struct sock_fprog prog = { sizeof(guard) / sizeof(guard[0]), guard };

	if (load(0, &prog) != 0) {
		perror("load the guard");
		_exit(2);
	}
}

static int32_t make_call(const struct call *call)
{
	const uint64_t *a = call->arg;

#ifdef __x86_64__
	long result;

	if (call->arch == AUDIT_ARCH_I386) {
		/*
		 * The old entry takes the low words. rbp, which holds the sixth, is the compiler's
		 * own; the red zone is below rsp.
		 */
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %%rbp\n\tmov %7, %%ebp\n\t"
				 "int $0x80\n\tpop %%rbp\n\tlea 128(%%rsp), %%rsp"
				 : "=a"(result)
				 : "0"((long)call->nr), "b"((long)(uint32_t)a[0]),
				   "c"((long)(uint32_t)a[1]), "d"((long)(uint32_t)a[2]),
				   "S"((long)(uint32_t)a[3]), "D"((long)(uint32_t)a[4]),
				   "r"((uint32_t)a[5])
				 : "memory", "r8", "r9", "r10", "r11");
		result = (int32_t)result;
	} else {
		register uint64_t r10 __asm__("r10") = a[3];
		register uint64_t r8 __asm__("r8") = a[4];
		register uint64_t r9 __asm__("r9") = a[5];

		__asm__ volatile("syscall"
				 : "=a"(result)
				 : "0"((uint64_t)call->nr), "D"(a[0]), "S"(a[1]), "d"(a[2]),
				   "r"(r10), "r"(r8), "r"(r9)
				 : "memory", "rcx", "r11");
	}
	return result < 0 && result >= -4095 ? (int32_t)-result : 0;
#else
	return syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
#endif
}

static void run_calls(struct shared *shared, unsigned int flags, int guarded)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (guarded)
		load_guard();
	if (load(flags, &program) < 0) {
		shared->failed_to_load = errno;
		__builtin_trap();
	}
	while (shared->next < call_count) {
		shared->result[shared->next] = make_call(&calls[shared->next]);
		shared->next++;
	}
	__builtin_trap();
}

/* Continues with the call after the one that ended the previous child. */
static int run_all(struct shared *shared, unsigned int flags, int guarded)
{
	for (;;) {
		int status;
		pid_t child = fork();

		if (child == 0)
			run_calls(shared, flags, guarded);
		if (child < 0 || waitpid(child, &status, 0) != child) {
			perror("fork");
			return 2;
		}
		if (shared->failed_to_load) {
			fprintf(stderr, "load the filter: %s\n", strerror(shared->failed_to_load));
			return 1;
		}
		if (shared->next == call_count)
			return 0;
		if (!WIFSIGNALED(status)) {
			fprintf(stderr, "call %u ended the child with status %x\n", shared->next,
				status);
			return 2;
		}
		shared->result[shared->next++] = -WTERMSIG(status);
	}
}

int main(int argc, char **argv)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int guarded = argc < 4 || strcmp(argv[3], "real") != 0;
	FILE *file;
	int rc;

	if (argc < 3 || shared == MAP_FAILED)
		return 2;
	file = fopen(argv[2], "rb");
	if (!file) {
		perror(argv[2]);
		return 2;
	}
	program.len = fread(filter, sizeof(filter[0]), BPF_MAXINSNS, file);
	fclose(file);
	while (call_count < MAX_CALLS) {
		struct call *c = &calls[call_count];

		if (scanf("%x %x %lx %lx %lx %lx %lx %lx", &c->arch, &c->nr, &c->arg[0], &c->arg[1],
			  &c->arg[2], &c->arg[3], &c->arg[4], &c->arg[5]) != 8)
			break;
		call_count++;
	}
	rc = run_all(shared, strtoul(argv[1], NULL, 16), guarded);
	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < call_count; i++) {
		int32_t result = shared->result[i];

		if (result < 0)
			printf("SIG%s\n", sigabbrev_np(-result));
		else if (guarded && result == GUARD_ERRNO)
			puts("passed");
		else
			printf("errno %d\n", result);
	}
	return 0;
}
