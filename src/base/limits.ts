/**
 * Every limit on outside bytes, in one place, each with its reason and what happens beyond it.
 * Beyond a limit the answer is always an error that names the limit, never a truncation.
 */

/** A launcher program: ops and blob. Real ones are 20–60 KiB; argv and environment may hold 2 MiB (execve's limit). */
export const PROGRAM_MAX_BYTES = 8 * 1024 * 1024;
export const PROGRAM_MAX_OPS = 8192;
/** fds and pids a program may hold: one a bind mount, one a file system, and some thirty of its own. */
export const PROGRAM_MAX_SLOTS = 1024;

/** A machine's credentials and cloud-init data together. systemd takes a megabyte of credentials. */
export const MACHINE_SECRETS_MAX_BYTES = 1024 * 1024;

/** JSON documents of an image (config, manifest, index). Registries cap manifests at 4 MiB. */
export const IMAGE_JSON_MAX_BYTES = 4 * 1024 * 1024;
/** The JSON body of an API request. */
export const API_BODY_MAX_BYTES = 16 * 1024 * 1024;
/**
 * States of a filter's regular expression, all of which may have to be tried for each character; and how deep its groups nest.
 */
export const PATTERN_MAX_STEPS = 2000;
export const PATTERN_MAX_DEPTH = 200;
/** How long a connection may take until its first request's head is there. Docker's number. Then it is closed. */
export const API_HEAD_TIMEOUT_MS = 5 * 60_000;
/** What the unfinished bodies of all requests hold together, not counting the first part of each. Further ones get a 503. */
export const API_BODIES_MAX_BYTES = 64 * 1024 * 1024;
/** The size of that first part: a create's body has 3 KiB. */
export const API_BODY_ASSURED_BYTES = 64 * 1024;
/** How long a JSON body may take to come. Then the connection is closed, with a 408. */
export const API_BODY_TIMEOUT_MS = 60_000;
/** How deep lists and objects nest in such a body. Real ones have seven levels. */
export const API_BODY_MAX_DEPTH = 1000;
/**
 * Values in such a body, each of which takes memory of its own: this many take half a second. execve(2) takes fewer strings;
 * publishing all ports of a protocol takes five times 65,535.
 */
export const API_BODY_MAX_VALUES = 512 * 1024;

/** One message of gRPC. What clients send in one piece (a build's definition, its Dockerfile) is far below that. */
export const GRPC_MESSAGE_MAX_BYTES = 16 * 1024 * 1024;
/** Values in one protobuf message, each of which takes memory of its own. */
export const PROTOBUF_MAX_VALUES = 256 * 1024;
/** Operations of a definition (LLB), and how many of them are made one of the other. A Dockerfile of 1,000 lines has as many. */
export const LLB_OPS_MAX = 10_000;
export const LLB_DEPTH_MAX = 1500;
/** Files of a context that BuildKit's client sends, which tells of all before it sends the first: 300 bytes each. */
export const CONTEXT_MAX_ENTRIES = 1_000_000;
/** The bytes of a file that a build downloads, unless the daemon is told another number. */
export const BUILD_DOWNLOAD_MAX_BYTES = 10 * 1024 ** 3;
/** Bytes of files that are gone, in a context that is kept for the next build: with more, and more than of others, it is sent whole. */
export const SPOOL_WASTE_MIN_BYTES = 16 * 1024 * 1024;
/** Entries of a context's tar. The worker that spools it needs 250 bytes for each. */
export const CONTEXT_TAR_MAX_ENTRIES = 2_000_000;
/** Builds that clients of BuildKit's API may have at once, and how long the progress of an ended one can be read. */
export const BUILD_JOBS_MAX = 1000;
export const BUILD_JOB_KEEP_MS = 10_000;
/** How long a build whose progress is asked for may take to begin. */
export const BUILD_JOB_WAIT_MS = 30_000;
/** How long a build waits for the session of its client. BuildKit's number. */
export const SESSION_WAIT_MS = 5000;
/** Front ends in containers that run for one build: each may have another one run. */
export const FRONTENDS_MAX = 16;
/** How long a front end may run on that has returned its result. */
export const FRONTEND_END_MS = 10_000;
/** How often a session's client is asked whether it is there, and how long it may take to answer. BuildKit's numbers. */
export const SESSION_HEALTH_MS = { intervalMs: 5000, timeoutMs: 30_000 };
/** Headers of one call: a build context's ignored paths are sent as such. Go's number. */
export const GRPC_HEADERS_MAX_BYTES = 1024 * 1024;
/** Calls at the same time on one connection. */
export const GRPC_MAX_STREAMS = 250;
/** A file that describes a network to plugins. Real ones have a few hundred bytes. */
export const CNI_CONFIG_MAX_BYTES = 1024 * 1024;
/** How long a plugin may take; kubelet waits four minutes for a pod. Then it is killed, and the pod has failed. */
export const CNI_PLUGIN_TIMEOUT_MS = 120_000;
/** How long one may take that nobody waits for in particular: kubelet asks every 5 s whether there is a network. */
export const CNI_QUESTION_TIMEOUT_MS = 10_000;
/** What a plugin may write: the next one gets it, and it is kept. Real ones write a few hundred bytes. */
export const CNI_OUTPUT_MAX_BYTES = 1024 * 1024;
/** A request to stream: its head, and how long that and the streams may take to come. Then the connection is closed. */
export const STREAMING_HEAD_MAX_BYTES = 64 * 1024;
export const STREAMS_TIMEOUT_MS = 30_000;
/** URLs that wait for their client, and how long each does: kubelet's client comes at once. Further ones are refused. */
export const STREAMING_TOKENS_MAX = 1000;
export const STREAMING_TOKEN_MS = 60_000;
/** A frame and a block of headers of SPDY/3.1, and the streams of a connection; clients send 32 KiB, a few words, and some hundreds. */
export const SPDY_FRAME_MAX_BYTES = 1024 * 1024;
export const SPDY_HEADERS_MAX_BYTES = 64 * 1024;
export const SPDY_STREAMS_MAX = 2000;
/** What may wait in the streams of a connection that are not read; then it waits, too. */
export const SPDY_UNREAD_MAX_BYTES = 8 * 1024 * 1024;
/** Events that wait for a kubelet which does not read: each may have the whole state of a pod. Then its stream ends with an error. */
export const CRI_WAITING_EVENTS_MAX = 1000;

/** One special tar header (PAX records, GNU long name): names are under 4 KiB, xattrs under 64 KiB each. */
export const TAR_SPECIAL_MAX_BYTES = 1024 * 1024;
/** Regions of one sparse file in a tar; each costs two numbers in memory. */
export const TAR_SPARSE_MAX_REGIONS = 65536;
/** Records of one PAX header: the two of each region of a sparse file, and some. */
export const TAR_PAX_MAX_RECORDS = 2 * TAR_SPARSE_MAX_REGIONS + 1024;
/** xattrs of one tar entry; the kernel's own list is limited to 64 KiB of names. */
export const TAR_XATTRS_MAX = 256;
/** Entries in one layer. The largest real ones (a distribution's full development image) have under half a million. */
export const LAYER_MAX_ENTRIES = 5_000_000;
/**
 * Paths and xattrs of a layer's directories, which are kept until all is unpacked. A distribution's development image has some
 * 60,000 directories: 20 MB.
 */
export const LAYER_DIRECTORIES_MAX_BYTES = 128 * 1024 * 1024;
/** Resident memory of a layer worker; unpacking takes some 80 MiB. */
export const LAYER_WORKER_MAX_MEMORY_BYTES = 512 * 1024 * 1024;
/** Directories above a layer's entry, symlinks resolved. PATH_MAX alone would allow 2048. */
export const LAYER_PATH_MAX_DEPTH = 256;
/** Files in the archive that `load` reads: an image has at most three a layer, an archive may hold many images. */
export const ARCHIVE_MAX_FILES = 65536;
/** Layers of one image: all of them must fit into one overlay mount. Docker's own limit. */
export const IMAGE_MAX_LAYERS = 127;
/** Images in one archive or layout. */
export const ARCHIVE_MAX_IMAGES = 4096;
/** How deep image indexes nest. */
export const IMAGE_INDEX_MAX_DEPTH = 4;
/** mount(2) copies one page of options, with its final NUL. */
export const MOUNT_DATA_MAX_BYTES = 4095;
/** /etc/passwd or /etc/group in an image. */
export const PASSWD_MAX_BYTES = 16 * 1024 * 1024;
/** Symlinks followed in one path lookup inside an image; the kernel's own number. */
export const SYMLINKS_MAX = 40;

/** `cgroupsPath`, which is appended to a mount point and a file name: together under PATH_MAX (4096). */
export const CGROUP_PATH_MAX_BYTES = 3072;
/** Device rules of a container: each is a write (cgroup v1) or up to eight eBPF instructions (v2). Docker sets 15. */
export const DEVICE_RULES_MAX = 1024;

/** Head of an HTTP response the CLI reads. Real ones are under 1 KiB; a server without an end of head is not ours. */
export const HTTP_HEAD_MAX_BYTES = 64 * 1024;
/** A chunk-size or trailer line of a response: eight hex digits and extensions nobody sends. */
export const HTTP_CHUNK_LINE_MAX_BYTES = 4096;
/** A response the CLI must hold whole (JSON). Listing 10,000 containers takes about 20 MB. */
export const HTTP_BODY_MAX_BYTES = 256 * 1024 * 1024;
/** Streamed bytes that wait for a slow stdout before the CLI stops reading the socket. */
export const HTTP_QUEUE_MAX_BYTES = 1024 * 1024;

/** A seccomp profile as JSON. Docker's own is 14 KiB; a profile naming every system call with a comment is 200 KiB. */
export const SECCOMP_PROFILE_MAX_BYTES = 1024 * 1024;
/** Rules of one seccomp profile. Each makes an instruction at least, and the kernel takes 4096 of those. */
export const SECCOMP_MAX_RULES = 4096;
/** System call names over all rules of a profile: three times the calls there are, on five architectures. */
export const SECCOMP_MAX_NAMES = 8192;
/** How many compiled filters the OCI runtime keeps; then it starts over. */
export const SECCOMP_CACHE_FILES = 64;
/** A compiled filter's file: the longest filter has 32 KiB. */
export const SECCOMP_CACHE_FILE_MAX_BYTES = 64 * 1024;
/** A daemon's message inside an attached stream, which the CLI gathers before it prints it. */
export const DAEMON_MESSAGE_MAX_BYTES = 64 * 1024;
/** One message of a progress stream the CLI prints. Real ones are a few hundred bytes. */
export const JSON_MESSAGE_MAX_BYTES = 1024 * 1024;
/** Docker's config.json, which the CLI reads for credentials. Real ones are a few KiB. */
export const DOCKER_CONFIG_MAX_BYTES = 4 * 1024 * 1024;
/** What a credential helper may answer: a name and a token. Some tokens are several KiB. */
export const CREDENTIAL_HELPER_MAX_BYTES = 256 * 1024;
/** How long a credential helper may take. It may be waiting for a person to unlock a key. */
export const CREDENTIAL_HELPER_TIMEOUT_MS = 120_000;
/** One line typed at a prompt, or a password on stdin. Tokens are a few KiB. */
export const PROMPT_MAX_BYTES = 64 * 1024;

/** One line of a json-file log. The supervisor cuts messages at 16 KiB, which escaping may make six times longer. */
export const LOG_LINE_MAX_BYTES = 1024 * 1024;
/** Rotated files of one log that are read, and the most that `max-file` may ask for. */
export const LOG_MAX_FILES = 1000;
/**
 * The pause between two checks whether a log's files may be used, and how long that may take: a rotation renames `max-file`
 * files, a thousand at most.
 */
export const LOG_LOCK_PAUSE_MS = 1;
export const LOG_LOCK_TIMEOUT_MS = 5000;
/** A `--format` template of the CLI, how deep its blocks nest, and what it may print for one object. */
export const TEMPLATE_MAX_CHARS = 64 * 1024;
export const TEMPLATE_MAX_DEPTH = 100;
export const TEMPLATE_OUTPUT_MAX_CHARS = 64 * 1024 * 1024;
/** The head of an API request. Docker's clients put registry credentials into it, in base64. */
export const API_HEAD_MAX_BYTES = 64 * 1024;
/** The output of a program of the host that we run, such as ps(1). */
export const PROGRAM_OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
export const PROGRAM_TIMEOUT_MS = 10_000;
/** How long one that was killed is waited for: it may be held up in the kernel. */
export const KILLED_PROGRAM_WAIT_MS = 2000;
/** One command of git, which may fetch a repository with all of its history. */
export const GIT_TIMEOUT_MS = 30 * 60_000;
/** What a client of a container's statistics may leave unread before it gets no more for a while. */
export const STATS_BACKLOG_MAX_BYTES = 64 * 1024;
/** Our own file about an exec: the request's body, with every character escaped. */
export const EXEC_FILE_MAX_BYTES = 8 * API_BODY_MAX_BYTES;
/** What a client of the event stream may leave unread before it is cut off. */
export const EVENT_BACKLOG_MAX_BYTES = 4 * 1024 * 1024;
/** How long a hijacked connection whose stream has ended waits for the client to close it too. */
export const HIJACK_LINGER_MS = 10_000;
/** How long a request for a terminal's size waits for an exec to run. Docker's time. */
export const EXEC_READY_MS = 10_000;

/** The highest CPU or memory node in a list such as "0-3". The kernel's bound (CONFIG_NR_CPUS) is 8192 CPUs. */
export const CPUSET_MAX_NUMBER = 8191;

/**
 * How long a cgroup may take to freeze; a process in an uninterruptible system call (NFS, FUSE) may never freeze. runc's number.
 */
export const FREEZE_TIMEOUT_MS = 10_000;
/** The pause between two looks at a freezing cgroup: short at first, since most freeze within a millisecond. */
export const FREEZE_PAUSE_MIN_MS = 1;
export const FREEZE_PAUSE_MAX_MS = 50;
/** Writes of FROZEN in a row on v1 before the cgroup is thawed for a moment: runc's number. */
export const FREEZE_BURST = 50;

/** A bundle's config.json. Podman's are 60 KiB with a seccomp profile; arguments and environment may hold 2 MiB. */
export const OCI_CONFIG_MAX_BYTES = 16 * 1024 * 1024;
/** Entries of one list or map in a config.json that has no limit of its own. Environments reach thousands. */
export const OCI_LIST_MAX = 65536;
/** state.json of a container: two paths, a cgroup path and a dozen short fields. */
export const OCI_STATE_MAX_BYTES = 64 * 1024;
/** A container's id, which is the name of a directory and of a cgroup: the kernel takes 255 bytes there. runc's limit is 1024. */
export const OCI_ID_MAX_BYTES = 1024;

/** One D-Bus message that we read: systemd's replies and signals are under 1 KiB. The protocol's own limit is 128 MiB. */
export const DBUS_MESSAGE_MAX_BYTES = 1024 * 1024;
/** Arrays, structs and variants within each other in a D-Bus message. The protocol's limit. */
export const DBUS_NESTING_MAX = 64;
/** A line of the D-Bus authentication: "OK" and 32 hexadecimal digits. */
export const DBUS_AUTH_LINE_MAX_BYTES = 1024;
/** How long systemd may take to answer, and to make or remove a scope. runc's number. */
export const DBUS_CALL_TIMEOUT_MS = 30_000;

/** How long `start` waits for an execve(2) of a program on a slow file system. */
export const OCI_START_TIMEOUT_MS = 10_000;
/** How long `delete` waits for a killed init, which may be in an uninterruptible system call. runc waits as long. */
export const OCI_KILL_TIMEOUT_MS = 10_000;
export const OCI_KILL_PAUSE_MS = 5;
/** How often a container's directory is emptied again when something has been put into it meanwhile. */
export const OCI_REMOVE_ROUNDS = 100;
/** How much of a hook's output is kept, for the error if it fails. */
export const OCI_HOOK_OUTPUT_MAX_BYTES = 16 * 1024;

/** What the host's ps(1) may print for `ps`: a line for each process on the host, of up to 4 KiB. */
export const OCI_PS_MAX_BYTES = 64 * 1024 * 1024;
/** How often `events` checks whether its container has ended; the kernel announces lack of memory. */
export const OCI_EVENTS_POLL_MS = 500;

/** The daemon's configuration file, and entries in one of its lists. Real ones have a few lines. */
export const DAEMON_CONFIG_MAX_BYTES = 1024 * 1024;
export const DAEMON_LIST_MAX = 1024;
/** Sockets that systemd hands over: a unit may name any number, the kernel's default for open files is 1024. */
export const LISTEN_FDS_MAX = 1024;

/** One message of a layer worker: the longest one lists a layer's implied directories. */
export const LAYER_WORKER_LINE_MAX_BYTES = 16 * 1024 * 1024;
/** Directories that a layer needs and does not mention, and the bytes of their paths. Builders that omit directories omit few. */
export const LAYER_MAX_IMPLIED_DIRECTORIES = 65536;
export const LAYER_MAX_IMPLIED_PATH_BYTES = 4 * 1024 * 1024;
/** A job of a file worker, whose longest part is the paths of an image's layers, and one message of the worker. */
export const FILE_JOB_MAX_BYTES = 256 * 1024;
export const FILE_MESSAGE_MAX_CHARS = 1024 * 1024;
/** How much a file worker reads at a time of a tar that comes in. */
export const FILE_INPUT_BYTES = 256 * 1024;
/** The buffer between a client's tar and a worker: with a smaller one the two wait for each other more than they work. */
export const FILE_SOCKET_BUFFER_BYTES = 1024 * 1024;
/** How many bytes a file worker gathers before it sends small pieces. */
export const FILE_OUTPUT_BYTES = 256 * 1024;
/**
 * How many file workers run at a time that also wait for clients, and how many that do not; each takes 40 MB. Further jobs wait.
 */
export const FILE_WORKERS_MAX = 64;
/**
 * How often a file worker reports progress, and how long it may be silent. Then its file system counts as dead, and it is killed.
 */
export const FILE_WORKER_BEAT_MS = 1000;
export const FILE_WORKER_STALL_MS = 30_000;
/** How long a killed daemon's workers may take to end, if one is in an uninterruptible system call. */
export const WORKERS_END_TIMEOUT_MS = 10_000;
/** How long the lock of a daemon that was just killed may still be held, see `lockExclusiveWithin`. */
export const DEAD_OWNER_TIMEOUT_MS = 1000;
/** How long the next daemon waits for a killed one, whose disk may only be slow, before it takes over its locks. */
export const DOOMED_OWNER_TIMEOUT_MS = 5000;
/** How long a daemon is idle before it gives back memory, more after each of these times (api/daemon/rest.ts). */
export const DAEMON_IDLE_MS = [5_000, 20_000, 45_000] as const;
/** How much of its program an idle daemon may keep in memory. */
export const DAEMON_IDLE_FILE_BYTES = 32 * 1024 * 1024;
/** The heap of a new daemon, and half as much again. */
export const DAEMON_HEAP_BYTES = 20 * 1024 * 1024;
/** By how much the heap grows before an idle daemon collects garbage; after twice as much it drops code, too. */
export const DAEMON_GC_GROWTH_BYTES = 8 * 1024 * 1024;
export const DAEMON_SHRINK_BYTES = 14 * 1024 * 1024;
/** How long unfinished downloads, and layers without an image, are kept after a failed pull, for a retry to use. */
export const UNFINISHED_PULL_MAX_AGE_MS = 7 * 24 * 60 * 60 * 1000;
/** Builds that are remembered, and how much of the output of each, in base64; what comes later is not kept. */
export const BUILDS_MAX = 50;
export const BUILD_LOG_MAX_BYTES = 1024 * 1024;
/** What clients of BuildKit's API get of what a step prints on one stream: at all, and in a second. BuildKit's numbers. */
export const STEP_OUTPUT_MAX_BYTES = 2 * 1024 * 1024;
export const STEP_OUTPUT_BYTES_PER_SECOND = 200 * 1024;
/** Instructions of a Dockerfile, as `commit --change` takes them. Real ones are under 16 KiB. */
export const DOCKERFILE_MAX_CHARS = 256 * 1024;
/**
 * The characters of a Dockerfile that is built from. It is parsed in one go, in a second at worst; beyond this it is refused.
 */
/** The same for its file, and for .dockerignore. */
export const BUILD_DOCKERFILE_MAX_BYTES = 4 * 1024 * 1024;
export const BUILD_DOCKERFILE_MAX_CHARS = 2 * 1024 * 1024;
/** The stages of a Dockerfile: each may begin with all the variables of another one. Real ones have less than 50. */
export const BUILD_STAGES_MAX = 256;
/** Records, and layers, of one cache of builds that is kept elsewhere. A cache with more is not used. */
export const BUILD_CACHE_MAX_RECORDS = 16_384;
/** The warnings about a Dockerfile that are told; further ones are left out. */
export const BUILD_WARNINGS_MAX = 500;
/** The names among which the one that was meant is looked for. */
export const SUGGESTIONS_MAX = 500;
/** The bytes of one line of a Dockerfile. Docker has the same limit. */
export const DOCKERFILE_LINE_MAX_BYTES = 65535;
/** A word of an instruction with its variables' values: longer ones do not fit into an environment (MAX_ARG_STRLEN). */
export const EXPANDED_MAX_CHARS = 128 * 1024;
/** A value in which a pattern is searched, as in "${NAME%.*}": the time grows with the square. */
export const SUBSTITUTED_MAX_CHARS = 4096;
/** How deep substitutions nest: "${A:-${B:-…}}". */
export const SUBSTITUTIONS_MAX_DEPTH = 32;
/** Ports that an image exposes: a range may name all of them, in three protocols. */
export const EXPOSED_PORTS_MAX = 3 * 65536;
/** How much is kept of a web server's answer that is no tar for `import`: the beginning of an error page tells enough. */
export const DOWNLOAD_ERROR_MAX_BYTES = 1024;
/** A registry's answer to a failed request, and its token (a JSON web token with many grants has 10 KiB). */
export const REGISTRY_ERROR_MAX_BYTES = 64 * 1024;
export const REGISTRY_TOKEN_MAX_BYTES = 1024 * 1024;
/** A WWW-Authenticate header, and the challenges and parameters in it. Real ones hold one challenge of three parameters. */
export const REGISTRY_CHALLENGE_MAX_CHARS = 16 * 1024;
export const REGISTRY_MAX_CHALLENGES = 16;
export const REGISTRY_CHALLENGE_MAX_PARAMETERS = 32;
/** Redirects of one request: real ones need one, to the storage. Go's number. */
export const REGISTRY_MAX_REDIRECTS = 10;
/** Tags of one repository: Docker Hub's largest have some ten thousand. */
export const REGISTRY_MAX_TAGS = 1_000_000;
/** How long a registry may send nothing before we close the connection and repeat the request. */
export const REGISTRY_STALL_MS = 30_000;
/** How long a registry may take from an uploaded blob's last byte to its answer: it may move all of it to its storage. */
export const REGISTRY_COMMIT_MS = 300_000;
/** How often a request is made until it succeeds; for a blob, without a byte of progress. Docker's number for blobs. */
export const REGISTRY_ATTEMPTS = 5;
/** The pause before the second attempt, doubled before each further one, up to the second number. */
export const REGISTRY_PAUSE_MS = 500;
export const REGISTRY_PAUSE_MAX_MS = 10_000;
/** The longest Retry-After that we wait for: a registry that wants more has refused. */
export const REGISTRY_RETRY_AFTER_MAX_MS = 60_000;
/** Files of a registry's directory of certificates, and the bytes of each: an authority's bundle has 220 KiB. */
export const REGISTRY_MAX_CERTIFICATE_FILES = 64;
export const REGISTRY_CERTIFICATE_MAX_BYTES = 1024 * 1024;
/** `X-Registry-Auth`: credentials as JSON in base64; the API's heads are limited to 64 KiB. */
export const REGISTRY_AUTH_MAX_CHARS = 64 * 1024;
/** One message of a websocket that a client attaches by: what it typed, or 32 KiB of what kubectl sends. */
export const WEBSOCKET_MESSAGE_MAX_BYTES = 1024 * 1024;
/**
 * Clients attached to one process, or waiting for its start. Further ones get a 503. The supervisor has room for some more
 * (MAX_CLIENTS).
 */
export const ATTACHED_CLIENTS_MAX = 1000;
/** The pause before a log entry is offered again to a log server that did not take it: at first, and at most. */
export const LOG_FORWARD_PAUSE_MS = 20;
export const LOG_FORWARD_PAUSE_MAX_MS = 5000;
/** How long removing a container waits for its log server; what has not been sent by then is lost with the log. */
export const LOG_FORWARD_FINISH_MS = 5000;

/** Linux NAME_MAX: a volume's name is a directory's. Longer ones are refused. */
export const VOLUME_NAME_MAX_LENGTH = 255;

/** One datagram of netlink messages that we receive: the kernel's, in a dump, have at most 32 KiB. */
export const NETLINK_DATAGRAM_MAX_BYTES = 256 * 1024;
/** All answers to one request: a million routes take some 64 MiB. */
export const NETLINK_REPLIES_MAX_BYTES = 256 * 1024 * 1024;
/**
 * The buffer of a netlink socket in each direction: a firewall of 10,000 ports is a batch of 2 MiB; each waiting answer costs 1
 * KiB.
 */
export const NETLINK_BUFFER_BYTES = 16 * 1024 * 1024;
/** How often a list that changed while it was read is read anew. */
export const NETLINK_DUMP_ATTEMPTS = 20;

/** Linux IFNAMSIZ, without the zero byte. */
export const LINK_NAME_MAX_LENGTH = 15;
/** The MTU of a virtual link. Source: include/linux/if_ether.h, ETH_MAX_MTU. */
export const MTU_MAX = 65535;
/**
 * A spec of devices (CDI): NVIDIA's on a host with many GPUs has some 100 KiB. Larger ones are ignored, as are files beyond the
 * second number.
 */
export const CDI_SPEC_MAX_BYTES = 4 * 1024 * 1024;
export const CDI_FILES_MAX = 256;
/** Entries of one list in a CDI spec. */
export const CDI_LIST_MAX = 16384;
/** The MTU of a link with IPv6, which needs at least this. (RFC 8200 §5) */
export const IPV6_MTU_MIN = 1280;
/**
 * Sockets that keep published ports from the host's programs, and the share of the daemon's fds that they may take. Ports beyond
 * that work as well, but are only tested when they are taken: a program of the host may bind one too, and hears nothing there.
 */
export const PORT_SOCKETS_MAX = 4096;
export const PORT_SOCKETS_SHARE = 1 / 4;
/** Published ports that are told to the kernel in one batch. A container with more of them is started in slices. */
export const PORTS_AT_ONCE = 4096;
/** Address ranges of one network. Each may have to be compared with those of every other network. */
export const IPAM_POOLS_MAX = 256;

/** A DNS name on the wire, with its lengths and its end, and one label of it. (RFC 1035 §2.3.4) Longer ones are refused. */
export const DNS_NAME_MAX_BYTES = 255;
export const DNS_LABEL_MAX_BYTES = 63;
/** A query by TCP: a name and a few options. Real ones have under 1 KiB; a client that sends more is disconnected. */
export const DNS_QUERY_MAX_BYTES = 4096;
/** Queries of one container that wait for other servers, each with a socket. Docker's number. Further ones are refused. */
export const DNS_FORWARDS_MAX = 1024;
/** Such queries of all containers together: a few containers must not take all fds of the daemon. */
export const DNS_FORWARDS_MAX_TOTAL = 4096;
/**
 * Such queries that each container may have whatever the others do: enough for a program that looks up a page's names at once.
 */
export const DNS_FORWARDS_ASSURED = 16;
/** Servers asked one after the other. Further ones are ignored, as resolv.conf(5) does. */
export const DNS_SERVERS_MAX = 3;
/** How long a server may take. Docker's number; glibc waits for 5 s. */
export const DNS_SERVER_TIMEOUT_MS = 4000;
/** Messages, where an answer is due, that do not answer our query. Then we give the server up: it, or a forger, has no end. */
export const DNS_STRANGERS_MAX = 32;
/** Clients of one container connected by TCP. Further ones are disconnected. */
export const DNS_CONNECTIONS_MAX = 64;
/** Answers that a client has not taken yet. A client that leaves more is disconnected. */
export const DNS_UNREAD_MAX_BYTES = 256 * 1024;
/** Queries of one connection that are handled before others have their turn: under a millisecond. */
export const DNS_TURN_COUNT = 64;
/**
 * When a container sends faster than it is answered: if one turn handles more of its UDP queries than the first number, and lasts
 * longer than the second. (A socket holds under 300, and fewer never last that long unless the machine does other things.) Its
 * socket is then closed for the third number, which leaves it a tenth of the daemon's time.
 */
export const DNS_FLOOD_COUNT = 512;
export const DNS_FLOOD_MS = 20;
export const DNS_FLOOD_REST_MS = 200;
/** How long a client without a pending query stays connected. (RFC 7766 §6.2.3: of the order of seconds) */
export const DNS_IDLE_S = 10;
/** The pause between two repairs of the firewall's table. One of 5,000 ports takes 30 ms. */
export const FIREWALL_REPAIR_PAUSE_MS = 200;

/** A container's /etc/hosts to which we still add: 16 Ki lines. A larger one stays as the container has made it. */
export const HOSTS_FILE_MAX_BYTES = 1024 * 1024;

/** Disk space kept for rows on a full disk: a stop takes some 10 KiB of it, and there may be a thousand. */
export const RESERVE_BYTES = 4 * 1024 * 1024;
/** How much of the reserve is given up at a time: whoever fills the disk takes what the rows leave of it. */
export const RESERVE_PIECE_BYTES = 256 * 1024;
/** How long after its use the reserve is filled again, if there is room by then. */
export const RESERVE_REFILL_MS = 30_000;
/** How often rows that a full disk has refused are tried again. */
export const LATE_ROWS_MS = 5000;
/** How long a row may be in the database's log alone. A checkpoint flushes the disk twice, and everybody waits for that. */
export const CHECKPOINT_MS = 10_000;
/** How long after a change its copy is written, for when the database is lost. */
export const COPIES_MS = 1000;

/** Files of a directory that are listed. Further ones are left out, and the answer says so. */
export const LISTED_FILES_MAX = 2000;

/** How long a dashboard's link may be used, and how many links and sessions there are: further ones end the oldest. */
export const DASHBOARD_LINK_MS = 5 * 60_000;
export const DASHBOARD_LINKS_MAX = 16;
export const DASHBOARD_SESSIONS_MAX = 64;
/** How long a dashboard that nobody looks at goes on. Its sessions and what it has measured end with it. */
export const DASHBOARD_IDLE_MS = 60 * 60_000;
/** Connections to a dashboard: browsers open six a page. Further ones are closed. */
export const DASHBOARD_CONNECTIONS_MAX = 128;
/** One message that a page sends: the ids of the rows that it shows. Then the websocket is closed, with 1009. */
export const DASHBOARD_MESSAGE_MAX_BYTES = 256 * 1024;
/** Rows that a page gets numbers for. Further ones are left out: no screen shows as many. */
export const DASHBOARD_WATCHED_MAX = 500;
/** Containers whose last hour is kept, 10 KiB each. Those that began last are left out. */
export const DASHBOARD_HISTORIES_MAX = 1000;
/** What a page may leave unread before it misses measurements; after as much of events and logs it is cut off. */
export const DASHBOARD_BACKLOG_MAX_BYTES = 1024 * 1024;

/** Spans that wait for a collector of traces, at most: 1 KB each. Further ones are dropped. */
export const SPAN_QUEUE_MAX = 65_536;
/** How often a batch is sent again, and the pauses before that: 1, 2, 4 s, or what the collector wishes. Then it is dropped. */
export const SPAN_RETRIES_MAX = 3;
export const SPAN_RETRY_MS = 1000;
export const SPAN_RETRY_MAX_MS = 30_000;
/** A longer text of a span is cut. */
export const SPAN_ATTRIBUTE_MAX_CHARS = 1024;
/** Traces that are kept for clients who ask for them, and the spans of each: a start has 40. */
export const KEPT_TRACES_MAX = 16;
export const KEPT_SPANS_MAX = 1000;

/** Files of cgroups that stay open between two scrapes: 16 a container. Further ones are opened for each. */
export const KEPT_FILES_MAX = 40_000;
