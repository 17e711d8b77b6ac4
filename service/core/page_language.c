/* The language that a person reads, by Accept-Language (RFC 9110 12.5.4): the ranges that it names, best first, each as it stands and
 * then its first subtag (RFC 4647 3.4, one step). The field comes from outside: only so many ranges are looked at. */
#include "config.h"

#include "page_priv.h"

#include <string.h>

#define MAX_RANGES 32u
#define QUALITY_ONE 1000u

/* "0.8" is 800; what is no quality value counts as not wanted. */
static unsigned quality_of(struct sp_str text)
{
    static const unsigned weights[] = { QUALITY_ONE, 0, 100, 10, 1 }; /* of the characters of "d.ddd" */
    unsigned q = 0;
    if (text.n == 0 || text.n > sizeof(weights) / sizeof(weights[0]))
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        if (i == 1 ? text.p[i] != '.' : text.p[i] < '0' || text.p[i] > '9')
            return 0;
        q += i == 1 ? 0 : (unsigned) (text.p[i] - '0') * weights[i];
    }
    return q <= QUALITY_ONE ? q : 0;
}

/* Takes "de-AT;q=0.8" apart. */
static unsigned range_quality(struct sp_str item, struct sp_str *range_out)
{
    *range_out = sp_page_cut(&item, ';');
    struct sp_str parameter = sp_page_cut(&item, ';');
    if (parameter.n == 0)
        return QUALITY_ONE;
    if (!sp_str_starts_nocase(parameter, SP_STR("q=")))
        return 0;
    return quality_of((struct sp_str){ parameter.p + 2, parameter.n - 2 });
}

static bool find(const struct sp_page_texts *texts, struct sp_str tag, unsigned *index_out)
{
    for (unsigned i = 0; i < texts->n; i++)
        if (sp_str_equal_nocase(tag, sp_str_from(texts->languages[i].tag))) {
            *index_out = i;
            return true;
        }
    return false;
}

bool sp_page_language_find(const struct sp_page_texts *texts, struct sp_str range, unsigned *index_out)
{
    const char *hyphen = range.n > 0 ? memchr(range.p, '-', range.n) : NULL;
    return find(texts, range, index_out) || (hyphen && find(texts, (struct sp_str){ range.p, (size_t) (hyphen - range.p) }, index_out));
}

unsigned sp_page_language_choose(const struct sp_page_texts *texts, const struct sp_message *request)
{
    const struct sp_field *field;
    unsigned best = 0, best_quality = 0, index, n = 0;
    size_t pos = 0;
    while ((field = sp_message_next(request, SP_STR("Accept-Language"), &pos)) != NULL) {
        for (struct sp_str rest = field->value, range; rest.n > 0 && n < MAX_RANGES; n++) {
            const unsigned quality = range_quality(sp_page_cut(&rest, ','), &range);
            if (quality > best_quality && sp_page_language_find(texts, range, &index)) {
                best = index;
                best_quality = quality;
            }
        }
    }
    return best;
}
