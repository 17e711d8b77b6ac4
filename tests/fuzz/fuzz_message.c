/* Any bytes as a head, of a request and of a response: parsed, everything in the view read, and decided by the shipped catalogue.
 * A head that shows SSTP is refused, whatever else is in it. */
#include "config.h"

#include "fuzz_kit.h"

#include "sallyport/message_parse.h"
#include "sallyport/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Loaded once, and kept: only a fuzz target may have such statics. */
static const struct sp_policy *load(const char *site, struct sp_policy **policy)
{
    const char *root = getenv("SRCDIR");
    char dir[512], path[512];
    if (*policy)
        return *policy;
    snprintf(dir, sizeof(dir), "%s/etc/catalogue", root ? root : ".");
    snprintf(path, sizeof(path), "%s/%s", root ? root : ".", site ? site : "");
    struct sp_conf conf = { .path = site ? path : NULL, .catalogue = dir };
    struct sp_error err = { 0 };
    if (sp_policy_new(&conf, &err, policy) != SP_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return *policy;
}

static const struct sp_policy *shipped(void)
{
    static struct sp_policy *policy;
    return load(NULL, &policy);
}

static const struct sp_policy *with_site(void)
{
    static struct sp_policy *policy;
    return load("tests/data/policy/fuzz/site.conf", &policy);
}

static unsigned touch(struct sp_str s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s.n; i++)
        sum += (unsigned char) s.p[i];
    return sum;
}

static void read_all(const struct sp_message *msg)
{
    const struct sp_str parts[] = { msg->version, msg->method, msg->target, msg->scheme, msg->path };
    const struct sp_str names[] = { SP_STR("Host"), SP_STR("content-length"), SP_STR(""), SP_STR("SSTPVERSION") };
    volatile unsigned sum = touch(msg->start_line) + touch(msg->authority);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        require_inside(parts[i], msg->start_line);
    require_inside(msg->host, msg->authority);
    require_inside(msg->port, msg->authority);
    require(msg->n_fields <= SP_MESSAGE_MAX_FIELDS && msg->status_code < 1000);
    for (size_t i = 0; i < msg->n_fields; i++) {
        sum += touch(msg->fields[i].name) + touch(msg->fields[i].value);
        require(memchr(msg->fields[i].value.p, '\0', msg->fields[i].value.n) == NULL);
        const struct sp_field *first = sp_message_field(msg, msg->fields[i].name);
        require(first && first <= &msg->fields[i]);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t pos = 0, count = 0;
        while (sp_message_next(msg, names[i], &pos))
            count++;
        require((count > 0) == (sp_message_field(msg, names[i]) != NULL));
    }
    unsigned long long length = 0;
    (void) sp_message_content_length(msg, &length);
    sum += touch(sp_message_media_type(msg));
    (void) sum; /* gcc 16 wants it read, too */
}

/* Without a body, and with these bytes as the body: one that was not asked for changes nothing. */
static void decide(const struct sp_message *msg, struct sp_str body)
{
    bool is_response = msg->kind == SP_MESSAGE_RESPONSE;
    struct sp_policy_input in = { .stage = SP_STAGE_REQUEST, .request = is_response ? NULL : msg, .response = is_response ? msg : NULL };
    if (is_response)
        in.stage = SP_STAGE_RESPONSE;
    else if (msg->is_connect)
        in.stage = SP_STAGE_CONNECT;
    struct sp_policy_result result;
    sp_policy_decide(shipped(), &in, &result);
    struct sp_policy_input whole = in;
    struct sp_policy_result judged;
    whole.body = body;
    whole.is_body_known = true;
    sp_policy_decide(shipped(), &whole, &judged);
    require(!judged.wants_body && (result.wants_body || judged.action == result.action));
    require((result.rule == NULL) == (result.action == SP_ACTION_ALLOW));
    bool shows_sstp = sp_str_equal(msg->method, SP_STR("SSTP_DUPLEX_POST"));
    shows_sstp |= !is_response && msg->is_connect && sp_message_field(msg, SP_STR("SSTPVERSION"));
    shows_sstp |= !is_response && !msg->is_connect && sp_message_field(msg, SP_STR("SSTPCORRELATIONID"));
    require(!shows_sstp || result.action == SP_ACTION_BLOCK);
}

/* A site's own rules and exceptions: who asks is taken from the head. */
static void decide_with_site(const struct sp_message *msg, struct sp_str body)
{
    struct sp_policy_input in = { .stage = SP_STAGE_REQUEST, .request = msg, .user = SP_STR("Bob"), .body = body, .is_body_known = true };
    struct sp_policy_result result;
    if (msg->kind == SP_MESSAGE_RESPONSE) {
        in.stage = SP_STAGE_RESPONSE;
        in.request = NULL;
        in.response = msg;
    } else if (msg->is_connect) {
        in.stage = SP_STAGE_CONNECT;
    }
    in.client = msg->version;
    in.sni = msg->n_fields > 0 ? msg->fields[0].value : SP_STR("");
    sp_policy_decide(with_site(), &in, &result);
    require((result.exception == NULL) == (result.excepted == NULL) && !result.wants_body);
    in.client = SP_STR("10.1.2.3");
    in.is_body_known = false;
    sp_policy_decide(with_site(), &in, &result);
    require((result.exception == NULL) == (result.excepted == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = SP_MESSAGE_REQUEST; kind <= SP_MESSAGE_RESPONSE; kind++) {
        struct sp_head *head = NULL;
        enum sp_status status = sp_head_parse(data, size, (enum sp_message_kind) kind, &head);
        require((status == SP_OK) == (head != NULL));
        require(status == SP_OK || status == SP_ERR_SYNTAX || status == SP_ERR_LIMIT);
        if (head) {
            read_all(sp_head_message(head));
            decide(sp_head_message(head), (struct sp_str){ (const char *) data, size });
            decide_with_site(sp_head_message(head), (struct sp_str){ (const char *) data, size });
        }
        sp_head_free(&head);
    }
    return 0;
}
