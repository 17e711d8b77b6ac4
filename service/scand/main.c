/* sallyport-scand: options, configuration, then what needs root, then the supervisor. */
#include "config.h"

#include "rundir.h"
#include "sandbox.h"
#include "scratch.h"
#include "scratch_mount.h"
#include "supervisor.h"

#include "sallyport/conf.h"
#include "sallyport/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_SETUP 2 /* wrong usage or configuration, or another scand is running */

struct options {
    const char *conf_path;
    const char *user; /* NULL: stay */
    bool is_verbose;
    bool wants_help, wants_version;
};

static void print_help(FILE *out)
{
    fprintf(out,
        "usage: sallyport-scand [-c FILE] [-u USER] [-v]\n"
        "\n"
        "Scans objects for the Sallyport module of c-icap and for `sallyport scan`, with libclamav. Runs in the\n"
        "foreground and logs to stderr. It loads the signatures once and forks workers that share them; the\n"
        "options in the group `scan` of the configuration say which signatures and how many workers.\n"
        "\n"
        "  -c, --config FILE  configuration [%s]\n"
        "  -u, --user USER    after the start as root: become this user (the one that c-icap runs as)\n"
        "  -v, --verbose      log every scan\n"
        "  -h, --help         this text\n"
        "  -V, --version      version\n"
        "\n"
        "Signals: TERM, INT  finish the scans under way, then stop; a second one stops at once\n"
        "         HUP        load configuration and signatures again beside the running engine, then swap;\n"
        "                    what does not load changes nothing. New signatures are seen without a signal\n"
        "         USR2       the same, and accept far fewer signatures (`sallyport reload --force`)\n"
        "\n"
        "In run_dir: scan.sock (requests), scand.stat (what `sallyport status` shows), scand.lock.\n"
        "Exit status: 0 stopped, 1 signatures refused at the start, 2 wrong option, configuration or directory.\n",
        sp_conf_default_path());
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        { "config", required_argument, NULL, 'c' },
        { "user", required_argument, NULL, 'u' },
        { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int c;
    while ((c = getopt_long(argc, argv, "c:u:vhV", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            options->conf_path = optarg;
            break;
        case 'u':
            options->user = optarg;
            break;
        case 'v':
            options->is_verbose = true;
            break;
        case 'h':
            options->wants_help = true;
            break;
        case 'V':
            options->wants_version = true;
            break;
        default:
            return false; /* getopt has said which */
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sallyport-scand: unexpected argument: %s\n", argv[optind]);
        return false;
    }
    return true;
}

struct scratch {
    char path[SP_SCRATCH_PATH_SIZE];
    int fd;         /* -1: none yet */
    uint64_t bytes; /* 0: a plain folder */
};

/* Better than a plain folder, but not everybody has the right to it: then the folder it is. */
static void mount_scratch(const struct sp_conf *conf, const struct sp_account *owner, const struct sp_log *log, struct scratch *scratch)
{
    struct sp_error err = { 0 };
    uint64_t bytes = (uint64_t) conf->scan_scratch_size;
    if (bytes == 0)
        return;
    if (sp_scratch_mount(conf->run_dir, owner, &bytes, &err, scratch->path, &scratch->fd) == SP_OK)
        scratch->bytes = bytes;
    else
        sp_log(log, SP_LOG_NOTICE, "scan.scratch_size has no effect: %s", err.text);
}

/* Opens what may need root, then gives root away. */
static enum sp_status prepare(const struct options *options, const struct sp_conf *conf, const struct sp_log *log, struct sp_error *err,
    struct sp_rundir *rundir, struct scratch *scratch)
{
    struct sp_account account;
    const bool is_root = geteuid() == 0;
    enum sp_status status = SP_OK;
    if (options->user)
        status = sp_account_find(options->user, err, &account);
    if (status == SP_OK && options->user && !is_root && account.uid != geteuid())
        status = sp_error_set(err, SP_ERR_CONF, "only root can become user %s", options->user);
    if (status == SP_OK)
        status = sp_rundir_open(conf->run_dir, options->user && is_root ? &account : NULL, err, rundir);
    if (status == SP_OK && is_root)
        mount_scratch(conf, options->user ? &account : NULL, log, scratch);
    if (status == SP_OK && options->user && is_root)
        status = sp_account_become(&account, err);
    if (status == SP_OK && geteuid() == 0)
        sp_log(log, SP_LOG_WARN, "running as root: give --user, the files that are scanned come from strangers");
    return status;
}

static int run(const struct options *options)
{
    struct sp_log log = sp_log_stderr("sallyport-scand", options->is_verbose ? SP_LOG_DEBUG : SP_LOG_NOTICE);
    struct sp_error err = { 0 };
    struct sp_conf *conf = NULL;
    struct sp_rundir rundir = { .lock_fd = -1, .listen_fd = -1 };
    struct scratch scratch = { .fd = -1 };
    int end = EXIT_SETUP;
    enum sp_status status = sp_conf_load(options->conf_path, &err, NULL, &conf);
    if (status == SP_OK)
        status = prepare(options, conf, &log, &err, &rundir, &scratch);
    if (status == SP_OK && scratch.fd < 0)
        status = sp_scratch_open_root(conf->spool_dir, &log, &err, scratch.path, &scratch.fd);
    if (status == SP_OK) {
        sp_sandbox_announce(conf, scratch.path, scratch.bytes > 0 ? scratch.bytes : sp_scratch_tmpfs_bytes(scratch.fd), &log, rundir.board);
        end = sp_supervisor_run(&(struct sp_supervisor_env){ &conf, &log, &rundir, scratch.path, scratch.fd });
    } else {
        sp_log(&log, SP_LOG_ERROR, "%s", err.text[0] != '\0' ? err.text : sp_status_name(status));
    }
    sp_rundir_close(&rundir);
    if (scratch.fd >= 0)
        close(scratch.fd);
    if (scratch.bytes > 0)
        sp_scratch_unmount(scratch.path);
    sp_conf_free(&conf);
    return end;
}

int main(int argc, char **argv)
{
    struct options options = { .conf_path = sp_conf_default_path() };
    if (!parse_options(argc, argv, &options)) {
        fprintf(stderr, "sallyport-scand: --help tells the options\n");
        return EXIT_SETUP;
    }
    if (options.wants_help)
        print_help(stdout);
    else if (options.wants_version)
        printf("sallyport-scand %s\n", PACKAGE_VERSION);
    else
        return run(&options);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_SETUP;
}
