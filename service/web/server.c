/* HTTP, by libmicrohttpd, whose header is included here alone. Everything is bounded: connections, the memory of a request's head,
 * arguments, idle time, and the time from one request to the end of the next, which a client could stretch byte by byte. */
#include "config.h"

#include "access.h"
#include "api.h"
#include "assets.h"
#include "gatekeep.h"
#include "web.h"
#include "world.h"

#include "sallyport/clock.h"
#include "sallyport/log.h"

#include <errno.h>
#include <grp.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 128
#define CONNECTIONS_PER_ADDRESS 64
#define THREADS 4
#define HEAD_BYTES (16 * 1024)
#define URI_MAX 2048
#define IDLE_S 15
#define REQUEST_US (30 * 1000000LL)
#define GOODBYE_US (2 * 1000000LL)
#define COOKIE_AGE_S (30 * 24 * 3600)
#define NOBODY 65534

/* What a page may do: nothing but ask us. Scripts and styles are files of ours, and no text can become markup. */
#define CONTENT_POLICY \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

struct slot { /* a connection */
    int fd; /* -1: free */
    int64_t since_us; /* it was opened, or its last request was complete, or answered */
    bool is_busy;     /* a request is being answered */
};

struct server {
    struct sp_web_world world;
    struct sp_web_access access;
    struct sp_web_address address;
    bool checks_host;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* guards slots. Never held with the lock of world */
    struct slot slots[CONNECTIONS + THREADS];
};

/* --- connections --------------------------------------------------------------------------------------------------------- */

static void on_connection(void *arg, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct server *server = arg;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    pthread_mutex_lock(&server->lock);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED && *context) {
        ((struct slot *) *context)->fd = -1;
        *context = NULL;
    }
    for (size_t i = 0; what == MHD_CONNECTION_NOTIFY_STARTED && info && !*context && i < CONNECTIONS + THREADS; i++)
        if (server->slots[i].fd < 0) {
            server->slots[i] = (struct slot){ .fd = info->connect_fd, .since_us = sp_clock_mono_us() };
            *context = &server->slots[i];
        }
    pthread_mutex_unlock(&server->lock);
}

static void mark(struct server *server, struct MHD_Connection *connection, bool is_busy)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct slot *slot = info ? info->socket_context : NULL;
    if (!slot)
        return;
    pthread_mutex_lock(&server->lock);
    slot->since_us = sp_clock_mono_us();
    slot->is_busy = is_busy;
    pthread_mutex_unlock(&server->lock);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode how)
{
    (void) request;
    (void) how;
    mark(arg, connection, false);
}

/* The descriptor is not closed before its slot is free, so none of somebody else can be hit. */
static void end_slow(struct server *server)
{
    const int64_t now = sp_clock_mono_us();
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < CONNECTIONS + THREADS; i++)
        if (server->slots[i].fd >= 0 && now - server->slots[i].since_us > REQUEST_US)
            shutdown(server->slots[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
}

static bool is_busy(struct server *server)
{
    bool busy = false;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < CONNECTIONS + THREADS; i++)
        busy = busy || (server->slots[i].fd >= 0 && server->slots[i].is_busy);
    pthread_mutex_unlock(&server->lock);
    return busy;
}

/* --- a request ----------------------------------------------------------------------------------------------------------- */

struct args {
    struct sp_web_arg items[SP_WEB_ARGS_MAX];
    size_t n;
    bool is_too_many;
};

static enum MHD_Result take_arg(void *arg, enum MHD_ValueKind kind, const char *key, size_t key_n, const char *value, size_t value_n)
{
    (void) kind;
    struct args *args = arg;
    if (args->n == SP_WEB_ARGS_MAX) {
        args->is_too_many = true;
        return MHD_NO;
    }
    args->items[args->n++] = (struct sp_web_arg){ { key, key_n }, { value, value ? value_n : 0 } };
    return MHD_YES;
}

static struct sp_str field(struct MHD_Connection *connection, const char *name)
{
    return sp_str_from(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name));
}

static struct sp_web_head head_of(struct MHD_Connection *connection, const char *path, const char *method, const struct args *args)
{
    struct sp_str length = field(connection, "Content-Length");
    struct sp_web_head head = {
        .method = sp_str_from(method),
        .path = sp_str_from(path),
        .host = field(connection, "Host"),
        .authorization = field(connection, "Authorization"),
        .cookie = field(connection, "Cookie"),
        .fetch_site = field(connection, "Sec-Fetch-Site"),
        .has_body = field(connection, "Transfer-Encoding").n > 0 || (length.n > 0 && !sp_str_equal(length, SP_STR("0"))),
        .is_too_long = args->is_too_many,
    };
    for (size_t i = 0; i < args->n; i++)
        if (sp_str_equal(args->items[i].name, SP_STR("token")))
            head.token = args->items[i].value;
    return head;
}

static bool add_fields(struct MHD_Response *response, const char *type)
{
    static const char *const fields[][2] = {
        { "Cache-Control", "no-store" },
        { "Content-Security-Policy", CONTENT_POLICY },
        { "X-Content-Type-Options", "nosniff" },
        { "X-Frame-Options", "DENY" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Cross-Origin-Opener-Policy", "same-origin" },
        { "Permissions-Policy", "camera=(), geolocation=(), microphone=()" },
    };
    bool is_good = MHD_add_response_header(response, "Content-Type", type) == MHD_YES;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        is_good = is_good && MHD_add_response_header(response, fields[i][0], fields[i][1]) == MHD_YES;
    return is_good;
}

static bool add_cookie(struct MHD_Response *response, const struct sp_web_access *access)
{
    char text[SP_WEB_COOKIE_SIZE + 128];
    if (!access->has_token)
        return true;
    snprintf(text, sizeof(text), "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict", SP_WEB_COOKIE, access->cookie, COOKIE_AGE_S);
    return MHD_add_response_header(response, "Set-Cookie", text) == MHD_YES;
}

static bool add_ruling(struct MHD_Response *response, const struct sp_web_ruling *ruling, const struct sp_web_access *access)
{
    if (ruling->status == 405)
        return MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES;
    if (ruling->status == 401)
        return MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"sallyport\"") == MHD_YES;
    if (ruling->verdict == SP_WEB_LET_IN)
        return MHD_add_response_header(response, "Location", "/") == MHD_YES && add_cookie(response, access);
    return ruling->verdict != SP_WEB_LET_IN_QUIETLY || add_cookie(response, access);
}

static enum sp_status fill(struct server *server, const struct sp_web_ruling *ruling, const struct sp_web_request *request,
    struct sp_web_reply *reply)
{
    reply->status = ruling->status;
    switch (ruling->verdict) {
    case SP_WEB_ANSWER:
        reply->status = 200;
        return ruling->route->answer(&server->world, request, reply);
    case SP_WEB_LOGIN:
        reply->type = sp_web_asset_find(SP_STR("/login"))->type;
        return sp_buf_add_str(&reply->body, sp_web_asset_find(SP_STR("/login"))->content);
    case SP_WEB_REFUSE:
        return sp_web_api_fault(reply, ruling->status, ruling->text);
    case SP_WEB_LET_IN:
    case SP_WEB_LET_IN_QUIETLY:
        break;
    }
    return SP_OK;
}

/* is_too_long: set by on_uri. No answer at all (MHD_NO closes the connection) only for want of memory. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
    const char *upload, size_t *upload_bytes, void **is_too_long)
{
    (void) version;
    (void) upload;
    (void) upload_bytes;
    struct server *server = arg;
    struct args args = { .n = 0 };
    struct sp_web_reply reply = { .type = SP_WEB_TEXT };
    enum MHD_Result result = MHD_NO;
    mark(server, connection, true);
    sp_buf_init(&reply.body, SP_WEB_BODY_MAX);
    MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, take_arg, &args);
    struct sp_web_head head = head_of(connection, path, method, &args);
    head.is_too_long = head.is_too_long || *is_too_long;
    struct sp_web_ruling ruling = sp_web_judge(&head, &server->access, server->checks_host);
    struct sp_web_request request = { .path = head.path, .rest = ruling.rest, .args = args.items, .n_args = args.n };
    enum sp_status status = fill(server, &ruling, &request, &reply);
    if (status != SP_OK)
        status = sp_web_api_fault(&reply, 503, sp_status_name(status));
    struct MHD_Response *response =
        status == SP_OK ? MHD_create_response_from_buffer(reply.body.n, reply.body.p, MHD_RESPMEM_MUST_COPY) : NULL;
    if (response && add_fields(response, reply.type) && add_ruling(response, &ruling, &server->access))
        result = MHD_queue_response(connection, reply.status, response);
    if (response)
        MHD_destroy_response(response);
    sp_buf_fini(&reply.body);
    return result;
}

/* Sees the address as it was sent. What it returns is where on_request finds its last argument. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    (void) connection;
    return strnlen(uri, URI_MAX + 1) > URI_MAX ? arg : NULL;
}

/* --- the process ---------------------------------------------------------------------------------------------------------- */

/* The user of run_dir can read everything that we read. */
static enum sp_status drop_root(const char *run_dir, struct sp_error *err)
{
    struct stat st;
    uid_t uid = NOBODY;
    gid_t gid = NOBODY;
    if (geteuid() == 0 && stat(run_dir, &st) == 0 && st.st_uid != 0) {
        uid = st.st_uid;
        gid = st.st_gid;
    }
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
        return sp_error_set(err, SP_ERR_IO, "cannot become another user than root: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return sp_error_set(err, SP_ERR_IO, "prctl: %s", strerror(errno));
    return SP_OK;
}

static enum sp_status start(struct server *server, const char *listen, struct sp_error *err)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;
    if (server->address.is_v6)
        flags |= MHD_USE_DUAL_STACK;
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, &server->address.at.any,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) CONNECTIONS_PER_ADDRESS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) HEAD_BYTES,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned) THREADS, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_END);
    if (!server->daemon)
        return sp_error_set(err, SP_ERR_IO, "cannot listen on %s: %s", listen, strerror(errno));
    return SP_OK;
}

/* Until one of the signals comes. */
static void serve(struct server *server, const sigset_t *signals)
{
    const struct timespec second = { .tv_sec = 1 };
    int number;
    while ((number = sigtimedwait(signals, NULL, &second)) < 0 && (errno == EAGAIN || errno == EINTR)) {
        sp_web_world_tick(&server->world);
        end_slow(server);
    }
}

/* Nobody new; those who have an answer on its way get it. */
static void stop(struct server *server)
{
    if (!server->daemon)
        return;
    const struct timespec moment = { .tv_nsec = 20 * 1000 * 1000 };
    const int64_t end = sp_clock_mono_us() + GOODBYE_US;
    MHD_socket listener = MHD_quiesce_daemon(server->daemon);
    while (is_busy(server) && sp_clock_mono_us() < end)
        nanosleep(&moment, NULL);
    MHD_stop_daemon(server->daemon);
    if (listener >= 0)
        close(listener);
}

static enum sp_status prepare(struct server *server, const struct sp_web_options *options, struct sp_error *err)
{
    enum sp_status status = sp_web_address_parse(options->listen, err, &server->address);
    if (status == SP_OK)
        status = sp_web_access_load(options->token_file, err, &server->access);
    if (status == SP_OK && !server->address.is_loopback && !server->access.has_token)
        status = sp_error_set(err, SP_ERR_CONF, "--listen %s: only 127.0.0.1 and [::1] go without --token-file", options->listen);
    server->checks_host = !server->access.has_token;
    if (status == SP_OK)
        status = drop_root(options->conf->run_dir, err);
    return status;
}

enum sp_status sp_web_run(const struct sp_web_options *options, struct sp_error *err)
{
    const struct sp_log log = sp_log_stderr("sallyport", SP_LOG_NOTICE);
    struct server server = { .daemon = NULL };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&server.lock, NULL);
    for (size_t i = 0; i < CONNECTIONS + THREADS; i++)
        server.slots[i].fd = -1;
    enum sp_status status = prepare(&server, options, err);
    if (status == SP_OK)
        status = sp_web_world_init(&server.world, options, err);
    if (status == SP_OK) {
        sp_web_world_tick(&server.world);
        status = start(&server, options->listen, err);
    }
    if (status == SP_OK) {
        bool is_full = strchr(options->listen, ':') != NULL;
        sp_log(&log, SP_LOG_NOTICE, "dashboard on http://%s%s/%s", is_full ? "" : "127.0.0.1:", options->listen,
            server.access.has_token ? ", with a token" : "");
        serve(&server, &signals);
        stop(&server);
    }
    sp_web_world_fini(&server.world);
    pthread_mutex_destroy(&server.lock);
    explicit_bzero(&server.access, sizeof(server.access));
    return status;
}
