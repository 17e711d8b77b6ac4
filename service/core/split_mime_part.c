/* One part of a multipart body: reads its head, undoes Content-Transfer-Encoding (RFC 2045 6) and then Content-Encoding, hands out
 * what was sent and what it means. The rule that types cannot say: browsers and servers mostly look at neither field, mail software
 * does, so with either of them set both readings are objects. */
#include "config.h"

#include "sallyport/message_parse.h"
#include "split_multipart_priv.h"

#define PLAIN_BYTES 2048

static enum sp_status decoded(void *arg, const void *p, size_t n);

static void note(struct sp_mime_part *part, const char *text)
{
    sp_error_set(&part->ctx->bad, SP_ERR_SYNTAX, "a part of the body: %s", text);
}

/* --- head ----------------------------------------------------------------------------------------------------------- */

static enum sp_transfer_kind find_transfer(struct sp_mime_part *part, const struct sp_message *msg)
{
    enum sp_transfer_kind first = SP_TRANSFER_IDENTITY, kind;
    const struct sp_field *field;
    size_t pos = 0;
    for (size_t i = 0; (field = sp_message_next(msg, SP_STR("Content-Transfer-Encoding"), &pos)) != NULL; i++) {
        sp_transfer_parse(field->value, &kind);
        if (i == 0)
            first = kind;
        else if (kind != first)
            note(part, "two transfer encodings");
    }
    return first;
}

static enum sp_split_result open_decode(struct sp_mime_part *part, const struct sp_message *msg, struct sp_error *detail)
{
    struct sp_error why = { 0 };
    switch (sp_decode_new(msg, &part->ctx->limits.decode, decoded, part, &why, &part->decode)) {
    case SP_DECODE_OK:
        return SP_SPLIT_OK;
    case SP_DECODE_BAD:
        note(part, why.text);
        return SP_SPLIT_OK;
    case SP_DECODE_LIMIT:
        sp_error_set(detail, SP_ERR_LIMIT, "a part of the body: %s", why.text);
        return SP_SPLIT_LIMIT;
    case SP_DECODE_ERROR:
        break;
    }
    sp_error_set(detail, SP_ERR_NOMEM, "a part of the body: %s", why.text);
    return SP_SPLIT_ERROR;
}

static enum sp_split_result open_objects(struct sp_mime_part *part, const struct sp_message *msg, unsigned depth, struct sp_error *detail)
{
    bool is_ambiguous;
    struct sp_str content_type = sp_split_content_type(msg, &is_ambiguous);
    if (is_ambiguous)
        note(part, "several Content-Type fields that differ, one of them multipart");

    enum sp_transfer_kind transfer = find_transfer(part, msg);
    if (transfer != SP_TRANSFER_IDENTITY && sp_str_starts_nocase(sp_split_media_type(content_type), SP_STR("multipart/"))) {
        note(part, "a multipart with a transfer encoding"); /* RFC 2045 6.4 forbids it; some undo it, some do not */
        transfer = SP_TRANSFER_IDENTITY;
    }
    sp_transfer_init(&part->transfer, transfer);
    bool is_coded = sp_decode_is_needed(msg);
    if (transfer == SP_TRANSFER_IDENTITY && !is_coded)
        return sp_split_part_new(part->ctx, content_type, depth, detail, &part->raw);

    enum sp_split_result result = sp_split_part_new(part->ctx, SP_STR(""), depth, detail, &part->raw);
    if (result == SP_SPLIT_OK)
        result = sp_split_part_new(part->ctx, content_type, depth + 1, detail, &part->plain);
    if (result == SP_SPLIT_OK && is_coded)
        result = open_decode(part, msg, detail);
    return result;
}

enum sp_split_result sp_mime_part_open(
    struct sp_mime_part *part, struct sp_split_ctx *ctx, struct sp_str head, unsigned depth, struct sp_error *detail)
{
    struct sp_message nothing = { 0 };
    struct sp_head *parsed = NULL;
    *part = (struct sp_mime_part){ .ctx = ctx };
    enum sp_status status = sp_head_parse(head.p, head.n, SP_MESSAGE_RESPONSE, &parsed);
    if (status == SP_ERR_NOMEM) {
        sp_error_set(detail, status, "no memory for the head of a part");
        return SP_SPLIT_ERROR;
    }
    if (status != SP_OK)
        note(part, "its head cannot be read");
    enum sp_split_result result = open_objects(part, parsed != NULL ? sp_head_message(parsed) : &nothing, depth, detail);
    sp_head_free(&parsed);
    return result;
}

/* --- content -------------------------------------------------------------------------------------------------------- */

static enum sp_status decoded(void *arg, const void *p, size_t n)
{
    struct sp_mime_part *part = arg;
    struct sp_split_ctx *ctx = part->ctx;
    if (n > ctx->limits.decode.max_output_bytes - ctx->n_decoded_bytes) {
        sp_error_set(part->detail, SP_ERR_LIMIT, "the parts of the body: more than %llu decoded bytes",
            (unsigned long long) ctx->limits.decode.max_output_bytes);
        part->result = SP_SPLIT_LIMIT;
    } else {
        ctx->n_decoded_bytes += n;
        part->result = sp_split_part_feed(part->plain, p, n, part->detail);
    }
    return part->result == SP_SPLIT_OK ? SP_OK : SP_ERR_IO;
}

static enum sp_split_result from_decode(
    struct sp_mime_part *part, enum sp_decode_result result, const struct sp_error *why, struct sp_error *detail)
{
    if (part->result != SP_SPLIT_OK || result == SP_DECODE_OK)
        return part->result;
    if (result == SP_DECODE_BAD) {
        note(part, why->text); /* it stays in that; the rest is dropped */
        return SP_SPLIT_OK;
    }
    sp_error_set(detail, SP_ERR_LIMIT, "a part of the body: %s", why->text);
    return result == SP_DECODE_LIMIT ? SP_SPLIT_LIMIT : SP_SPLIT_ERROR;
}

static enum sp_split_result feed_plain(struct sp_mime_part *part, const char *p, size_t n, struct sp_error *detail)
{
    struct sp_error why;
    if (n == 0)
        return SP_SPLIT_OK;
    if (part->decode == NULL)
        return sp_split_part_feed(part->plain, p, n, detail);
    why.text[0] = '\0';
    part->detail = detail;
    return from_decode(part, sp_decode_feed(part->decode, p, n, &why), &why, detail);
}

enum sp_split_result sp_mime_part_feed(struct sp_mime_part *part, const char *p, size_t n, struct sp_error *detail)
{
    char plain[PLAIN_BYTES];
    enum sp_split_result result = sp_split_part_feed(part->raw, p, n, detail);
    if (part->plain == NULL)
        return result;
    if (part->transfer.kind == SP_TRANSFER_IDENTITY)
        return result == SP_SPLIT_OK ? feed_plain(part, p, n, detail) : result;
    while (result == SP_SPLIT_OK && n > 0) {
        size_t used, made;
        sp_transfer_step(&part->transfer, p, n, &used, plain, sizeof(plain), &made);
        p += used;
        n -= used;
        result = feed_plain(part, plain, made, detail);
    }
    return result;
}

static enum sp_split_result finish_plain(struct sp_mime_part *part, struct sp_error *detail)
{
    char rest[8];
    struct sp_error why = { 0 };
    size_t n = sp_transfer_finish(&part->transfer, rest);
    enum sp_split_result result = feed_plain(part, rest, n, detail);
    if (result == SP_SPLIT_OK && part->decode != NULL) {
        part->detail = detail;
        result = from_decode(part, sp_decode_finish(part->decode, &why), &why, detail);
    }
    return result == SP_SPLIT_OK ? sp_split_part_finish(part->plain, detail) : result;
}

enum sp_split_result sp_mime_part_finish(struct sp_mime_part *part, struct sp_error *detail)
{
    enum sp_split_result result = part->plain != NULL ? finish_plain(part, detail) : SP_SPLIT_OK;
    return result == SP_SPLIT_OK ? sp_split_part_finish(part->raw, detail) : result;
}

void sp_mime_part_fini(struct sp_mime_part *part)
{
    sp_decode_free(&part->decode);
    sp_split_part_free(&part->plain);
    sp_split_part_free(&part->raw);
}
