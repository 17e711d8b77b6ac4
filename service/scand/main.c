/* sallyport-scand: options, configuration, then what needs root, then the supervisor. */
#include "config.h"

#include "rundir.h"
#include "scratch.h"
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
        "                    what does not load changes nothing\n"
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

/* Opens what may need root, then gives root away. */
static enum sp_status prepare(
    const struct options *options, const struct sp_conf *conf, const struct sp_log *log, struct sp_error *err, struct sp_rundir *rundir)
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
    char scratch[SP_SCRATCH_PATH_SIZE];
    int end = EXIT_SETUP, scratch_fd = -1;
    enum sp_status status = sp_conf_load(options->conf_path, &err, NULL, &conf);
    if (status == SP_OK)
        status = prepare(options, conf, &log, &err, &rundir);
    if (status == SP_OK)
        status = sp_scratch_open_root(conf->spool_dir, &log, &err, scratch, &scratch_fd);
    if (status == SP_OK)
        end = sp_supervisor_run(&(struct sp_supervisor_env){ &conf, &log, &rundir, scratch, scratch_fd });
    else
        sp_log(&log, SP_LOG_ERROR, "%s", err.text[0] != '\0' ? err.text : sp_status_name(status));
    sp_rundir_close(&rundir);
    if (scratch_fd >= 0)
        close(scratch_fd);
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
