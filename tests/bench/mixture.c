/* Which body comes when: one class of bodies or a mixture, new ones or a few again and again. The order is a function of the number of
 * the transaction, so that every contestant meets the same. */
#include "config.h"

#include "bodies.h"

#include <string.h>

/* What people's traffic is like in number; the sizes are those of the single rows. */
static const struct {
    enum bench_form form;
    size_t bytes;
    unsigned weight;
} trace[] = { { BENCH_TEXT, 1024, 45 }, { BENCH_TEXT, 35 * 1024, 40 }, { BENCH_SCRIPT, 300 * 1024, 13 }, { BENCH_PDF, 2 << 20, 2 } };

static int form_parse(const char *word, enum bench_form *out)
{
    static const char *const names[] = { "text", "html", "script", "pdf", "package" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(word, names[i]) == 0) {
            *out = (enum bench_form) i;
            return 1;
        }
    }
    return 0;
}

static void add_class(struct bench_mixture *mixture, enum bench_form form, size_t bytes, unsigned weight)
{
    struct bench_class *class = &mixture->classes[mixture->n_classes++];
    class->form = form;
    class->bytes = bytes;
    class->weight = weight;
    if (mixture->kind == BENCH_EICAR)
        bench_body_init_eicar(&class->base, bytes, 0);
    else
        bench_body_init(&class->base, form, bytes, 0);
    class->n_seen = bytes < BENCH_LARGE_BYTES ? BENCH_SEEN_BODIES : BENCH_SEEN_LARGE;
    for (unsigned i = 0; i < class->n_seen && (mixture->kind == BENCH_SEEN || mixture->kind == BENCH_HALF); i++) {
        bench_body_copy(&class->seen[i], &class->base);
        bench_body_stamp(&class->seen[i], i);
    }
}

int bench_mixture_init(struct bench_mixture *mixture, const char *form, size_t bytes, enum bench_kind kind)
{
    enum bench_form only;
    memset(mixture, 0, sizeof *mixture);
    mixture->kind = kind;
    if (form_parse(form, &only)) {
        add_class(mixture, only, bytes, 100);
        return 1;
    }
    if (strcmp(form, "mixed") != 0)
        return 0;
    for (size_t i = 0; i < sizeof trace / sizeof trace[0]; i++)
        add_class(mixture, trace[i].form, trace[i].bytes, trace[i].weight);
    return 1;
}

void bench_mixture_fini(struct bench_mixture *mixture)
{
    for (size_t c = 0; c < mixture->n_classes; c++) {
        bench_body_fini(&mixture->classes[c].base);
        for (unsigned i = 0; i < mixture->classes[c].n_seen; i++)
            bench_body_fini(&mixture->classes[c].seen[i]);
    }
    mixture->n_classes = 0;
}

void bench_own_fini(struct bench_body *own)
{
    for (size_t c = 0; c < BENCH_MAX_CLASSES; c++)
        bench_body_fini(&own[c]);
}

static size_t choose_class(const struct bench_mixture *mixture, uint64_t random)
{
    unsigned left = (unsigned) (random % 100);
    for (size_t c = 0; c + 1 < mixture->n_classes; c++) {
        if (left < mixture->classes[c].weight)
            return c;
        left -= mixture->classes[c].weight;
    }
    return mixture->n_classes - 1;
}

const struct bench_body *bench_pick(const struct bench_mixture *mixture, struct bench_body *own, uint64_t serial, size_t *class_out)
{
    uint64_t random = bench_mix(serial ^ UINT64_C(0x5eed));
    size_t c = choose_class(mixture, random);
    const struct bench_class *class = &mixture->classes[c];
    *class_out = c;
    if (mixture->kind == BENCH_EICAR)
        return &class->base;
    if (mixture->kind == BENCH_SEEN)
        return &class->seen[serial % class->n_seen];
    if (mixture->kind == BENCH_HALF && (random >> 32 & 1))
        return &class->seen[(random >> 40) % class->n_seen];
    if (!own[c].p)
        bench_body_copy(&own[c], &class->base);
    bench_body_stamp(&own[c], serial);
    return &own[c];
}
