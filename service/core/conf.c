/* The options as one table, made from conf_options.def: defaults, fields, the forms of numbers. Reading a file is conf_load.c,
 * writing one conf_sample.c. */
#include "config.h"

#include "conf_priv.h"

#include "sallyport/assert.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LIST_ITEMS 64

const struct sp_option sp_options[SP_OPTION_COUNT] = {
#define FIELD(field) offsetof(struct sp_conf, field)
#define SP_CONF_STRING(field, key, def, help) { key, SP_OPTION_STRING, FIELD(field), def, 0, 0, 0, help },
#define SP_CONF_LIST(field, key, def, help) { key, SP_OPTION_LIST, FIELD(field), def, 0, 0, 0, help },
#define SP_CONF_BOOL(field, key, def, help) { key, SP_OPTION_BOOL, FIELD(field), NULL, def, false, true, help },
#define SP_CONF_INT(field, key, def, min, max, help) { key, SP_OPTION_INT, FIELD(field), NULL, def, min, max, help },
#define SP_CONF_SIZE(field, key, def, min, max, help) { key, SP_OPTION_SIZE, FIELD(field), NULL, def, min, max, help },
#define SP_CONF_TIME(field, key, def, min, max, help) { key, SP_OPTION_TIME, FIELD(field), NULL, def, min, max, help },
#define SP_CONF_ENUM(field, key, def, names, help) { key, SP_OPTION_ENUM, FIELD(field), names, def, 0, 0, help },
#include "sallyport/conf_options.def"
#undef SP_CONF_STRING
#undef SP_CONF_LIST
#undef SP_CONF_BOOL
#undef SP_CONF_INT
#undef SP_CONF_SIZE
#undef SP_CONF_TIME
#undef SP_CONF_ENUM
#undef FIELD
};

struct category_row {
    const char *name;
    const char *help;
};

static const struct category_row categories[SP_CATEGORY_COUNT] = {
#define SP_CATEGORY_ROW(id, name, help) [SP_CATEGORY_##id] = { name, help },
#include "sallyport/category.def"
#undef SP_CATEGORY_ROW
};

const char *sp_category_name(enum sp_category category)
{
    SP_ASSERT((unsigned) category < SP_CATEGORY_COUNT);
    return categories[category].name;
}

const char *sp_category_help(enum sp_category category)
{
    SP_ASSERT((unsigned) category < SP_CATEGORY_COUNT);
    return categories[category].help;
}

bool sp_category_parse(struct sp_str name, enum sp_category *category_out)
{
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++) {
        if (sp_str_equal(name, sp_str_from(categories[i].name))) {
            *category_out = (enum sp_category) i;
            return true;
        }
    }
    return false;
}

const char *sp_conf_default_path(void)
{
    return SP_SYSCONF_DIR "/sallyport.conf";
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static void *field_of(struct sp_conf *conf, const struct sp_option *option)
{
    return (char *) conf + option->offset;
}

char **sp_option_string(struct sp_conf *conf, const struct sp_option *option)
{
    SP_ASSERT(option->type == SP_OPTION_STRING);
    return field_of(conf, option);
}

struct sp_conf_list *sp_option_list(struct sp_conf *conf, const struct sp_option *option)
{
    SP_ASSERT(option->type == SP_OPTION_LIST);
    return field_of(conf, option);
}

void sp_option_set_number(struct sp_conf *conf, const struct sp_option *option, int64_t number)
{
    void *field = field_of(conf, option);
    SP_ASSERT(option->type != SP_OPTION_STRING && option->type != SP_OPTION_LIST);
    if (option->type == SP_OPTION_BOOL)
        *(bool *) field = number != 0;
    else if (option->type == SP_OPTION_ENUM)
        *(int *) field = (int) number;
    else
        *(int64_t *) field = number;
}

enum sp_status sp_option_set_string(struct sp_conf *conf, const struct sp_option *option, const char *text)
{
    char **field = sp_option_string(conf, option);
    char *copy = strdup(text);
    if (!copy)
        return SP_ERR_NOMEM;
    free(*field);
    *field = copy;
    return SP_OK;
}

enum sp_status sp_option_add_item(struct sp_conf *conf, const struct sp_option *option, struct sp_str text)
{
    struct sp_conf_list *list = sp_option_list(conf, option);
    if (list->n >= MAX_LIST_ITEMS)
        return SP_ERR_LIMIT;
    char **items = realloc(list->items, (list->n + 1) * sizeof(*items));
    if (!items)
        return SP_ERR_NOMEM;
    list->items = items;
    char *item = malloc(text.n + 1);
    if (!item)
        return SP_ERR_NOMEM;
    items[list->n++] = sp_str_copy(text, item, text.n + 1);
    return SP_OK;
}

void sp_option_clear_list(struct sp_conf *conf, const struct sp_option *option)
{
    struct sp_conf_list *list = sp_option_list(conf, option);
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct sp_conf_list){ 0 };
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Largest first, so that formatting finds the shortest form. */
static const struct unit size_units[] = { { "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 }, { NULL, 0 } };
static const struct unit time_units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 } };

static const struct unit *units_of(const struct sp_option *option)
{
    SP_ASSERT(option->type == SP_OPTION_SIZE || option->type == SP_OPTION_TIME);
    return option->type == SP_OPTION_SIZE ? size_units : time_units;
}

bool sp_option_parse_scaled(const struct sp_option *option, const char *text, int64_t *number_out)
{
    int64_t number = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *p - '0', &number))
            return false;
    if (p == text)
        return false;
    for (const struct unit *unit = units_of(option); unit->suffix; unit++)
        if (sp_str_equal_nocase(sp_str_from(p), sp_str_from(unit->suffix)))
            return !__builtin_mul_overflow(number, unit->factor, number_out);
    return false;
}

bool sp_option_name(const struct sp_option *option, int i, struct sp_str *name_out)
{
    const char *p = option->text[0] ? option->text : NULL;
    for (; i > 0 && p; i--) {
        p = strchr(p, '|');
        p = p ? p + 1 : NULL;
    }
    if (!p)
        return false;
    *name_out = (struct sp_str){ p, strcspn(p, "|") };
    return true;
}

static void format_scaled(const struct sp_option *option, int64_t number, char out[SP_OPTION_TEXT_SIZE])
{
    const struct unit *unit = units_of(option);
    while (unit[1].suffix && (number == 0 || number % unit->factor != 0))
        unit++;
    snprintf(out, SP_OPTION_TEXT_SIZE, "%" PRId64 "%s", number / unit->factor, unit->suffix);
}

void sp_option_format(const struct sp_option *option, int64_t number, char out[SP_OPTION_TEXT_SIZE])
{
    struct sp_str name = SP_STR("?");
    switch (option->type) {
    case SP_OPTION_BOOL:
        snprintf(out, SP_OPTION_TEXT_SIZE, "%s", number ? "true" : "false");
        return;
    case SP_OPTION_ENUM:
        sp_option_name(option, (int) number, &name);
        sp_str_copy(name, out, SP_OPTION_TEXT_SIZE);
        return;
    case SP_OPTION_SIZE:
    case SP_OPTION_TIME:
        format_scaled(option, number, out);
        return;
    case SP_OPTION_INT:
    case SP_OPTION_STRING:
    case SP_OPTION_LIST:
        break;
    }
    snprintf(out, SP_OPTION_TEXT_SIZE, "%" PRId64, number);
}

/* --- defaults ----------------------------------------------------------------------------------------------------- */

static enum sp_status set_default_list(struct sp_conf *conf, const struct sp_option *option)
{
    enum sp_status status = SP_OK;
    struct sp_str item;
    for (int i = 0; status == SP_OK && sp_option_name(option, i, &item); i++)
        status = sp_option_add_item(conf, option, item);
    return status;
}

static enum sp_status set_default(struct sp_conf *conf, const struct sp_option *option)
{
    if (option->type == SP_OPTION_STRING)
        return sp_option_set_string(conf, option, option->text);
    if (option->type == SP_OPTION_LIST)
        return set_default_list(conf, option);
    sp_option_set_number(conf, option, option->number);
    return SP_OK;
}

enum sp_status sp_conf_defaults(struct sp_conf **conf_out)
{
    *conf_out = NULL;
    struct sp_conf *conf = calloc(1, sizeof(*conf));
    enum sp_status status = conf && (conf->path = strdup("")) ? SP_OK : SP_ERR_NOMEM;
    for (size_t i = 0; status == SP_OK && i < SP_OPTION_COUNT; i++)
        status = set_default(conf, &sp_options[i]);
    if (status != SP_OK) {
        sp_conf_free(&conf);
        return status;
    }
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        conf->outcomes[i] = sp_outcome_default((enum sp_outcome) i);
    *conf_out = conf;
    return SP_OK;
}

void sp_conf_free(struct sp_conf **conf)
{
    if (!*conf)
        return;
    for (size_t i = 0; i < SP_OPTION_COUNT; i++) {
        if (sp_options[i].type == SP_OPTION_STRING)
            free(*sp_option_string(*conf, &sp_options[i]));
        else if (sp_options[i].type == SP_OPTION_LIST)
            sp_option_clear_list(*conf, &sp_options[i]);
    }
    free((*conf)->path);
    free(*conf);
    *conf = NULL;
}
