/* Any bytes as a head: what the edits leave needs no further edit, and the line that is added is one line. Byte 0 picks the kind
 * and the configuration, the rest is the head. */
#include "config.h"

#include "fuzz_kit.h"

#include "sallyport/message_parse.h"
#include "sallyport/rewrite.h"

#include <stdlib.h>
#include <string.h>

static bool is_removed(const struct sp_rewrite *rewrite, struct sp_str name)
{
    for (size_t i = 0; i < rewrite->n_remove; i++)
        if (sp_str_equal_nocase(name, sp_str_from(rewrite->remove[i])))
            return true;
    return false;
}

/* The head as it is after the edits; its fields are the caller's to free. */
static struct sp_message edited(const struct sp_message *msg, const struct sp_rewrite *rewrite)
{
    static const char name[] = "Accept-Encoding: ";
    struct sp_message after = *msg;
    after.fields = calloc(msg->n_fields + 1, sizeof(*after.fields));
    after.n_fields = 0;
    require(after.fields != NULL);
    for (size_t i = 0; i < msg->n_fields; i++)
        if (!is_removed(rewrite, msg->fields[i].name))
            after.fields[after.n_fields++] = msg->fields[i];
    if (!rewrite->has_add)
        return after;
    require(memchr(rewrite->add, '\0', sizeof(rewrite->add)) != NULL && strpbrk(rewrite->add, "\r\n") == NULL);
    require(strncmp(rewrite->add, name, sizeof(name) - 1) == 0 && is_removed(rewrite, SP_STR("Accept-Encoding")));
    after.fields[after.n_fields++] =
        (struct sp_field){ SP_STR("Accept-Encoding"), sp_str_trim(sp_str_from(rewrite->add + sizeof(name) - 1)) };
    return after;
}

static void check(const struct sp_conf *conf, const struct sp_message *msg)
{
    struct sp_rewrite rewrite, again;
    struct sp_str sni = msg->n_fields > 0 ? msg->fields[0].value : SP_STR("");
    bool is_request = msg->kind == SP_MESSAGE_REQUEST;
    is_request ? sp_rewrite_request(conf, msg, sni, &rewrite) : sp_rewrite_response(conf, msg, &rewrite);
    require(rewrite.n_remove <= SP_REWRITE_REMOVE_MAX);
    struct sp_message after = edited(msg, &rewrite);
    is_request ? sp_rewrite_request(conf, &after, sni, &again) : sp_rewrite_response(conf, &after, &again);
    require(again.n_remove == 0 && !again.has_add);
    free(after.fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char host[] = "update.example", address[] = "192.0.2.7";
    char *hosts[] = { host, address };
    struct sp_conf *conf = NULL;
    struct sp_head *head = NULL;
    if (size == 0)
        return 0;
    require(sp_conf_defaults(&conf) == SP_OK);
    enum sp_message_kind kind = data[0] & 1 ? SP_MESSAGE_RESPONSE : SP_MESSAGE_REQUEST;
    struct sp_conf_list none = conf->ranges_keep_hosts;
    if (data[0] & 2)
        conf->ranges_keep_hosts = (struct sp_conf_list){ hosts, 2 };
    conf->remove_alt_svc = !(data[0] & 4);
    conf->max_object_size = data[0] & 8 ? 1024 : conf->max_object_size;
    if (sp_head_parse(data + 1, size - 1, kind, &head) == SP_OK)
        check(conf, sp_head_message(head));
    sp_head_free(&head);
    conf->ranges_keep_hosts = none;
    sp_conf_free(&conf);
    return 0;
}
