/* What a person meant who wrote a key that is not there: a slip of the finger, or the right name in the wrong group. */
#include "config.h"

#include "conf_priv.h"

#include <stdio.h>
#include <string.h>

#define GUESS_BYTES 48 /* longer keys are not compared */
#define TOO_FAR 3      /* edits: more is another word */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b; both shorter than GUESS_BYTES. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][GUESS_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        last[j] = j;
    for (size_t i = 0; a[i]; i++) {
        now[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            now[j + 1] = smaller(smaller(last[j + 1], now[j]) + 1, last[j] + (a[i] != b[j]));
            if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
                now[j + 1] = smaller(now[j + 1], before[j - 1] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[n];
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

struct guess {
    const char *wanted;
    char best[SP_CONF_KEY_BYTES];
    size_t distance;
};

static void consider(struct guess *g, const char *group, const char *name)
{
    char key[SP_CONF_KEY_BYTES];
    if (snprintf(key, sizeof(key), "%s%s", group, name) >= GUESS_BYTES)
        return;
    size_t distance = edit_distance(g->wanted, key);
    if (strcmp(last_part(g->wanted), last_part(key)) == 0)
        distance = smaller(distance, 1); /* right name, wrong group */
    if (distance < g->distance) {
        g->distance = distance;
        snprintf(g->best, sizeof(g->best), "%s", key);
    }
}

bool sp_conf_guess_key(const char *wanted, char out[SP_CONF_KEY_BYTES])
{
    struct guess g = { .wanted = wanted, .distance = TOO_FAR };
    if (strlen(wanted) >= GUESS_BYTES)
        return false;
    for (size_t i = 0; i < SP_OPTION_COUNT; i++)
        consider(&g, "", sp_options[i].key);
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (sp_outcome_is_configurable((enum sp_outcome) i))
            consider(&g, SP_CONF_OUTCOMES ".", sp_outcome_name((enum sp_outcome) i));
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++)
        consider(&g, SP_CONF_CATEGORIES ".", sp_category_name((enum sp_category) i));
    static const char *const lists[] = { SP_CONF_POLICY_KEYS };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        consider(&g, "", lists[i]);
    memcpy(out, g.best, sizeof(g.best));
    return g.best[0] != '\0';
}
