/* Every way a scan can end, against a scanner that follows a script. */
#include "config.h"

#include "fake_scanner.h"

#include "sallyport/board.h"
#include "sallyport/clock.h"
#include "sallyport/scan_client.h"

#include <errno.h>
#include <sys/syscall.h>

static struct fake_scanner fake;

/* A host with small socket buffers, which may be allowed to grow or not. Both stand in front of the C library's. */
static int send_buffer; /* 0: as the kernel makes it */
static bool may_grow;

int socket(int domain, int type, int protocol)
{
    int fd = (int) syscall(SYS_socket, domain, type, protocol);
    if (fd >= 0 && send_buffer > 0)
        syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    return fd;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    return may_grow ? (int) syscall(SYS_setsockopt, fd, level, name, value, n) : 0;
}

/* The longest time that the client has asked the kernel to wait, which no busy machine can stretch. */
static _Thread_local int asked_ms;

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    const struct timespec t = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
    if (timeout_ms > asked_ms)
        asked_ms = timeout_ms;
    return (int) syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &t, NULL, 0);
}

int nanosleep(const struct timespec *asked, struct timespec *left_out)
{
    const int ms = (int) asked->tv_sec * 1000 + (int) ((asked->tv_nsec + 999999) / 1000000);
    if (ms > asked_ms)
        asked_ms = ms;
    return clock_nanosleep(CLOCK_MONOTONIC, 0, asked, left_out) == 0 ? 0 : -1;
}

#define SOON_MS 150 /* timeouts that are to pass */
#define LATE_MS 300
#define PATIENCE_MS 20000 /* and those that are not, on a busy machine either */

static struct sp_spool *body_of(size_t n)
{
    struct sp_spool_limits limits = { .memory_bytes = 1 << 20, .max_bytes = 1 << 22, .dir = "/tmp" };
    struct sp_spool *body = NULL;
    ck_assert_int_eq(sp_spool_new(&limits, &body), SP_OK);
    for (size_t i = 0; i < n; i++) {
        char c = (char) ('a' + i % 26);
        ck_assert_int_eq(sp_spool_append(body, &c, 1, NULL), SP_OK);
    }
    ck_assert_int_eq(sp_spool_seal(body, NULL), SP_OK);
    return body;
}

/* Only scripts of nothing but waiting have their timeouts pass. */
static struct sp_scan_client client_for(const char *script)
{
    struct sp_scan_client client = { .queue_ms = PATIENCE_MS, .scan_ms = PATIENCE_MS };
    if (strcmp(script, "q") == 0 || strcmp(script, "w") == 0 || strcmp(script, "h") == 0)
        client = (struct sp_scan_client){ .queue_ms = SOON_MS, .scan_ms = LATE_MS };
    return client;
}

static struct sp_scan_result ask(const char *script, size_t body_bytes)
{
    fake_scanner_start(&fake, script);
    struct sp_scan_client client = client_for(script);
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_spool *body = body_of(body_bytes);
    struct sp_scan_result result;
    sp_scan_client_ask(&client, &(struct sp_scan_body){ .spool = body }, "id", &result);
    sp_spool_free(&body);
    fake_scanner_stop(&fake);
    return result;
}

START_TEST(every_script_has_its_outcome)
{
    static const struct {
        const char *script;
        enum sp_outcome outcome;
        int connections;
        bool is_retried;
    } cases[] = {
        { "c", SP_OUTCOME_CLEAN, 1, false },
        { "i", SP_OUTCOME_INFECTED, 1, false },
        { "l", SP_OUTCOME_LIMIT, 1, false },
        { "e", SP_OUTCOME_ENCRYPTED, 1, false },
        { "x", SP_OUTCOME_ERROR, 1, false },
        { "b", SP_OUTCOME_ERROR, 1, false },  /* a reply that is none is not retried and never clean */
        { "dc", SP_OUTCOME_CLEAN, 2, true },
        { "di", SP_OUTCOME_INFECTED, 2, true },
        { "ddc", SP_OUTCOME_ERROR, 2, true }, /* once only */
        { "sc", SP_OUTCOME_CLEAN, 2, true },
        { "ssc", SP_OUTCOME_ERROR, 2, true },
        { "dsc", SP_OUTCOME_ERROR, 2, true },
        { "wc", SP_OUTCOME_CLEAN, 2, false },
        { "wdwi", SP_OUTCOME_INFECTED, 4, true }, /* to be busy is no attempt */
        { "w", SP_OUTCOME_OVERLOAD, 3, false },   /* at 0, 50 and 100 ms of 150, or fewer */
        { "h", SP_OUTCOME_LIMIT, 1, false },
        { "q", SP_OUTCOME_OVERLOAD, 0, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_scan_result r = ask(cases[i].script, 10);
        ck_assert_msg(r.outcome == cases[i].outcome, "%s: %s %s", cases[i].script, sp_outcome_name(r.outcome), r.detail);
        const bool is_counted_by_time = cases[i].script[0] == 'w' && !cases[i].script[1];
        ck_assert_msg(fake.connections == cases[i].connections || (is_counted_by_time && fake.connections < cases[i].connections),
            "%s: %d connections", cases[i].script, fake.connections);
        ck_assert_msg(r.is_retried == cases[i].is_retried, "%s: retried", cases[i].script);
        bool needs_detail = r.outcome != SP_OUTCOME_CLEAN && r.outcome != SP_OUTCOME_INFECTED && r.reply.verdict == 0;
        ck_assert_msg(!needs_detail || r.detail[0], "%s: no detail", cases[i].script);
    }
}
END_TEST

START_TEST(bodies_arrive_whole_inline_and_by_descriptor)
{
    static const size_t sizes[] = { 0, 1, SP_SPOOL_HEAP_MAX - 1, SP_SPOOL_HEAP_MAX, SP_SPOOL_HEAP_MAX + 1, SP_SPOOL_HEAP_MAX + 60000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sp_scan_result r = ask("c", sizes[i]);
        ck_assert_int_eq(r.outcome, SP_OUTCOME_CLEAN);
        ck_assert_uint_eq(fake.request.size, sizes[i]);
        ck_assert_uint_eq(fake.body_bytes, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            ck_assert_int_eq(fake.body[k], (char) ('a' + k % 26));
        ck_assert_str_eq(fake.request.id, "id");
        ck_assert_uint_eq(fake.request.deadline_ms, PATIENCE_MS);
    }
}
END_TEST

static struct sp_scan_extent table[SP_SCAN_EXTENTS_MAX + 1];

static void fill_table(uint64_t size)
{
    for (size_t i = 0; i < SP_SCAN_EXTENTS_MAX + 1; i++)
        table[i] = (struct sp_scan_extent){ i % size, 1 };
}

static struct sp_scan_result ask_extents(size_t body_bytes, size_t n_extents)
{
    fake_scanner_start(&fake, "c");
    struct sp_scan_client client = { .queue_ms = 10000, .scan_ms = 10000 };
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_spool *body = body_of(body_bytes);
    struct sp_scan_result result;
    fill_table(body_bytes);
    sp_scan_client_ask(&client, &(struct sp_scan_body){ body, table, n_extents }, "id", &result);
    sp_spool_free(&body);
    fake_scanner_stop(&fake);
    return result;
}

START_TEST(extents_arrive_before_the_body)
{
    static const size_t sizes[] = { 1, 1000, SP_SPOOL_HEAP_MAX, SP_SPOOL_HEAP_MAX + 60000 };
    static const size_t counts[] = { 1, 2, 100, SP_SCAN_EXTENTS_MAX };
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            struct sp_scan_result r = ask_extents(sizes[i], counts[k]);
            ck_assert_msg(r.outcome == SP_OUTCOME_CLEAN, "%zu in %zu bytes: %s", counts[k], sizes[i], r.detail);
            ck_assert_uint_eq(fake.request.n_extents, counts[k]);
            ck_assert_uint_eq(fake.request.size, sizes[i]);
            ck_assert_int_eq(memcmp(fake.extents, table, counts[k] * sizeof(table[0])), 0);
            ck_assert_uint_eq(fake.body_bytes, sizes[i]);
            ck_assert_int_eq(fake.body[sizes[i] - 1], (char) ('a' + (sizes[i] - 1) % 26));
        }
}
END_TEST

START_TEST(too_many_extents_are_a_limit)
{
    struct sp_scan_result r = ask_extents(10, SP_SCAN_EXTENTS_MAX + 1);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_LIMIT);
    ck_assert_int_eq(fake.connections, 0);
    ck_assert_str_ne(r.detail, "");
}
END_TEST

START_TEST(small_socket_buffers_grow_or_are_told)
{
    send_buffer = 32768;
    may_grow = true;
    struct sp_scan_result r = ask_extents(SP_SPOOL_HEAP_MAX, SP_SCAN_EXTENTS_MAX);
    ck_assert_msg(r.outcome == SP_OUTCOME_CLEAN, "%s", r.detail);
    ck_assert_uint_eq(fake.body_bytes, SP_SPOOL_HEAP_MAX);
    may_grow = false;
    r = ask_extents(SP_SPOOL_HEAP_MAX, SP_SCAN_EXTENTS_MAX);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_ERROR);
    ck_assert_msg(strstr(r.detail, "wmem_max") != NULL, "%s", r.detail);
    ck_assert_int_eq(r.is_retried, false);
    r = ask_extents(100, 1);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_CLEAN);
    send_buffer = 0;
}
END_TEST

/* --- in steps -------------------------------------------------------------------------------------------------------- */

#define SLACK_US 10000000 /* a busy machine may make a wait longer by as much; timeouts that must not pass are longer still */

struct stepped {
    struct sp_scan_result result;
    unsigned waits;
};

static struct stepped in_steps(const char *script, int wait_ms)
{
    struct stepped s = { .waits = 0 };
    fake_scanner_start(&fake, script);
    struct sp_scan_client client = client_for(script);
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_spool *body = body_of(10);
    char id[] = "id";
    struct sp_scan_job *job = sp_scan_job_new(&client, &(struct sp_scan_body){ .spool = body }, id);
    ck_assert_ptr_nonnull(job);
    memset(&client, 0, sizeof(client)); /* it was copied */
    memset(id, 'x', 2);
    asked_ms = 0;
    for (bool has_ended = false; !has_ended; s.waits++) {
        has_ended = sp_scan_job_wait(job, wait_ms, &s.result);
        if (wait_ms == 0 && !has_ended)
            usleep(1000);
    }
    struct sp_scan_result again;
    ck_assert(sp_scan_job_wait(job, wait_ms, &again)); /* the end stays the end */
    ck_assert_int_eq(again.outcome, s.result.outcome);
    sp_scan_job_free(&job);
    ck_assert_ptr_null(job);
    sp_spool_free(&body);
    fake_scanner_stop(&fake);
    return s;
}

/* Who dies over a request that says so is blamed on the object: only one that a worker has failed over may say so. */
START_TEST(retries_say_that_they_are)
{
    static const struct {
        const char *script;
        uint32_t flags; /* of the last request */
    } cases[] = {
        { "c", 0 },
        { "dc", SP_SCAN_IS_RETRY },
        { "sc", SP_SCAN_IS_RETRY },
        { "wc", 0 },
        { "dwc", SP_SCAN_IS_RETRY },
        { "rc", 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sp_scan_result r = ask(cases[i].script, 10);
        ck_assert_int_eq(r.outcome, SP_OUTCOME_CLEAN);
        ck_assert_msg(fake.request.flags == cases[i].flags, "%s: flags %x", cases[i].script, fake.request.flags);
    }
}
END_TEST

START_TEST(steps_end_like_one_wait)
{
    static const char *const scripts[] = { "c", "i", "l", "e", "x", "b", "dc", "ddc", "sc", "ssc", "wdwc", "h", "q" };
    static const int waits[] = { 0, 1, 20, -1 };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        const struct sp_scan_result whole = ask(scripts[i], 10);
        const int connections = fake.connections;
        for (size_t k = 0; k < sizeof(waits) / sizeof(waits[0]); k++) {
            const struct stepped s = in_steps(scripts[i], waits[k]);
            ck_assert_msg(s.result.outcome == whole.outcome && s.result.is_retried == whole.is_retried, "%s in steps of %d ms: %s %s",
                scripts[i], waits[k], sp_outcome_name(s.result.outcome), s.result.detail);
            ck_assert_str_eq(s.result.detail, whole.detail);
            ck_assert_msg(fake.connections == connections, "%s: %d connections", scripts[i], fake.connections);
            if (connections > 0)
                ck_assert_str_eq(fake.request.id, "id");
            ck_assert_msg(waits[k] < 0 || asked_ms <= waits[k], "%s: a wait of %d ms waited for %d", scripts[i], waits[k], asked_ms);
            ck_assert_msg(waits[k] != 20 || scripts[i][0] != 'h' || s.waits >= 2, "%s: %u waits", scripts[i], s.waits);
        }
    }
}
END_TEST

/* Nobody accepts, and the backlog has no room for one more: even connecting has to wait. */
START_TEST(full_backlog_does_not_block)
{
    fake_scanner_start(&fake, "q");
    ck_assert_int_eq(listen(fake.listen_fd, 0), 0);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    memcpy(addr.sun_path, fake.path, sizeof(fake.path));
    int fillers[8], n = 0;
    for (; n < 8; n++) {
        fillers[n] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
        if (connect(fillers[n], (struct sockaddr *) &addr, sizeof(addr)) < 0)
            break;
    }
    ck_assert_int_eq(errno, EAGAIN);
    struct sp_scan_client client = { .queue_ms = 400, .scan_ms = 300 };
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_scan_result result;
    for (int wait_ms = 0; wait_ms <= 30; wait_ms += 10) {
        const int64_t start_us = sp_clock_mono_us();
        struct sp_scan_job *job = sp_scan_job_new(&client, &(struct sp_scan_body){ 0 }, "id");
        unsigned waits = 0;
        asked_ms = 0;
        for (bool has_ended = false; !has_ended; waits++)
            has_ended = sp_scan_job_wait(job, wait_ms, &result);
        const int64_t took_us = sp_clock_mono_us() - start_us;
        ck_assert_int_eq(result.outcome, SP_OUTCOME_OVERLOAD);
        ck_assert_msg(took_us >= 395000 && took_us < 400000 + SLACK_US, "%lld us", (long long) took_us);
        ck_assert_msg(asked_ms <= wait_ms, "a wait of %d ms waited for %d", wait_ms, asked_ms);
        ck_assert_uint_ge(waits, 2);
        sp_scan_job_free(&job);
    }
    for (int i = 0; i <= n; i++)
        close(fillers[i]);
    fake_scanner_stop(&fake);
}
END_TEST

START_TEST(freed_early_hangs_up)
{
    fake_scanner_start(&fake, "q");
    struct sp_scan_client client = { .queue_ms = 60000, .scan_ms = 60000 };
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_scan_job *job = sp_scan_job_new(&client, &(struct sp_scan_body){ 0 }, "id");
    int worker = accept(fake.listen_fd, NULL, NULL);
    struct sp_scan_request request;
    ck_assert_int_eq(recv(worker, &request, sizeof(request), MSG_DONTWAIT), sizeof(request)); /* asked before anybody waits */
    struct sp_scan_result result;
    ck_assert(!sp_scan_job_wait(job, 0, &result));
    struct pollfd p = { .fd = worker };
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    sp_scan_job_free(&job);
    ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
    ck_assert(p.revents & POLLHUP);
    sp_scan_job_free(&job); /* of nothing */
    close(worker);
    fake_scanner_stop(&fake);
}
END_TEST

START_TEST(nobody_listens)
{
    struct sp_scan_client client = { .queue_ms = 100, .scan_ms = 100, .socket_path = "/nonexistent/scan.sock" };
    struct sp_scan_result r;
    sp_scan_client_ask(&client, &(struct sp_scan_body){ 0 }, "id", &r);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_ERROR);
    ck_assert_ptr_nonnull(strstr(r.detail, "not reachable"));
    ck_assert_uint_eq(r.reply.engine_id, 0);
}
END_TEST

START_TEST(ping_has_no_body)
{
    fake_scanner_start(&fake, "c");
    struct sp_scan_client client = client_for("c");
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_scan_result r;
    sp_scan_client_ask(&client, &(struct sp_scan_body){ 0 }, "id", &r);
    fake_scanner_stop(&fake);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_CLEAN);
    ck_assert_uint_eq(r.reply.engine_id, 42);
    ck_assert_int_eq(fake.request.kind, SP_SCAN_PING);
}
END_TEST

/* --- a scanner that comes and goes ---------------------------------------------------------------------------------- */

static struct sp_scan_client client_of(unsigned start_ms, unsigned queue_ms)
{
    struct sp_scan_client client = { .start_ms = start_ms, .queue_ms = queue_ms, .scan_ms = PATIENCE_MS };
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    return client;
}

/* Asks in steps, so that every wait is seen to end in time. */
static struct stepped ping(const struct sp_scan_client *client, int wait_ms, int64_t *took_us_out)
{
    struct stepped s = { .waits = 0 };
    const int64_t start_us = sp_clock_mono_us();
    struct sp_scan_job *job = sp_scan_job_new(client, &(struct sp_scan_body){ 0 }, "id");
    asked_ms = 0;
    for (bool has_ended = false; !has_ended; s.waits++)
        has_ended = sp_scan_job_wait(job, wait_ms, &s.result);
    sp_scan_job_free(&job);
    *took_us_out = sp_clock_mono_us() - start_us;
    return s;
}

struct late {
    pthread_t thread;
    unsigned after_us, down_us; /* the socket is taken away, and is back down_us later */
    const char *script;
    bool is_there; /* at first */
};

static void *come_late(void *arg)
{
    struct late *late = arg;
    usleep(late->after_us);
    if (late->is_there)
        fake_scanner_unlisten(&fake);
    usleep(late->down_us);
    fake_scanner_listen(&fake, late->script);
    return NULL;
}

START_TEST(one_that_comes_late_is_waited_for)
{
    static const int waits[] = { 1, 20, -1 };
    for (size_t i = 0; i < 3; i++) {
        fake_scanner_place(&fake);
        struct late late = { .after_us = 1000000, .script = "c" };
        const int64_t start_us = sp_clock_mono_us();
        ck_assert_int_eq(pthread_create(&late.thread, NULL, come_late, &late), 0);
        int64_t took_us;
        /* the queue's time is not what it waits with */
        const struct sp_scan_client client = client_of(PATIENCE_MS, 800);
        const struct stepped s = ping(&client, waits[i], &took_us);
        took_us = sp_clock_mono_us() - start_us;
        pthread_join(late.thread, NULL);
        ck_assert_msg(s.result.outcome == SP_OUTCOME_CLEAN, "%s", s.result.detail);
        ck_assert(!s.result.is_retried);
        ck_assert_msg(took_us >= late.after_us && took_us < late.after_us + SLACK_US, "%lld us", (long long) took_us);
        ck_assert_msg(waits[i] < 0 || asked_ms <= waits[i], "a wait of %d ms", asked_ms);
        fake_scanner_stop(&fake);
    }
}
END_TEST

START_TEST(one_that_stays_away_is_an_error_in_time)
{
    fake_scanner_place(&fake);
    int64_t took_us;
    const struct sp_scan_client client = client_of(250, 50);
    struct stepped s = ping(&client, 20, &took_us);
    ck_assert_int_eq(s.result.outcome, SP_OUTCOME_ERROR);
    ck_assert_ptr_nonnull(strstr(s.result.detail, "not reachable"));
    ck_assert_msg(took_us >= 250000 && took_us < 250000 + SLACK_US, "%lld us", (long long) took_us);
    ck_assert_msg(asked_ms <= 20, "a wait of %d ms", asked_ms);
    rmdir(fake.dir);
}
END_TEST

/* Threads that ask later do not wait again, until somebody has been there or nobody has asked for long. */
START_TEST(an_absence_is_waited_out_once)
{
    fake_scanner_place(&fake);
    struct sp_scan_absence absence = { 0 };
    struct sp_scan_client client = client_of(1000, PATIENCE_MS);
    client.absence = &absence;
    int64_t took_us;
    ping(&client, -1, &took_us);
    ck_assert_msg(took_us >= 1000000, "%lld us", (long long) took_us);
    ck_assert_int_eq(ping(&client, -1, &took_us).result.outcome, SP_OUTCOME_ERROR);
    ck_assert_msg(asked_ms == 0, "a wait of %d ms the second time", asked_ms);
    fake_scanner_listen(&fake, "c");
    ck_assert_int_eq(ping(&client, -1, &took_us).result.outcome, SP_OUTCOME_CLEAN);
    ck_assert_int_eq(absence.since_us, 0);
    fake_scanner_unlisten(&fake);
    ping(&client, -1, &took_us);
    ck_assert_msg(took_us >= 1000000, "%lld us after it had been there", (long long) took_us);
    absence.seen_us -= 1000001; /* as if time had passed */
    ping(&client, -1, &took_us);
    ck_assert_msg(took_us >= 1000000, "%lld us after a quiet time", (long long) took_us);
    rmdir(fake.dir);
}
END_TEST

START_TEST(what_waits_in_the_backlog_goes_to_the_next_one)
{
    fake_scanner_start(&fake, "q");
    struct late late = { .after_us = 100000, .down_us = 100000, .script = "c", .is_there = true };
    const int64_t start_us = sp_clock_mono_us();
    ck_assert_int_eq(pthread_create(&late.thread, NULL, come_late, &late), 0);
    const struct sp_scan_client client = client_of(PATIENCE_MS, PATIENCE_MS);
    int64_t took_us;
    const struct stepped s = ping(&client, 20, &took_us);
    took_us = sp_clock_mono_us() - start_us;
    pthread_join(late.thread, NULL);
    ck_assert_msg(s.result.outcome == SP_OUTCOME_CLEAN, "%s", s.result.detail);
    ck_assert(!s.result.is_retried);
    ck_assert_msg(took_us >= 200000 && took_us < 200000 + SLACK_US, "%lld us", (long long) took_us);
    fake_scanner_stop(&fake);
}
END_TEST

START_TEST(hanging_up_unread_does_not_count)
{
    static const struct {
        const char *script;
        unsigned start_ms;
        enum sp_outcome outcome;
        int connections;
        bool is_retried;
    } cases[] = {
        { "rrrrc", PATIENCE_MS, SP_OUTCOME_CLEAN, 5, false },
        { "rdi", PATIENCE_MS, SP_OUTCOME_INFECTED, 3, true },
        { "rdrdc", PATIENCE_MS, SP_OUTCOME_ERROR, 4, true }, /* two died over it */
        { "rc", 0, SP_OUTCOME_CLEAN, 2, true },
        { "rrc", 0, SP_OUTCOME_ERROR, 2, true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_scanner_start(&fake, cases[i].script);
        const struct sp_scan_client client = client_of(cases[i].start_ms, PATIENCE_MS);
        int64_t took_us;
        const struct sp_scan_result r = ping(&client, -1, &took_us).result;
        fake_scanner_stop(&fake);
        ck_assert_msg(r.outcome == cases[i].outcome, "%s: %s %s", cases[i].script, sp_outcome_name(r.outcome), r.detail);
        ck_assert_msg(fake.connections == cases[i].connections, "%s: %d connections", cases[i].script, fake.connections);
        ck_assert_msg(r.is_retried == cases[i].is_retried, "%s: retried", cases[i].script);
    }
    fake_scanner_start(&fake, "r"); /* for ever: not as fast as it can, and not for ever */
    int64_t took_us;
    const struct sp_scan_client client = client_of(500, PATIENCE_MS);
    ck_assert_int_eq(ping(&client, -1, &took_us).result.outcome, SP_OUTCOME_ERROR);
    fake_scanner_stop(&fake);
    ck_assert_msg(took_us >= 500000 && took_us < 500000 + SLACK_US, "%lld us", (long long) took_us);
    ck_assert_msg(fake.connections < 20, "%d connections", fake.connections);
}
END_TEST

/* A socket that listens before there is an engine, as a service manager's does. */
START_TEST(loading_is_not_queueing)
{
    static const struct {
        enum sp_scand_state state;
        unsigned start_ms;
        enum sp_outcome outcome;
        int64_t least_us;
    } cases[] = {
        { SP_SCAND_SERVING, 600, SP_OUTCOME_OVERLOAD, 100000 },
        { SP_SCAND_DEGRADED, 600, SP_OUTCOME_OVERLOAD, 100000 },
        { SP_SCAND_LOADING, 600, SP_OUTCOME_ERROR, 600000 },
        { SP_SCAND_STOPPED, 600, SP_OUTCOME_ERROR, 600000 },
        { SP_SCAND_STOPPING, 600, SP_OUTCOME_ERROR, 600000 },
        { SP_SCAND_LOADING, 0, SP_OUTCOME_OVERLOAD, 100000 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_scanner_start(&fake, "q");
        char path[128];
        struct sp_board *board;
        snprintf(path, sizeof(path), "%s/scand.stat", fake.dir);
        ck_assert_int_eq(sp_board_create(path, NULL, &board), SP_OK);
        board->state = cases[i].state;
        const struct sp_scan_client client = client_of(cases[i].start_ms, 100);
        int64_t took_us;
        const struct stepped s = ping(&client, 20, &took_us);
        ck_assert_msg(s.result.outcome == cases[i].outcome, "%zu: %s", i, s.result.detail);
        ck_assert_msg(took_us >= cases[i].least_us && took_us < cases[i].least_us + SLACK_US, "%zu: %lld us", i, (long long) took_us);
        if (s.result.outcome == SP_OUTCOME_ERROR)
            ck_assert_ptr_nonnull(strstr(s.result.detail, "loaded"));
        const struct sp_board *closing = board;
        sp_board_close(&closing);
        unlink(path);
        fake_scanner_stop(&fake);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("scan_client");
    tcase_add_test(c, every_script_has_its_outcome);
    tcase_add_test(c, bodies_arrive_whole_inline_and_by_descriptor);
    tcase_add_test(c, extents_arrive_before_the_body);
    tcase_add_test(c, too_many_extents_are_a_limit);
    tcase_add_test(c, small_socket_buffers_grow_or_are_told);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, retries_say_that_they_are);
    tcase_add_test(c, steps_end_like_one_wait);
    tcase_add_test(c, full_backlog_does_not_block);
    tcase_add_test(c, freed_early_hangs_up);
    tcase_add_test(c, nobody_listens);
    tcase_add_test(c, ping_has_no_body);
    tcase_add_test(c, one_that_comes_late_is_waited_for);
    tcase_add_test(c, one_that_stays_away_is_an_error_in_time);
    tcase_add_test(c, an_absence_is_waited_out_once);
    tcase_add_test(c, what_waits_in_the_backlog_goes_to_the_next_one);
    tcase_add_test(c, hanging_up_unread_does_not_count);
    tcase_add_test(c, loading_is_not_queueing);
    return unit_run("scan_client", c);
}
