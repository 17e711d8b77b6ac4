/* sallyport scan: each file goes through inspect.h as if a web server had sent it, so the answer is the proxy's. */
#include "config.h"

#include "cli.h"
#include "progress.h"

#include "sallyport/inspect.h"
#include "sallyport/message_parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (64u * 1024u)
#define HEAD_MAX (64u * 1024u)

struct input {
    const char *name;
    int fd;
    bool is_stdin;
    bool has_size;
    uint64_t size;
};

static enum sp_cli_exit report_fault(const struct sp_cli_options *options, const char *name, const char *why)
{
    if (!options->json) {
        sp_cli_line(stderr, "%s: error: %s", name, why);
        return SP_CLI_ERROR;
    }
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_text(out, "file", name);
    sp_cli_json_add_text(out, "error", why);
    sp_cli_json_print(out);
    return SP_CLI_ERROR;
}

/* --- input ------------------------------------------------------------------------------------------------------------ */

/* NULL, or why the file cannot be scanned. */
static const char *open_input(const char *name, struct input *in)
{
    *in = (struct input){ .name = name, .is_stdin = strcmp(name, "-") == 0 };
    in->fd = in->is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (in->fd < 0 || fstat(in->fd, &st) < 0)
        return strerror(errno);
    if (S_ISDIR(st.st_mode))
        return "is a directory; name the files in it";
    in->has_size = S_ISREG(st.st_mode) && !in->is_stdin;
    in->size = in->has_size ? (uint64_t) st.st_size : 0;
    return NULL;
}

static void close_input(struct input *in)
{
    if (in->fd >= 0 && !in->is_stdin)
        close(in->fd);
    in->fd = -1;
}

static ssize_t read_piece(int fd, char *piece)
{
    ssize_t n;
    do
        n = read(fd, piece, PIECE_BYTES);
    while (n < 0 && errno == EINTR);
    return n;
}

/* --- the heads of the transaction --------------------------------------------------------------------------------------- */

static enum sp_status parse_head(struct sp_buf *text, enum sp_message_kind kind, struct sp_head **head_out)
{
    return sp_head_parse(text->p, text->n, kind, head_out);
}

static enum sp_status add_escaped(struct sp_buf *out, const char *name)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    enum sp_status status = SP_OK;
    for (name += strspn(name, "/"); *name && status == SP_OK; name++)
        status = strchr(plain, *name) ? sp_buf_add(out, name, 1) : sp_buf_addf(out, "%%%02X", (unsigned char) *name);
    return status;
}

static enum sp_status make_request(const struct input *in, struct sp_head **head_out)
{
    struct sp_buf text;
    sp_buf_init(&text, HEAD_MAX);
    enum sp_status status = sp_buf_add_str(&text, SP_STR("GET http://localhost/"));
    if (status == SP_OK)
        status = add_escaped(&text, in->is_stdin ? "stdin" : in->name);
    if (status == SP_OK)
        status = sp_buf_add_str(&text, SP_STR(" HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    if (status == SP_OK)
        status = parse_head(&text, SP_MESSAGE_REQUEST, head_out);
    sp_buf_fini(&text);
    return status;
}

static enum sp_status make_response(const struct input *in, struct sp_head **head_out)
{
    struct sp_buf text;
    sp_buf_init(&text, HEAD_MAX);
    enum sp_status status = sp_buf_add_str(&text, SP_STR("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"));
    if (status == SP_OK && in->has_size)
        status = sp_buf_addf(&text, "Content-Length: %llu\r\n", (unsigned long long) in->size);
    if (status == SP_OK)
        status = sp_buf_add_str(&text, SP_STR("\r\n"));
    if (status == SP_OK)
        status = parse_head(&text, SP_MESSAGE_RESPONSE, head_out);
    sp_buf_fini(&text);
    return status;
}

/* --- the transaction ---------------------------------------------------------------------------------------------------- */

/* Feeds the body until there is a decision. False if the file could not be read to its end. */
static bool feed(struct sp_txn *txn, const struct input *in, struct sp_progress *progress)
{
    char piece[PIECE_BYTES];
    enum sp_step step = SP_STEP_BODY;
    while (step == SP_STEP_BODY) {
        ssize_t n = read_piece(in->fd, piece);
        if (n < 0)
            return false;
        size_t taken;
        sp_progress_add(progress, (size_t) n);
        step = n > 0 ? sp_txn_body(txn, piece, (size_t) n, &taken) : sp_txn_end(txn);
    }
    return true;
}

static enum sp_cli_exit exit_of(const struct sp_txn_result *result)
{
    if (result->outcome == SP_OUTCOME_ERROR || result->outcome == SP_OUTCOME_OVERLOAD)
        return SP_CLI_ERROR; /* nothing is known about the file */
    return result->action == SP_ACTION_BLOCK ? SP_CLI_FOUND : SP_CLI_OK;
}

static void print_result(const struct input *in, const struct sp_txn_result *result)
{
    const char *name = in->is_stdin ? "stdin" : in->name;
    if (result->outcome == SP_OUTCOME_CLEAN) {
        sp_cli_line(stdout, "%s: clean", name);
        return;
    }
    const char *why = result->outcome == SP_OUTCOME_INFECTED ? result->signature : result->reason;
    sp_cli_line(stdout, "%s: %s: %s (%s)", name, sp_outcome_name(result->outcome), why, sp_action_name(result->action));
}

static void print_json(const struct input *in, const struct sp_txn_result *result)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_text(out, "file", in->name);
    sp_cli_json_add_text(out, "outcome", sp_outcome_name(result->outcome));
    sp_cli_json_add_text(out, "action", sp_action_name(result->action));
    sp_cli_json_add_text(out, "reason", result->reason);
    if (result->signature[0])
        sp_cli_json_add_text(out, "signature", result->signature);
    if (result->rule)
        sp_cli_json_add_text(out, "rule", result->rule->id);
    sp_cli_json_add_number(out, "bytes", (int64_t) result->body_bytes);
    sp_cli_json_add_number(out, "generation", result->generation);
    sp_cli_json_add_number(out, "scan_us", result->scan_us);
    sp_cli_json_print(out);
}

static enum sp_cli_exit inspect(
    const struct sp_cli_options *options, struct sp_gate *gate, const struct input *in, struct sp_progress *progress)
{
    struct sp_head *request = NULL, *response = NULL;
    struct sp_txn *txn = NULL;
    enum sp_cli_exit status = SP_CLI_ERROR;
    enum sp_status made = make_request(in, &request);
    if (made == SP_OK)
        made = make_response(in, &response);
    if (made == SP_OK)
        made = sp_txn_new(gate, &txn);
    if (made != SP_OK) {
        report_fault(options, in->name, sp_status_name(made));
        goto out;
    }
    struct sp_txn_start start = {
        .direction = SP_RESPMOD,
        .request = sp_head_message(request),
        .response = sp_head_message(response),
        .has_body = true,
    };
    if (sp_txn_head(txn, &start) == SP_STEP_BODY && !feed(txn, in, progress)) {
        sp_progress_hide(progress);
        report_fault(options, in->name, strerror(errno));
        goto out;
    }
    const struct sp_txn_result *result = sp_txn_result(txn);
    sp_progress_hide(progress);
    options->json ? print_json(in, result) : print_result(in, result);
    status = exit_of(result);
out:
    sp_txn_free(&txn);
    sp_head_free(&response);
    sp_head_free(&request);
    return status;
}

/* 0: not known. */
static uint64_t total_bytes(const struct sp_cli_options *options)
{
    uint64_t total = 0;
    for (int i = 0; i < options->n_args; i++) {
        struct stat st;
        if (strcmp(options->args[i], "-") == 0 || stat(options->args[i], &st) < 0)
            continue;
        if (!S_ISREG(st.st_mode))
            return 0;
        total += (uint64_t) st.st_size;
    }
    return total;
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct sp_error err = { 0 };
    struct sp_gate *gate;
    if (sp_gate_open(options->config, 0, &err, &gate) != SP_OK)
        return sp_cli_fail("%s", err.text);
    enum sp_cli_exit worst = SP_CLI_OK;
    struct sp_progress progress;
    sp_progress_start(&progress, total_bytes(options));
    for (int i = 0; i < options->n_args; i++) {
        struct input in;
        const uint64_t before = progress.done;
        const char *why = open_input(options->args[i], &in);
        enum sp_cli_exit status = why ? report_fault(options, options->args[i], why) : inspect(options, gate, &in, &progress);
        close_input(&in);
        fflush(stdout);
        progress.done = in.has_size ? before + in.size : progress.done; /* a decision may come before the end */
        if (status > worst)
            worst = status;
    }
    sp_progress_hide(&progress);
    sp_gate_release(&gate);
    return worst;
}

const struct sp_cli_command sp_cli_scan = {
    .name = "scan",
    .args = "FILE...",
    .summary = "scan files as the proxy would, and say what it would do",
    .help = "Each file is treated as a download: the same limits, the same scanner, the same actions. The scanner\n"
            "(sallyport-scand) must run. \"-\" is standard input. One line a file: its name, the outcome, why, and\n"
            "the action in parentheses. Neither the decision log nor the counters see it.\n\n"
            "exit status: 0 all would pass, 1 at least one would be blocked, 2 at least one could not be scanned\n\n"
            "examples:\n"
            "  sallyport scan ~/Downloads/*.exe\n"
            "  curl -s https://example.com/file | sallyport scan -\n"
            "  sallyport scan --json setup.msi | jq .signature\n",
    .has_args = true,
    .run = run,
};
