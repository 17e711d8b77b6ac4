/* sallyport reload: has sallyport-scand load configuration and signatures again, and waits for what comes of it. The way to it
 * is a signal: whoever may send that (root, and the user that it runs as) may do this, and nobody else. The process id stands on
 * the scoreboard, which a killed one leaves behind: so the process behind the id is looked at, and held fast, before. */
#include "config.h"

#include "cli.h"

#include "sallyport/board.h"
#include "sallyport/clock.h"
#include "sallyport/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_EVERY_MS 50
#define US_PER_MS 1000
#define SCAND_COMM "sallyport-scand" /* as the kernel keeps it: 15 bytes at most */

struct reload {
    struct sp_conf *conf;
    const struct sp_board *board;
    int pid, pid_fd;
    int64_t took_us;
};

static bool is_scand(int pid)
{
    char path[32], comm[sizeof(SCAND_COMM)] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, comm, sizeof(comm) - 1);
    close(fd);
    return n > 0 && strcmp(comm, SCAND_COMM) == 0;
}

/* Opens the process first and looks then: once it is open, its id belongs to no other. */
static enum sp_status find_scand(struct reload *r, const char *conf_path, struct sp_error *err)
{
    char path[PATH_MAX];
    enum sp_status status = sp_conf_load(conf_path, err, NULL, &r->conf);
    if (status != SP_OK)
        return status;
    snprintf(path, sizeof(path), "%s/scand.stat", r->conf->run_dir);
    status = sp_board_open_reader(path, err, &r->board);
    if (status != SP_OK)
        return status;
    r->pid = atomic_load(&r->board->supervisor_pid);
    if (r->pid > 0)
        r->pid_fd = (int) syscall(SYS_pidfd_open, r->pid, 0);
    if (r->pid_fd < 0 || !is_scand(r->pid))
        return sp_error_set(err, SP_ERR_NOT_FOUND, "sallyport-scand does not run (it would serve %s)", r->conf->run_dir);
    return SP_OK;
}

static enum sp_status ask(const struct reload *r, bool takes_fewer, struct sp_error *err)
{
    if (syscall(SYS_pidfd_send_signal, r->pid_fd, takes_fewer ? SIGUSR2 : SIGHUP, NULL, 0) == 0)
        return SP_OK;
    if (errno == EPERM)
        return sp_error_set(err, SP_ERR_IO, "only root and the user of sallyport-scand (pid %d) can do that", r->pid);
    return sp_error_set(err, SP_ERR_IO, "cannot reach sallyport-scand (pid %d): %s", r->pid, strerror(errno));
}

/* Until a load is done that had not begun before we asked. */
static enum sp_status await_load(struct reload *r, uint64_t begun, struct sp_error *err)
{
    const int64_t start_us = sp_clock_mono_us();
    while (atomic_load(&r->board->loads_done) <= begun) {
        struct pollfd p = { .fd = r->pid_fd, .events = POLLIN };
        const bool is_gone = poll(&p, 1, LOOK_EVERY_MS) > 0 || atomic_load(&r->board->supervisor_pid) != r->pid;
        const enum sp_scand_state state = (enum sp_scand_state) atomic_load(&r->board->state);
        if (is_gone || state == SP_SCAND_STOPPING || state == SP_SCAND_STOPPED)
            return sp_error_set(err, SP_ERR_CLOSED, "sallyport-scand stopped before the load was done");
    }
    r->took_us = sp_clock_mono_us() - start_us;
    return SP_OK;
}

static void print_json(const struct reload *r, bool has_waited)
{
    const struct sp_board *board = r->board;
    const bool is_refused = has_waited && atomic_load(&board->is_load_refused);
    char reason[SP_BOARD_TEXT_SIZE];
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_text(out, "result", !has_waited ? "asked" : is_refused ? "refused" : "loaded");
    sp_cli_json_add_number(out, "generation", atomic_load(&board->generation));
    sp_cli_json_add_number(out, "signatures", atomic_load(&board->signatures));
    if (has_waited)
        sp_cli_json_add_number(out, "took_ms", r->took_us / US_PER_MS);
    if (is_refused) {
        snprintf(reason, sizeof(reason), "%.*s", SP_BOARD_TEXT_SIZE - 1, board->last_error);
        sp_cli_json_add_text(out, "reason", reason);
    }
    sp_cli_json_print(out);
}

static void print_text(const struct reload *r, bool has_waited)
{
    const struct sp_board *board = r->board;
    const unsigned generation = atomic_load(&board->generation), signatures = atomic_load(&board->signatures);
    if (!has_waited)
        printf("asked; generation %u serves until another one is ready\n", generation);
    else if (atomic_load(&board->is_load_refused))
        sp_cli_line(stdout, "refused, generation %u serves on: %.*s", generation, SP_BOARD_TEXT_SIZE - 1, board->last_error);
    else
        printf("generation %u serves, %u signature%s, loaded in %.1f s\n", generation, signatures, signatures == 1 ? "" : "s",
            (double) r->took_us / 1e6);
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct reload r = { .pid_fd = -1 };
    struct sp_error err = { 0 };
    const bool waits = !options->values[SP_CLI_NO_WAIT];
    enum sp_cli_exit result = SP_CLI_OK;
    enum sp_status status = find_scand(&r, options->config, &err);
    const uint64_t begun = status == SP_OK ? atomic_load(&r.board->loads_begun) : 0;
    if (status == SP_OK)
        status = ask(&r, options->values[SP_CLI_FORCE] != NULL, &err);
    if (status == SP_OK && waits)
        status = await_load(&r, begun, &err);
    if (status != SP_OK)
        result = sp_cli_fail("%s", err.text);
    else if (waits && atomic_load(&r.board->is_load_refused))
        result = SP_CLI_FOUND;
    if (status == SP_OK)
        options->json ? print_json(&r, waits) : print_text(&r, waits);
    if (r.pid_fd >= 0)
        close(r.pid_fd);
    sp_board_close(&r.board);
    sp_conf_free(&r.conf);
    return result;
}

const struct sp_cli_command sp_cli_reload = {
    .name = "reload",
    .args = "",
    .summary = "have the scanner load its configuration and signatures again",
    .help = "Needed after a change of the configuration. Signatures that change are loaded without it. What serves goes on until the\n"
            "new ones have been loaded and tried; what is refused changes nothing. The gate in c-icap sees by itself that its files\n"
            "have changed.\n\n"
            "  --no-wait  return at once, not when the load is done\n"
            "  --force    accept also signatures that are far fewer than before (scan.max_shrink)\n\n"
            "exit status: 0 loaded, 1 refused, 2 error, such as no scanner\n\n"
            "examples:\n"
            "  sallyport reload\n"
            "  sallyport reload --json | jq -r .result\n",
    .takes = 1u << SP_CLI_FORCE | 1u << SP_CLI_NO_WAIT,
    .usage = "[--force] [--no-wait]",
    .run = run,
};
