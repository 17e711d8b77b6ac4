/* The configuration file as it comes out of the table. Lines of the form "#key = value;" are settings at their default, lines
 * that begin with "# " are prose: a test removes the first kind's # and reads the result. */
#include "config.h"

#include "conf_priv.h"

#include <stdio.h>
#include <string.h>

#define SAMPLE_WIDTH 100

/* The output and its first failure, so that the writers below read like the file. */
struct sample {
    struct sp_buf *out;
    enum sp_status status;
    const char *indent;
};

static void put(struct sample *s, const char *p, size_t n)
{
    if (s->status == SP_OK)
        s->status = sp_buf_add(s->out, p, n);
}

static void puts_to(struct sample *s, const char *text)
{
    put(s, text, strlen(text));
}

/* text as a comment, broken at blanks. */
static void put_comment(struct sample *s, const char *text)
{
    while (*text) {
        size_t n = strlen(text);
        if (n > SAMPLE_WIDTH) {
            for (n = SAMPLE_WIDTH; n > 1 && text[n] != ' '; n--)
                ;
        }
        puts_to(s, s->indent);
        puts_to(s, "# ");
        put(s, text, n);
        puts_to(s, "\n");
        text += n + strspn(text + n, " ");
    }
}

/* Defaults and names hold nothing that would need an escape. */
static void put_string(struct sample *s, struct sp_str text)
{
    puts_to(s, "\"");
    put(s, text.p, text.n);
    puts_to(s, "\"");
}

static void put_list(struct sample *s, const struct sp_option *option)
{
    struct sp_str item;
    puts_to(s, "[");
    for (int i = 0; sp_option_name(option, i, &item); i++) {
        puts_to(s, i > 0 ? ", " : " ");
        put_string(s, item);
    }
    puts_to(s, " ]");
}

static void put_value(struct sample *s, const struct sp_option *option)
{
    char text[SP_OPTION_TEXT_SIZE];
    bool is_quoted = option->type == SP_OPTION_SIZE || option->type == SP_OPTION_TIME || option->type == SP_OPTION_ENUM;
    if (option->type == SP_OPTION_STRING) {
        put_string(s, sp_str_from(option->text));
    } else if (option->type == SP_OPTION_LIST) {
        put_list(s, option);
    } else {
        sp_option_format(option, option->number, text);
        is_quoted ? put_string(s, sp_str_from(text)) : puts_to(s, text);
    }
}

static void put_range(struct sample *s, const struct sp_option *option)
{
    if (option->type != SP_OPTION_INT && option->type != SP_OPTION_SIZE && option->type != SP_OPTION_TIME)
        return;
    char min[SP_OPTION_TEXT_SIZE], max[SP_OPTION_TEXT_SIZE], line[2 * SP_OPTION_TEXT_SIZE + 16];
    sp_option_format(option, option->min, min);
    sp_option_format(option, option->max, max);
    snprintf(line, sizeof(line), "From %s to %s.", min, max);
    put_comment(s, line);
}

static void put_setting(struct sample *s, const char *key)
{
    puts_to(s, s->indent);
    puts_to(s, "#");
    puts_to(s, key);
    puts_to(s, " = ");
}

static void open_group(struct sample *s, const char *name, size_t n)
{
    put(s, name, n);
    puts_to(s, ":\n{\n");
    s->indent = "    ";
}

static void close_group(struct sample *s)
{
    puts_to(s, "};\n\n");
    s->indent = "";
}

static void put_options(struct sample *s)
{
    struct sp_str group = SP_STR("");
    for (size_t i = 0; i < SP_OPTION_COUNT; i++) {
        const struct sp_option *option = &sp_options[i];
        const char *dot = strchr(option->key, '.');
        struct sp_str own = { option->key, dot ? (size_t) (dot - option->key) : 0 };
        if (!sp_str_equal(own, group)) {
            if (group.n > 0)
                close_group(s);
            if (own.n > 0)
                open_group(s, own.p, own.n);
            group = own;
        }
        put_comment(s, option->help);
        put_range(s, option);
        put_setting(s, dot ? dot + 1 : option->key);
        put_value(s, option);
        puts_to(s, ";\n\n");
    }
    if (group.n > 0)
        close_group(s);
}

static void put_outcomes(struct sample *s)
{
    put_comment(s, "What happens to a transaction that ends like this: \"allow\", \"report\" (passes, and is logged) or \"block\".");
    open_group(s, SP_CONF_OUTCOMES, strlen(SP_CONF_OUTCOMES));
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++) {
        enum sp_outcome outcome = (enum sp_outcome) i;
        if (!sp_outcome_is_configurable(outcome))
            continue;
        put_comment(s, sp_outcome_when(outcome));
        put_setting(s, sp_outcome_name(outcome));
        put_string(s, sp_str_from(sp_action_name(sp_outcome_default(outcome))));
        puts_to(s, ";\n");
    }
    close_group(s);
}

static void put_categories(struct sample *s)
{
    put_comment(s,
        "The most that the rules of a category may do: \"block\" or \"default\" (each as it says), \"report\", or \"allow\" (turned off).");
    open_group(s, SP_CONF_CATEGORIES, strlen(SP_CONF_CATEGORIES));
    for (size_t i = 0; i < SP_CATEGORY_COUNT; i++) {
        put_comment(s, sp_category_help((enum sp_category) i));
        put_setting(s, sp_category_name((enum sp_category) i));
        puts_to(s, "\"default\";\n");
    }
    close_group(s);
}

/* What has no default: as comments that the settings' form does not fit. */
static void put_policy(struct sample *s)
{
    put_comment(
        s, "Exceptions, rules of your own, other actions for single rules, and lists of domains; etc/sallyport.conf explains them:");
    put_comment(s, "exceptions = ( { host = \"vpn.partner.example\"; client = \"10.1.0.0/16\"; rules = [ \"sstp-*\" ]; } );");
    put_comment(s, "rules = ( { id = \"no-put\"; stage = \"request\"; method = \"PUT\"; action = \"block\"; } );");
    put_comment(s, "rule_actions = ( { rule = \"doh-*\"; action = \"block\"; } );");
    put_comment(s, "lists = ( { name = \"proxies\"; file = \"/etc/sallyport/lists/proxies.txt\"; action = \"block\"; } );");
}

enum sp_status sp_conf_sample(struct sp_buf *out)
{
    struct sample s = { .out = out, .indent = "" };
    put_comment(&s,
        "Sallyport. Every option stands here at its default; remove the # to change one. `sallyport check` tells whether the file is "
        "right.");
    puts_to(&s, "\n");
    put_options(&s);
    put_outcomes(&s);
    put_categories(&s);
    put_policy(&s);
    return s.status;
}
