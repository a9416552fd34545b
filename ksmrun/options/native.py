"""Options of the native programs, for their manual pages. A test compares them with --help."""

from __future__ import annotations

EXEC_OPTIONS = (
    ("--merge=on|off|keep", "Set the merge flag, clear an inherited one, or keep it. Default: on."),
    ("--thp=keep|off", "Leave transparent huge pages as they are, or switch them off."),
    ("--inject", "Make the program set the flag after the exec, by ptrace."),
    ("--preload=FILE", "Put this library last in LD_PRELOAD."),
    (
        "--shim=WORD[,WORD...]",
        "Work of the preloaded shim. mark: mark memory instead of setting the flag. join: join "
        "mappings. min=BYTES: mark no less. reserve=PERCENT: share of vm.max_map_count to keep "
        "free. once: children do not inherit it. keep: do not set the flag. secrets: keep out of "
        "merging what the program locks into memory or leaves out of core dumps.",
    ),
    ("--layout=random|shared", "Address layout: the kernel's, or the one of a key."),
    ("--layout-key=FILE", "Key of 32 secret bytes that nobody else can read."),
    (
        "--layout-scope=program|tree",
        "Processes that get the layout: the program alone, also through shells and command "
        "wrappers; or all that it starts. Default: program.",
    ),
    ("--layout-group=NAME", "Derive the key of this group from the file."),
    (
        "--layout-check",
        "Start nothing: take COMMAND as a list of PIDs, and print for each whether it has the "
        "layout of the key.",
    ),
    (
        "--seeds=shared|own|go",
        "With a shared layout: one seed for the runtimes in it, or their own. go: also one "
        "random value for static Go programs. Default: shared.",
    ),
    ("--variable=NAME=TEXT", "Give the program this variable, unless it has one of that name."),
    (
        "--prepend=NAME=TEXT",
        "Put this text, which ends with a separator, before the value of a variable.",
    ),
    (
        "--domain=NAME",
        "Set the flag only while this trust domain is the one that may merge on this host.",
    ),
    (
        "--trust-folder=FOLDER",
        "Folder with the state of the domains. Default: /run/ksmrun/trust.",
    ),
    ("--argv0=NAME", "Give the program this argv[0]."),
    (
        "--require",
        "Do not start the program where it cannot be enabled for merging (exit code 125).",
    ),
    (
        "--require-max-map-count=NUMBER",
        "Do not start the program where vm.max_map_count is less (exit code 125).",
    ),
    ("--quiet", "Print nothing where the program starts without merging."),
    ("--verify", "Report on stderr, after the exec, whether the merge flag arrived."),
    ("--probe", "Print as JSON what this kernel does to a launched program."),
    ("--version", "Print the version."),
    ("--help", "Print the help."),
)
OCI_OPTIONS = (
    ("--ksmrun-by-request", "Wrap only containers that ask for it."),
    (
        "--ksmrun-environment",
        "With requests: accept those of a container's environment and image, too.",
    ),
    ("--ksmrun-request=WORDS", "Request of all containers, written as in KSMRUN_OCI."),
    ("--ksmrun-config=FILE", "Configuration in place of /etc/ksmrun/oci.json."),
    ("--ksmrun-runtime=FILE", "Runtime to run. Default: the first of runc and crun."),
    ("--ksmrun-help", "Print the help, with the form of requests and configuration."),
)
OCI_ANNOTATIONS = (
    ("ksmrun.merge=on|off", "Wrap the container, or not."),
    ("ksmrun.mechanism=auto|prctl|preload", "Way to enable merging."),
    ("ksmrun.require=true|false", "Do not start the container where it would not merge."),
    ("ksmrun.layout=shared|random", "Address layout of the container."),
    ("ksmrun.layout-group=NAME", "Group that shares the layout."),
    ("ksmrun.layout-scope=program|tree", "As --layout-scope of ksmrun-exec(1)."),
    (
        "ksmrun.exclude-secrets=true|false",
        "Keep out of merging what its programs lock or leave out of core dumps.",
    ),
    (
        "ksmrun.domain=NAME",
        'Trust domain of the container, if "domains" in the host\'s configuration opens it.',
    ),
    ("ksmrun.runtime-flags=merge|shrink|off", "Flags for Java and Mono, as of ksmrun-run(1)."),
)
