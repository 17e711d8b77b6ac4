/* The c-icap service: what the server calls, in the order in which it calls. The core decides; this file only knows which
 * return value of c-icap 0.5 carries out which step:
 *
 *   204  when the object passes as it came and RFC 3507 4.5, 4.6 allow it: in the preview, or with Allow: 204
 *   200  otherwise: the same head and body again, an edited head, or the page
 *
 * Nothing is sent back before the decision (data stays locked); from then on service_io delivers. */
#include "config.h"

#include "bridge.h"
#include "drain.h"
#include "scheduling.h"

#include <c_icap/cfg_param.h>
#include <c_icap/debug.h>
#include <c_icap/simple_api.h>

#include "sallyport/gate_watch.h"
#include "sallyport/log.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define PREVIEW_BYTES 0 /* the head alone: an event stream must not wait until a preview has filled */
#define PING_MS 500
#define TICK_MS 100 /* how often a reply that trickles moves */
#define WATCH_MS 250 /* how often changes of the configuration are looked for */
#define EXIT_BAD_SETUP 2
#define HEALTH_ARGUMENT "health"

/* Set in the environment once this server has served: on c-icap's `reconfigure` (modules are unloaded and loaded again,
 * statics do not survive) a bad file must not end the running server. */
#define SERVED_MARK "SALLYPORT_SERVED"

/* All there is between two calls. Built before c-icap forks; each child then has its own copy. */
static struct {
    char *conf_path;                /* from sallyport.Config, or NULL */
    struct sp_gate_watch *watch;
    ci_service_xdata_t *xdata;
    _Atomic uint64_t tagged; /* engine and policy that this process' ISTag names */
} module;

/* --- set-up ---------------------------------------------------------------------------------------------------------- */

/* To c-icap's own log, and to stderr for whoever starts the server by hand. */
static void write_log(void *arg, enum sp_log_level level, const char *line)
{
    (void) arg;
    const struct sp_log err = sp_log_stderr("sallyport", SP_LOG_NOTICE);
    sp_log(&err, level, "%s", line);
    ci_debug_printf(1, "sallyport: %s: %s\n", sp_log_level_name(level), line);
}

static const struct sp_log module_log = { write_log, NULL, SP_LOG_NOTICE };

static void report(enum sp_log_level level, const char *text)
{
    sp_log(&module_log, level, "%s", text);
}

/* c-icap goes on without a service that failed, and answers every proxy request with 500. At start it is better to stop
 * with the reason, so that whoever started it sees it. */
static void stop_if_starting(void)
{
    if (!getenv(SERVED_MARK))
        exit(EXIT_BAD_SETUP);
}

/* Directive sallyport.Config: c-icap parses it as root and before it daemonises, which is the time to tell a mistake. */
static int set_config(const char *directive, const char **argv, void *unused)
{
    (void) directive;
    (void) unused;
    struct sp_error err = { 0 };
    struct sp_gate *gate = NULL;
    if (!argv[0] || argv[0][0] == '\0' || argv[1]) {
        report(SP_LOG_ERROR, "sallyport.Config takes one file name");
        stop_if_starting();
        return 0;
    }
    if (sp_gate_open(argv[0], 0, &err, &gate) != SP_OK) {
        report(SP_LOG_ERROR, err.text);
        stop_if_starting();
        return 0;
    }
    sp_gate_release(&gate);
    free(module.conf_path);
    module.conf_path = strdup(argv[0]);
    return module.conf_path != NULL;
}

/* OPTIONS .../sallyport?health fails while the server stops. Without the word it does not: a Squid that asks just then, by way of a
 * balancer, would give up on all that the balancer has. */
static int answer_health(ci_request_t *req)
{
    return drain_is_on() && strcmp(req->args, HEALTH_ARGUMENT) == 0 ? CI_ERROR : CI_OK;
}

static int init_service(ci_service_xdata_t *xdata, struct ci_server_conf *server)
{
    (void) server;
    ci_service_add_option_handler(xdata, "health", answer_health);
    ci_service_set_preview(xdata, PREVIEW_BYTES);
    ci_service_set_transfer_preview(xdata, "*");
    ci_service_enable_204(xdata);
    ci_service_set_xopts(xdata, CI_XCLIENTIP | CI_XAUTHENTICATEDUSER);
    return CI_OK;
}

/* The tag names engine and policy; either may have changed since this process looked. */
static void refresh_istag(const struct sp_gate *gate)
{
    const uint64_t now = sp_metrics_engine(gate->metrics) ^ sp_gate_digest(gate);
    if (atomic_load_explicit(&module.tagged, memory_order_relaxed) == now)
        return;
    char tag[SP_GATE_ISTAG_SIZE];
    sp_gate_istag(gate, tag);
    ci_service_set_istag(module.xdata, tag);
    atomic_store_explicit(&module.tagged, now, memory_order_relaxed);
}

/* Learns the engine's id before the first transaction. A scanner that is not there yet is not an error: each scan will have
 * the outcome `error' until it is. */
static void ping_scanner(const struct sp_gate *gate)
{
    struct sp_scan_client client = gate->scanner;
    client.start_ms = 0; /* to be told now, not when it comes */
    client.absence = NULL;
    client.queue_ms = PING_MS;
    client.scan_ms = PING_MS;
    struct sp_scan_result result;
    sp_scan_client_ask(&client, &(struct sp_scan_body){ 0 }, "start", &result);
    if (result.outcome == SP_OUTCOME_CLEAN) {
        sp_metrics_set_engine(gate->metrics, result.reply.engine_id);
        return;
    }
    char text[512];
    snprintf(text, sizeof(text), "the scanner does not answer on %s (%s): bodies get the outcome `error' until it does",
        client.socket_path, result.detail);
    report(SP_LOG_WARN, text);
}

static int post_init_service(ci_service_xdata_t *xdata, struct ci_server_conf *server)
{
    const char *path = module.conf_path ? module.conf_path : sp_conf_default_path();
    struct sp_error err = { 0 };
    struct sp_gate *gate = NULL;
    if (sp_gate_open(path, SP_GATE_SERVE, &err, &gate) != SP_OK) {
        report(SP_LOG_ERROR, err.text);
        stop_if_starting();
        return CI_ERROR;
    }
    module.xdata = xdata;
    sp_gate_tell(gate, &module_log);
    ping_scanner(gate);
    refresh_istag(gate);
    const bool has_drain = drain_set_up(gate->conf, (unsigned) server->MAX_SERVERS, &module_log);
    if (sp_gate_watch_new(path, WATCH_MS, &module_log, &gate, &module.watch) != SP_OK || !has_drain) {
        report(SP_LOG_ERROR, "out of memory");
        stop_if_starting();
        return CI_ERROR;
    }
    ci_service_set_max_connections(xdata, server->MAX_SERVERS * server->THREADS_PER_CHILD);
    if (!scheduling_set_up())
        report(SP_LOG_NOTICE, "batch scheduling is not allowed here: a little slower under full load");
    setenv(SERVED_MARK, "1", 1);
    return CI_OK;
}

static void close_service(void)
{
    drain_tear_down();
    sp_gate_watch_free(&module.watch);
    free(module.conf_path);
    module.conf_path = NULL;
}

/* --- one transaction ------------------------------------------------------------------------------------------------- */

/* Before a reply's head is made: c-icap then says so in it. */
static void close_if_stopping(ci_request_t *req)
{
    if (drain_is_on())
        req->keepalive = 0;
}

static void *init_request_data(ci_request_t *req)
{
    close_if_stopping(req);
    if (!module.watch)
        return NULL;
    scheduling_choose(sp_gate_watch_has_long_scans(module.watch));
    struct sp_gate *gate = sp_gate_watch_acquire(module.watch);
    refresh_istag(gate); /* before OPTIONS is answered too */
    struct bridge *b = ci_req_type(req) == ICAP_OPTIONS ? NULL : bridge_new(&gate, req);
    sp_gate_release(&gate);
    if (b)
        drain_begin();
    return b;
}

static void release_request_data(void *p)
{
    bridge_free(bridge_of(p));
    drain_end();
}

/* The head is decided. What c-icap must do next: 204, or CONTINUE, which lets the rest of the body come (and pass through or
 * be dropped) while the reply goes out. */
static int answer_early(struct bridge *b, enum sp_step step)
{
    ci_request_t *req = b->req;
    bool has_more = ci_req_hasbody(req) && !ci_req_hasalldata(req);
    bool is_in_preview = ci_req_preview_size(req) >= 0;
    bool may_204 = is_in_preview || ci_req_allow204(req);
    bool is_unchanged = step == SP_STEP_PASS || (step == SP_STEP_RELEASE && !sp_txn_has_edits(b->txn));
    if (is_unchanged && (may_204 || !ci_req_hasbody(req)))
        return CI_MOD_ALLOW204; /* c-icap itself makes a 200 with the same head where 204 is not allowed */
    if (!bridge_reply(b, step))
        return CI_MOD_ERROR;
    if (has_more)
        ci_req_unlock_data(req);
    return CI_MOD_CONTINUE;
}

static int check_preview(char *bytes, int n, ci_request_t *req)
{
    struct bridge *b = bridge_of(ci_service_data(req));
    if (!b) {
        ci_debug_printf(1, "sallyport: error: no memory for a transaction, it is refused\n");
        return CI_MOD_ERROR;
    }
    ci_req_lock_data(req);
    enum sp_step step = bridge_head(b);
    size_t taken = 0;
    if (step == SP_STEP_BODY && n > 0)
        step = sp_txn_body(b->txn, bytes, (size_t) n, &taken);
    if (step == SP_STEP_BODY && ci_req_hasalldata(req))
        step = sp_txn_end(b->txn); /* the preview was all of it: a 204 is allowed only now */
    if (step == SP_STEP_BODY) {
        if (ci_req_type(req) == ICAP_RESPMOD)
            sp_txn_allow_trickle(b->txn); /* an upload is never sent on in part */
        return CI_MOD_CONTINUE;
    }
    /* Decided on the head while preview bytes are here: those that pass through must be kept for delivery. */
    if (n > 0 && taken == 0 && step != SP_STEP_BLOCK) {
        step = sp_txn_body(b->txn, bytes, (size_t) n, &taken);
        if (taken < (size_t) n)
            return CI_MOD_ERROR; /* a preview of megabytes, or no memory */
    }
    return answer_early(b, step);
}

static int end_of_data(ci_request_t *req)
{
    struct bridge *b = bridge_of(ci_service_data(req));
    if (!b)
        return CI_MOD_ERROR;
    b->is_complete = true;
    enum sp_step step = sp_txn_complete(b->txn);
    if (step == SP_STEP_SCAN)
        step = sp_txn_wait(b->txn, -1);
    close_if_stopping(req);
    if (step == SP_STEP_CUT)
        return CI_MOD_ERROR; /* c-icap ends the connection */
    if (b->is_replied)
        return CI_MOD_DONE;
    if (step == SP_STEP_PASS && ci_req_allow204(req) && !ci_req_sent_data(req))
        return CI_MOD_ALLOW204;
    return bridge_reply(b, step) ? CI_MOD_DONE : CI_MOD_ERROR;
}

/* Nothing may go out yet, and c-icap has handed over all that it has read: it would now wait for more, however long that takes, and
 * not ask again until it comes. So wait here, but only until the reply must begin. Under load there mostly is more already, and to
 * ask for that takes half of what poll does. */
static enum sp_step wait_while_held(struct bridge *b, bool is_eof)
{
    int hold_ms = sp_txn_hold_ms(b->txn);
    if (hold_ms < 0 || is_eof || b->req->pstrblock_read_len > 0)
        return SP_STEP_BODY;
    int n_waiting = 0;
    if (hold_ms > 0 && ioctl(b->req->connection->fd, FIONREAD, &n_waiting) == 0 && n_waiting > 0)
        return SP_STEP_BODY;
    struct pollfd p = { .fd = b->req->connection->fd, .events = POLLIN };
    return poll(&p, 1, hold_ms) == 0 ? sp_txn_trickle(b->txn) : SP_STEP_BODY;
}

/* Takes body bytes from c-icap. False if the transaction must fail. */
static bool take_body(struct bridge *b, const char *bytes, int *n, bool is_eof)
{
    /* c-icap sends the head only while a read is not what it waits for: until it is out, it is left with bytes to hand over. */
    if (b->is_replied && b->req->status < SEND_BODY) {
        *n = 0;
        return true;
    }
    enum sp_step step = b->is_replied ? SP_STEP_BODY : wait_while_held(b, is_eof);
    if (step == SP_STEP_BODY) {
        size_t taken = 0;
        step = sp_txn_body(b->txn, bytes, (size_t) *n, &taken);
        *n = (int) taken;
    } else {
        *n = 0;
    }
    if (step == SP_STEP_CUT)
        return false;
    if (step == SP_STEP_BODY || b->is_replied)
        return true;
    ci_req_unlock_data(b->req); /* decided in mid-body, or held for long enough: the reply starts now */
    close_if_stopping(b->req);
    return bridge_reply(b, step);
}

/* Bytes for the client: CI_ERROR cuts the connection so that he sees that the object is incomplete. */
static int give_body(struct bridge *b, char *out, int n, bool is_eof)
{
    size_t got = 0;
    if (sp_txn_read(b->txn, out, (size_t) n, &got) != SP_OK)
        return CI_ERROR;
    /* The body is complete and c-icap has nothing else to do: to give it nothing would end the reply. */
    while (got == 0 && b->is_complete && !sp_txn_is_decided(b->txn)) {
        if (sp_txn_wait(b->txn, TICK_MS) == SP_STEP_CUT || sp_txn_read(b->txn, out, (size_t) n, &got) != SP_OK)
            return CI_ERROR;
    }
    if (got > 0 || !sp_txn_is_decided(b->txn))
        return (int) got;
    return is_eof || sp_txn_result(b->txn)->page_bytes > 0 ? CI_EOF : 0;
}

static int service_io(char *out, int *out_n, char *in, int *in_n, int is_eof, ci_request_t *req)
{
    struct bridge *b = bridge_of(ci_service_data(req));
    if (!b)
        return CI_ERROR;
    if (in && in_n && *in_n > 0 && !take_body(b, in, in_n, is_eof))
        return CI_ERROR;
    if (!out || !out_n || *out_n <= 0)
        return CI_OK;
    if (!b->is_replied) {
        *out_n = 0;
        return CI_OK;
    }
    *out_n = give_body(b, out, *out_n, is_eof);
    return *out_n == CI_ERROR ? CI_ERROR : CI_OK;
}

static struct ci_conf_entry conf_table[] = {
    { "Config", NULL, set_config, NULL },
    { NULL, NULL, NULL, NULL },
};

__attribute__((visibility("default"))) extern ci_service_module_t service;
ci_service_module_t service = {
    .mod_name = "sallyport",
    .mod_short_descr = "Sallyport content gateway",
    .mod_type = ICAP_REQMOD | ICAP_RESPMOD,
    .mod_init_service = init_service,
    .mod_post_init_service = post_init_service,
    .mod_close_service = close_service,
    .mod_init_request_data = init_request_data,
    .mod_release_request_data = release_request_data,
    .mod_check_preview_handler = check_preview,
    .mod_end_of_data_handler = end_of_data,
    .mod_service_io = service_io,
    .mod_conf_table = conf_table,
    .mod_data = NULL,
};
