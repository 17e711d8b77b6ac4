/* Which rule decides: random rules and heads against a model that tests every rule in turn, so that the index can only
 * make the same decisions sooner. */
#include "config.h"

#include "policy_kit.h"

#include <stdarg.h>
#include <strings.h>

/* --- order, against a model ------------------------------------------------------------------------------------------ */

#define MODEL_RULES 150
#define MODEL_HEADS 3000
#define MODEL_NAMES 24

static unsigned next_random(unsigned *state, unsigned below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* What a rule of the model asks; patterns are plain letters, so that strstr can be the judge. */
struct model_rule {
    int method; /* -1: any */
    int path;   /* the letter that must be in the path, or -1 */
    int names[2];
    int kinds[2]; /* 0 unused, 1 present, 2 absent, 3 value holds letter, 4 a name starts with */
    int letters[2];
    enum sp_action action;
};

struct model_head {
    int method;
    char path[8];
    int n_fields;
    int names[12];
    char values[12][4];
};

static const char *const model_methods[] = { "GET", "POST", "PUT" };

/* Names that share beginnings, lengths and end letters. */
static void model_name(int i, char out[16])
{
    static const char *const stems[] = { "X-Alpha", "X-Alphb", "Accept", "Aczept", "H", "Host-A", "host-B", "X-Alpha-Long" };
    snprintf(out, 16, "%s%d", stems[i % 8], i / 8);
}

static bool starts_with_name(const char *name, const char *prefix)
{
    return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

static bool model_field(const struct model_rule *rule, int c, const struct model_head *head)
{
    bool is_present = false, has_value = false, has_prefix = false;
    char wanted[16], name[16];
    model_name(rule->names[c], wanted);
    for (int i = 0; i < head->n_fields; i++) {
        model_name(head->names[i], name);
        has_prefix |= starts_with_name(name, wanted);
        if (head->names[i] != rule->names[c])
            continue;
        is_present = true;
        has_value |= strchr(head->values[i], 'a' + rule->letters[c]) != NULL;
    }
    bool truth[] = { true, is_present, !is_present, has_value, has_prefix };
    return truth[rule->kinds[c]];
}

static bool model_matches(const struct model_rule *rule, const struct model_head *head)
{
    if (rule->method >= 0 && rule->method != head->method)
        return false;
    if (rule->path >= 0 && !strchr(head->path, 'a' + rule->path))
        return false;
    return model_field(rule, 0, head) && model_field(rule, 1, head);
}

/* First rule that blocks, else first that reports: -1 for none. */
static int model_decide(const struct model_rule *rules, const struct model_head *head)
{
    int found = -1;
    for (int i = 0; i < MODEL_RULES; i++) {
        if (rules[i].action == SP_ACTION_ALLOW || !model_matches(&rules[i], head))
            continue;
        if (rules[i].action == SP_ACTION_BLOCK)
            return i;
        if (found < 0)
            found = i;
    }
    return found;
}

static void append(char *text, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text + used, size - used, fmt, args);
    va_end(args);
    ck_assert(n >= 0 && (size_t) n < size - used);
}

static void model_rule_new(struct model_rule *rule, unsigned *seed)
{
    rule->method = next_random(seed, 3) == 0 ? (int) next_random(seed, 3) : -1;
    rule->path = next_random(seed, 2) == 0 ? (int) next_random(seed, 6) : -1;
    rule->action = (enum sp_action) next_random(seed, 16) / 6;
    for (int c = 0; c < 2; c++) {
        rule->names[c] = (int) next_random(seed, MODEL_NAMES);
        rule->kinds[c] = (int) next_random(seed, 5);
        rule->letters[c] = (int) next_random(seed, 6);
    }
    if (rule->method < 0 && rule->path < 0 && rule->kinds[0] == 0 && rule->kinds[1] == 0)
        rule->kinds[0] = 1;
}

static void model_rule_text(const struct model_rule *rule, int i, char *text, size_t size)
{
    static const char *const actions[] = { "allow", "report", "block" };
    append(text, size,
        "%s{ id = \"r%d\"; name = \"n\"; stage = \"request\"; action = \"%s\"; evidence = \"seen\"; false_positives = \"f\"; reference = "
        "\"r\";",
        i > 0 ? "," : "", i, actions[rule->action]);
    if (rule->method >= 0)
        append(text, size, " method = \"%s\";", model_methods[rule->method]);
    if (rule->path >= 0)
        append(text, size, " path = \"%c\";", 'a' + rule->path);
    append(text, size, " when = (");
    const char *comma = "";
    for (int c = 0; c < 2; c++) {
        char name[16];
        model_name(rule->names[c], name);
        if (rule->kinds[c] == 0)
            continue;
        append(text, size, "%s { %s = \"%s\"; ", comma, rule->kinds[c] == 4 ? "field_prefix" : "field", name);
        if (rule->kinds[c] == 3)
            append(text, size, "value = \"%c\"; }", 'a' + rule->letters[c]);
        else
            append(text, size, "present = %s; }", rule->kinds[c] == 2 ? "false" : "true");
        comma = ",";
    }
    append(text, size, " ); }\n");
}

static void model_head_new(struct model_head *head, unsigned *seed, char *bytes, size_t size)
{
    head->method = (int) next_random(seed, 3);
    head->n_fields = (int) next_random(seed, 12);
    snprintf(head->path, sizeof(head->path), "/%c%c", 'a' + (int) next_random(seed, 12), 'a' + (int) next_random(seed, 12));
    bytes[0] = '\0';
    append(bytes, size, "%s %s HTTP/1.1\r\n", model_methods[head->method], head->path);
    for (int i = 0; i < head->n_fields; i++) {
        char name[16];
        head->names[i] = (int) next_random(seed, MODEL_NAMES);
        model_name(head->names[i], name);
        snprintf(head->values[i], 4, "%c%c", 'a' + (int) next_random(seed, 12), 'a' + (int) next_random(seed, 12));
        for (char *p = name; *p; p++)
            if (next_random(seed, 4) == 0)
                *p = (char) (*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        append(bytes, size, "%s: %s\r\n", name, head->values[i]);
    }
    append(bytes, size, "\r\n");
}

START_TEST(test_model)
{
    unsigned seed = 7u + (unsigned) _i;
    struct model_rule rules[MODEL_RULES];
    size_t size = MODEL_RULES * 400;
    char *text = calloc(1, size);
    append(text, size, "category = \"vpn\"; rules = (");
    for (int i = 0; i < MODEL_RULES; i++) {
        model_rule_new(&rules[i], &seed);
        /* few rules in some rounds, so that "none" and "only reported" happen as well */
        if (_i % 2 == 1 && next_random(&seed, 4) != 0)
            rules[i].action = next_random(&seed, 3) == 0 ? SP_ACTION_REPORT : SP_ACTION_ALLOW;
        model_rule_text(&rules[i], i, text, size);
    }
    append(text, size, ");");
    struct sp_policy *policy = policy_of(text, NULL);
    for (int i = 0; i < MODEL_HEADS; i++) {
        struct model_head head;
        char bytes[1000];
        model_head_new(&head, &seed, bytes, sizeof(bytes));
        int want = model_decide(rules, &head);
        struct sp_policy_result result = decide_bytes(policy, bytes);
        int got = result.rule ? atoi(result.rule->id + 1) : -1;
        ck_assert_msg(got == want, "round %d: rule %d, not %d, on\n%s", _i, want, got, bytes);
        ck_assert_int_eq(result.action, want < 0 ? SP_ACTION_ALLOW : rules[want].action);
    }
    sp_policy_free(&policy);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("policy_order");
    tcase_add_loop_test(tc, test_model, 0, 6);
    return unit_run("policy_order", tc);
}
