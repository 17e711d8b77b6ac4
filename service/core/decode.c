/* The chain of content codings: reads the field, builds the layers, drives them and holds the caps.
 *
 * Layers are kept in the order the field names them. The last one was applied last, so bytes enter there and walk down to
 * layer 0, whose output goes to the sink. What a cap allows is delivered before LIMIT is said: how the body was cut into
 * chunks then makes no difference to what the sink saw. Work is bounded by output, because no codec can spend more than a constant
 * time on a byte of input without making output. */
#include "config.h"

#include "decode_priv.h"
#include "sallyport/assert.h"

#include <stdlib.h>
#include <string.h>

#define OUT_BYTES (32u * 1024u)
#define RATIO_FREE_BYTES (1024u * 1024u) /* small bodies may be as dense as they like */
#define MAX_NAME_SHOWN 40

struct layer {
    const struct sp_codec *codec;
    uint64_t in_bytes;
    uint64_t out_bytes;
    unsigned char out[OUT_BYTES];
    max_align_t state[]; /* codec->state_bytes of it */
};

struct sp_decode {
    struct sp_decode_limits limits;
    sp_decode_sink_fn sink;
    void *sink_arg;
    uint64_t in_bytes; /* that the outermost layer has used */
    enum sp_decode_result result;
    bool is_finished;
    size_t n_layers;
    struct layer *layers[]; /* limits.max_layers of them */
};

/* --- the field ------------------------------------------------------------------------------------------------------ */

struct coding_iter {
    const struct sp_message *msg;
    size_t pos;
    struct sp_str rest;
};

static bool next_element(struct coding_iter *it, struct sp_str *out)
{
    while (it->rest.n == 0) {
        const struct sp_field *field = sp_message_next(it->msg, SP_STR("Content-Encoding"), &it->pos);
        if (field == NULL)
            return false;
        it->rest = field->value;
    }
    const char *comma = memchr(it->rest.p, ',', it->rest.n);
    size_t n = comma != NULL ? (size_t) (comma - it->rest.p) : it->rest.n;
    size_t skip = comma != NULL ? n + 1 : n;
    *out = (struct sp_str){ it->rest.p, n };
    it->rest.p += skip;
    it->rest.n -= skip;
    return true;
}

/* Names that stand for no coding. All but the first are mistakes that servers make: a character set or a transfer encoding in the
 * wrong field. No client knows a coding of such a name, so it takes the body as it is, and so do we. */
static bool is_no_coding(struct sp_str name)
{
    static const char *const names[] = { "identity", "none", "binary", "7bit", "8bit", "utf-8", "utf8", "us-ascii", "iso-8859-1" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (sp_str_equal_nocase(name, sp_str_from(names[i])))
            return true;
    return false;
}

/* The next coding that does something: empty elements (RFC 9110 5.6.1.2) are passed over. */
static bool next_coding(struct coding_iter *it, struct sp_str *name_out)
{
    while (next_element(it, name_out)) {
        *name_out = sp_str_trim_folded(*name_out);
        if (name_out->n > 0 && !is_no_coding(*name_out))
            return true;
    }
    return false;
}

bool sp_decode_is_needed(const struct sp_message *msg)
{
    struct coding_iter it = { .msg = msg };
    struct sp_str name;
    return next_coding(&it, &name);
}

static const struct sp_codec *find_codec(struct sp_str name)
{
    static const struct sp_codec *const codecs[] = { &sp_codec_gzip, &sp_codec_brotli, &sp_codec_zstd, &sp_codec_deflate };
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (sp_str_equal_nocase(name, sp_str_from(codecs[i]->name)) ||
            (codecs[i]->alias != NULL && sp_str_equal_nocase(name, sp_str_from(codecs[i]->alias))))
            return codecs[i];
    return NULL;
}

bool sp_decode_is_known(struct sp_str name)
{
    return find_codec(name) != NULL || sp_str_equal_nocase(name, SP_STR("identity"));
}

/* The name comes from outside and goes into a log line. */
static void explain_unknown(struct sp_str name, struct sp_error *detail)
{
    char shown[MAX_NAME_SHOWN + 1];
    size_t n = name.n < MAX_NAME_SHOWN ? name.n : MAX_NAME_SHOWN;
    for (size_t i = 0; i < n; i++)
        shown[i] = name.p[i] > ' ' && name.p[i] < 0x7f ? name.p[i] : '?';
    shown[n] = '\0';
    sp_error_set(detail, SP_ERR_SYNTAX, "unknown content coding \"%s\"%s", shown, n < name.n ? " (cut)" : "");
}

/* --- building and freeing ------------------------------------------------------------------------------------------- */

static enum sp_decode_result layer_new(const struct sp_codec *codec, struct sp_error *detail, struct layer **layer_out)
{
    struct layer *layer = malloc(sizeof(*layer) + codec->state_bytes);
    enum sp_decode_result result = SP_DECODE_ERROR;
    if (layer == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode %s", codec->name);
        return result;
    }
    layer->codec = codec;
    layer->in_bytes = 0;
    layer->out_bytes = 0;
    result = codec->init(layer->state, detail);
    if (result == SP_DECODE_OK)
        *layer_out = layer;
    else
        free(layer);
    return result;
}

static void layer_free(struct layer *layer)
{
    layer->codec->fini(layer->state);
    free(layer);
}

static enum sp_decode_result add_layer(struct sp_decode *decode, struct sp_str name, struct sp_error *detail)
{
    const struct sp_codec *codec = find_codec(name);
    if (codec == NULL) {
        explain_unknown(name, detail);
        return SP_DECODE_BAD;
    }
    if (decode->n_layers >= decode->limits.max_layers) {
        sp_error_set(detail, SP_ERR_LIMIT, "more than %u content codings", decode->limits.max_layers);
        return SP_DECODE_LIMIT;
    }
    enum sp_decode_result result = layer_new(codec, detail, &decode->layers[decode->n_layers]);
    if (result == SP_DECODE_OK)
        decode->n_layers++;
    return result;
}

enum sp_decode_result sp_decode_new(const struct sp_message *msg, const struct sp_decode_limits *limits, sp_decode_sink_fn sink, void *arg,
    struct sp_error *detail, struct sp_decode **decode_out)
{
    struct coding_iter it = { .msg = msg };
    struct sp_str name;
    enum sp_decode_result result = SP_DECODE_OK;

    SP_ASSERT(limits->max_ratio > 0);
    *decode_out = NULL;
    struct sp_decode *decode = calloc(1, sizeof(*decode) + limits->max_layers * sizeof(struct layer *));
    if (decode == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode the body");
        return SP_DECODE_ERROR;
    }
    decode->limits = *limits;
    decode->sink = sink;
    decode->sink_arg = arg;
    while (result == SP_DECODE_OK && next_coding(&it, &name))
        result = add_layer(decode, name, detail);
    if (result == SP_DECODE_OK)
        *decode_out = decode;
    else
        sp_decode_free(&decode);
    return result;
}

void sp_decode_free(struct sp_decode **decode)
{
    struct sp_decode *d = *decode;
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->n_layers; i++)
        layer_free(d->layers[i]);
    free(d);
    *decode = NULL;
}

/* --- running -------------------------------------------------------------------------------------------------------- */

static enum sp_decode_result feed_layers(
    struct sp_decode *decode, size_t n_layers, const unsigned char *p, size_t n, struct sp_error *detail);

static enum sp_decode_result to_sink(struct sp_decode *decode, const unsigned char *p, size_t n, struct sp_error *detail)
{
    enum sp_status status = decode->sink(decode->sink_arg, p, n);
    if (status == SP_OK)
        return SP_DECODE_OK;
    sp_error_set(detail, status, "the decoded body was not taken: %s", sp_status_name(status));
    return status == SP_ERR_LIMIT ? SP_DECODE_LIMIT : SP_DECODE_ERROR;
}

/* Every layer is held against what came from the network, not against the layer before it: ratios of stacked bombs multiply. */
static bool is_ratio_reached(const struct sp_decode *decode, const struct layer *layer)
{
    return layer->out_bytes > RATIO_FREE_BYTES && layer->out_bytes / decode->limits.max_ratio > decode->in_bytes;
}

/* Passes n bytes of the layer's output on, as far as the caps allow. */
static enum sp_decode_result emit(struct sp_decode *decode, size_t index, size_t n, struct sp_error *detail)
{
    struct layer *layer = decode->layers[index];
    uint64_t room = decode->limits.max_output_bytes - layer->out_bytes;
    size_t allowed = n <= room ? n : (size_t) room;

    layer->out_bytes += allowed;
    if (is_ratio_reached(decode, layer)) {
        sp_error_set(
            detail, SP_ERR_LIMIT, "%s: more than %u decoded bytes for one encoded byte", layer->codec->name, decode->limits.max_ratio);
        return SP_DECODE_LIMIT;
    }
    enum sp_decode_result result = allowed > 0 ? feed_layers(decode, index, layer->out, allowed, detail) : SP_DECODE_OK;
    if (result == SP_DECODE_OK && allowed < n) {
        sp_error_set(detail, SP_ERR_LIMIT, "%s: more than %llu decoded bytes", layer->codec->name,
            (unsigned long long) decode->limits.max_output_bytes);
        return SP_DECODE_LIMIT;
    }
    return result;
}

/* One step of the layer. *more_out: there may be more to fetch even without input. */
static enum sp_decode_result run_step(
    struct sp_decode *decode, size_t index, struct sp_codec_io *io, bool *more_out, struct sp_error *detail)
{
    struct layer *layer = decode->layers[index];
    size_t in_before = io->in_n;

    io->out = layer->out;
    io->out_n = sizeof(layer->out);
    enum sp_decode_result result = layer->codec->step(layer->state, io, detail);

    size_t used = in_before - io->in_n;
    size_t made = sizeof(layer->out) - io->out_n;
    if (index + 1 == decode->n_layers)
        decode->in_bytes += used;
    *more_out = io->out_n == 0;
    /* What was made before a failure is still passed on; a cap reached by it wins. */
    enum sp_decode_result emitted = made > 0 ? emit(decode, index, made, detail) : SP_DECODE_OK;
    if (emitted != SP_DECODE_OK)
        return emitted;
    if (result == SP_DECODE_OK && used == 0 && made == 0 && io->in_n > 0) {
        sp_error_set(detail, SP_ERR_SYNTAX, "%s: bytes behind the end", layer->codec->name);
        return SP_DECODE_BAD;
    }
    return result;
}

/* Feeds the outermost of the first n_layers; with none left the sink. Recursion goes as deep as there are layers. */
static enum sp_decode_result feed_layers(
    struct sp_decode *decode, size_t n_layers, const unsigned char *p, size_t n, struct sp_error *detail)
{
    if (n_layers == 0)
        return to_sink(decode, p, n, detail);

    size_t index = n_layers - 1;
    struct sp_codec_io io = { .in = p, .in_n = n };
    enum sp_decode_result result = SP_DECODE_OK;
    bool has_more = false;

    decode->layers[index]->in_bytes += n;
    while (result == SP_DECODE_OK && (io.in_n > 0 || has_more))
        result = run_step(decode, index, &io, &has_more, detail);
    return result;
}

enum sp_decode_result sp_decode_feed(struct sp_decode *decode, const void *p, size_t n, struct sp_error *detail)
{
    SP_ASSERT(!decode->is_finished || n == 0);
    if (decode->result != SP_DECODE_OK) {
        sp_error_set(detail, SP_ERR_SYNTAX, "decoding has failed before");
        return decode->result;
    }
    if (n > 0)
        decode->result = feed_layers(decode, decode->n_layers, p, n, detail);
    return decode->result;
}

enum sp_decode_result sp_decode_finish(struct sp_decode *decode, struct sp_error *detail)
{
    decode->is_finished = true;
    if (decode->result != SP_DECODE_OK) {
        sp_error_set(detail, SP_ERR_SYNTAX, "decoding has failed before");
        return decode->result;
    }
    for (size_t i = decode->n_layers; i-- > 0;) {
        const struct layer *layer = decode->layers[i];
        if (layer->in_bytes > 0 && !layer->codec->is_complete(layer->state)) {
            sp_error_set(detail, SP_ERR_SYNTAX, "%s: the body ends too early", layer->codec->name);
            decode->result = SP_DECODE_BAD;
            break;
        }
    }
    return decode->result;
}
