/* Any bytes as a head, of a request and of a response: parsed, everything in the view read, and decided by the shipped catalogue.
 * A head that shows SSTP is refused, whatever else is in it. */
#include "config.h"

#include "sallyport/message_parse.h"
#include "sallyport/policy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Loaded once, and kept: only a fuzz target may have such a static. */
static const struct sp_policy *policy(void)
{
    static struct sp_policy *shipped;
    const char *root = getenv("SRCDIR");
    char dir[512];
    if (shipped)
        return shipped;
    snprintf(dir, sizeof(dir), "%s/etc/catalogue", root ? root : ".");
    struct sp_conf conf = { .catalogue = dir };
    struct sp_error err = { 0 };
    if (sp_policy_new(&conf, &err, &shipped) != SP_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return shipped;
}

static unsigned touch(struct sp_str s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s.n; i++)
        sum += (unsigned char) s.p[i];
    return sum;
}

static void require_inside(struct sp_str part, struct sp_str whole)
{
    require(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
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
}

static void decide(const struct sp_message *msg)
{
    bool is_response = msg->kind == SP_MESSAGE_RESPONSE;
    struct sp_policy_input in = { SP_STAGE_REQUEST, is_response ? NULL : msg, is_response ? msg : NULL };
    if (is_response)
        in.stage = SP_STAGE_RESPONSE;
    else if (msg->is_connect)
        in.stage = SP_STAGE_CONNECT;
    struct sp_policy_result result;
    sp_policy_decide(policy(), &in, &result);
    require((result.rule == NULL) == (result.action == SP_ACTION_ALLOW));
    bool shows_sstp = sp_str_equal(msg->method, SP_STR("SSTP_DUPLEX_POST"));
    shows_sstp |= !is_response && msg->is_connect && sp_message_field(msg, SP_STR("SSTPVERSION"));
    shows_sstp |= !is_response && !msg->is_connect && sp_message_field(msg, SP_STR("SSTPCORRELATIONID"));
    require(!shows_sstp || result.action == SP_ACTION_BLOCK);
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
            decide(sp_head_message(head));
        }
        sp_head_free(&head);
    }
    return 0;
}
