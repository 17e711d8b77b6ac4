/* A file to struct sp_conf by the table. Every fault is found in one run and told with file and line; a file with one fault
 * gives no configuration at all. */
#include "config.h"

#include "conf_priv.h"

#include "sallyport/cfgfile.h"
#include "sallyport/domains.h"
#include "sallyport/scan_proto.h"
#include "sallyport/text.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_KEY_DIGITS 32
#define CACHE_LEAST_BYTES 65536
#define SHOWN_BYTES 96 /* of a value, in a message */
#define MAX_FAULTS 100

struct loader {
    const char *path; /* borrowed */
    struct sp_error *err;
    struct sp_buf *report; /* or NULL */
    struct sp_conf *conf;
    const struct sp_cfgnode *seen[SP_OPTION_COUNT]; /* where an option was set; NULL: default */
    unsigned faults;
    bool is_out_of_memory;
};

/* Notes one fault; node NULL when it lies in no line. */
static void fault(struct loader *l, const struct sp_cfgnode *node, const char *fmt, ...) SP_PRINTF(3, 4);

static void fault(struct loader *l, const struct sp_cfgnode *node, const char *fmt, ...)
{
    char text[sizeof(l->err->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct sp_error line = { 0 };
    if (node)
        sp_error_set(&line, SP_ERR_CONF, "%s:%d: %s", sp_cfgnode_file(node), sp_cfgnode_line(node), text);
    else
        sp_error_set(&line, SP_ERR_CONF, "%s: %s", l->path, text);
    sp_error_set(l->err, SP_ERR_CONF, "%s", line.text);
    if (l->report && l->faults < MAX_FAULTS && sp_buf_addf(l->report, "%s\n", line.text) == SP_ERR_NOMEM)
        l->is_out_of_memory = true;
    l->faults++;
}

static void stored(struct loader *l, enum sp_status status)
{
    if (status == SP_ERR_NOMEM)
        l->is_out_of_memory = true;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void unknown_key(struct loader *l, const struct sp_cfgnode *node, const char *key)
{
    char guess[SP_CONF_KEY_BYTES];
    if (sp_conf_guess_key(key, guess))
        fault(l, node, "unknown key `%s' (did you mean `%s'?)", key, guess);
    else
        fault(l, node, "unknown key `%s'", key);
}

static const struct sp_option *find_option(const char *key)
{
    for (size_t i = 0; i < SP_OPTION_COUNT; i++)
        if (strcmp(sp_options[i].key, key) == 0)
            return &sp_options[i];
    return NULL;
}

static bool is_group_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < SP_OPTION_COUNT; i++)
        if (strncmp(sp_options[i].key, name, n) == 0 && sp_options[i].key[n] == '.')
            return true;
    return strcmp(name, SP_CONF_OUTCOMES) == 0 || strcmp(name, SP_CONF_CATEGORIES) == 0;
}

static bool is_policy_key(const char *name)
{
    static const char *const keys[] = { SP_CONF_POLICY_KEYS };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i], name) == 0)
            return true;
    return false;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static const char *wanted_of(const struct sp_option *option)
{
    switch (option->type) {
    case SP_OPTION_STRING:
        return "a string";
    case SP_OPTION_LIST:
        return "a list of strings";
    case SP_OPTION_BOOL:
        return "true or false";
    case SP_OPTION_INT:
        return "a whole number";
    case SP_OPTION_SIZE:
        return "a size: a number of bytes, or \"64K\", \"256M\", \"1G\"";
    case SP_OPTION_TIME:
        return "a time with its unit: \"500ms\", \"30s\", \"5m\", \"1h\"";
    case SP_OPTION_ENUM:
        break;
    }
    return "one of its names, as a string";
}

static void wrong_type(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option)
{
    bool lacks_unit = option->type == SP_OPTION_TIME && sp_cfgnode_type(node) == SP_CFG_INT;
    fault(l, node, "`%s' must be %s, not %s", option->key, wanted_of(option), lacks_unit ? "a bare number" : sp_cfgnode_type_name(node));
}

/* A string's text made fit for a message. */
static const char *shown(const struct sp_cfgnode *node, char out[SHOWN_BYTES])
{
    return sp_text_escape(sp_str_from(sp_cfgnode_string(node)), out, SHOWN_BYTES);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char) *text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static bool is_plain_string(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option)
{
    if (sp_cfgnode_type(node) != SP_CFG_STRING)
        wrong_type(l, node, option);
    else if (has_control(sp_cfgnode_string(node)))
        fault(l, node, "`%s' holds a control character", option->key);
    else
        return true;
    return false;
}

static void store_number(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option, int64_t number)
{
    if (number >= option->min && number <= option->max) {
        sp_option_set_number(l->conf, option, number);
        return;
    }
    char is[SP_OPTION_TEXT_SIZE], min[SP_OPTION_TEXT_SIZE], max[SP_OPTION_TEXT_SIZE];
    sp_option_format(option, number, is);
    sp_option_format(option, option->min, min);
    sp_option_format(option, option->max, max);
    fault(l, node, "`%s' is %s, but must be from %s to %s", option->key, is, min, max);
}

static void load_scaled(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option)
{
    enum sp_cfgtype type = sp_cfgnode_type(node);
    int64_t number;
    char text[SHOWN_BYTES];
    if (type == SP_CFG_INT && option->type == SP_OPTION_SIZE)
        store_number(l, node, option, sp_cfgnode_int(node));
    else if (type != SP_CFG_STRING)
        wrong_type(l, node, option);
    else if (sp_option_parse_scaled(option, sp_cfgnode_string(node), &number))
        store_number(l, node, option, number);
    else
        fault(l, node, "`%s' is \"%s\", but must be %s", option->key, shown(node, text), wanted_of(option));
}

static void load_name(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option)
{
    if (sp_cfgnode_type(node) != SP_CFG_STRING) {
        wrong_type(l, node, option);
        return;
    }
    struct sp_str name;
    for (int i = 0; sp_option_name(option, i, &name); i++) {
        if (sp_str_equal(name, sp_str_from(sp_cfgnode_string(node)))) {
            sp_option_set_number(l->conf, option, i);
            return;
        }
    }
    char text[SHOWN_BYTES];
    fault(l, node, "`%s' is \"%s\", but must be one of %s", option->key, shown(node, text), option->text);
}

static void load_list(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option)
{
    sp_option_clear_list(l->conf, option);
    bool is_list = sp_cfgnode_type(node) == SP_CFG_LIST;
    size_t n = is_list ? sp_cfgnode_count(node) : 1; /* one string stands for a list of one */
    for (size_t i = 0; i < n; i++) {
        const struct sp_cfgnode *item = is_list ? sp_cfgnode_child(node, i) : node;
        if (!is_plain_string(l, item, option))
            continue;
        enum sp_status status = sp_option_add_item(l->conf, option, sp_str_from(sp_cfgnode_string(item)));
        stored(l, status);
        if (status == SP_ERR_LIMIT) {
            fault(l, item, "`%s' has too many elements", option->key);
            return;
        }
    }
}

static void load_option(struct loader *l, const struct sp_cfgnode *node, const struct sp_option *option)
{
    l->seen[option - sp_options] = node;
    switch (option->type) {
    case SP_OPTION_STRING:
        if (is_plain_string(l, node, option))
            stored(l, sp_option_set_string(l->conf, option, sp_cfgnode_string(node)));
        break;
    case SP_OPTION_LIST:
        load_list(l, node, option);
        break;
    case SP_OPTION_BOOL:
        if (sp_cfgnode_type(node) == SP_CFG_BOOL)
            sp_option_set_number(l->conf, option, sp_cfgnode_bool(node));
        else
            wrong_type(l, node, option);
        break;
    case SP_OPTION_INT:
        if (sp_cfgnode_type(node) == SP_CFG_INT)
            store_number(l, node, option, sp_cfgnode_int(node));
        else
            wrong_type(l, node, option);
        break;
    case SP_OPTION_SIZE:
    case SP_OPTION_TIME:
        load_scaled(l, node, option);
        break;
    case SP_OPTION_ENUM:
        load_name(l, node, option);
        break;
    }
}

/* --- outcomes and categories -------------------------------------------------------------------------------------- */

static bool load_action(struct loader *l, const struct sp_cfgnode *node, const char *key, const char *names, enum sp_action *action_out)
{
    char text[SHOWN_BYTES];
    if (sp_cfgnode_type(node) != SP_CFG_STRING)
        fault(l, node, "`%s' must be %s, as a string, not %s", key, names, sp_cfgnode_type_name(node));
    else if (!sp_action_parse(sp_str_from(sp_cfgnode_string(node)), action_out))
        fault(l, node, "`%s' is \"%s\", but must be %s", key, shown(node, text), names);
    else
        return true;
    return false;
}

static void load_outcome(struct loader *l, const struct sp_cfgnode *node, const char *key)
{
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++) {
        enum sp_outcome outcome = (enum sp_outcome) i;
        if (strcmp(sp_outcome_name(outcome), sp_cfgnode_name(node)) != 0)
            continue;
        if (sp_outcome_is_configurable(outcome))
            load_action(l, node, key, "allow, report or block", &l->conf->outcomes[i]);
        else
            fault(l, node, "`%s' cannot be set: it means \"%s\"", key, sp_outcome_when(outcome));
        return;
    }
    unknown_key(l, node, key);
}

static void load_category(struct loader *l, const struct sp_cfgnode *node, const char *key)
{
    enum sp_category category;
    if (!sp_category_parse(sp_str_from(sp_cfgnode_name(node)), &category)) {
        unknown_key(l, node, key);
        return;
    }
    if (sp_cfgnode_type(node) == SP_CFG_STRING && strcmp(sp_cfgnode_string(node), "default") == 0)
        return;
    l->conf->has_category_action[category] =
        load_action(l, node, key, "default, allow, report or block", &l->conf->category_action[category]);
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static void load_group(struct loader *l, const struct sp_cfgnode *group)
{
    const char *name = sp_cfgnode_name(group);
    if (sp_cfgnode_type(group) != SP_CFG_GROUP) {
        fault(l, group, "`%s' must be a group, %s: { ... };, not %s", name, name, sp_cfgnode_type_name(group));
        return;
    }
    for (size_t i = 0; i < sp_cfgnode_count(group); i++) {
        const struct sp_cfgnode *node = sp_cfgnode_child(group, i);
        char key[SP_CONF_KEY_BYTES];
        snprintf(key, sizeof(key), "%s.%s", name, sp_cfgnode_name(node));
        const struct sp_option *option = find_option(key);
        if (strcmp(name, SP_CONF_OUTCOMES) == 0)
            load_outcome(l, node, key);
        else if (strcmp(name, SP_CONF_CATEGORIES) == 0)
            load_category(l, node, key);
        else if (option)
            load_option(l, node, option);
        else
            unknown_key(l, node, key);
    }
}

static void load_root(struct loader *l, const struct sp_cfgnode *root)
{
    for (size_t i = 0; i < sp_cfgnode_count(root); i++) {
        const struct sp_cfgnode *node = sp_cfgnode_child(root, i);
        const struct sp_option *option = find_option(sp_cfgnode_name(node));
        if (is_group_name(sp_cfgnode_name(node)))
            load_group(l, node);
        else if (option)
            load_option(l, node, option);
        else if (!is_policy_key(sp_cfgnode_name(node))) {
            char key[SP_CONF_KEY_BYTES];
            snprintf(key, sizeof(key), "%s", sp_cfgnode_name(node));
            unknown_key(l, node, key);
        }
    }
}

/* --- rules across fields ------------------------------------------------------------------------------------------ */

static void check_path(struct loader *l, enum sp_option_index option, const char *path, bool may_be_empty)
{
    const char *key = sp_options[option].key;
    if (path[0] == '\0' && !may_be_empty)
        fault(l, l->seen[option], "`%s' is empty", key);
    else if (path[0] != '\0' && path[0] != '/')
        fault(l, l->seen[option], "`%s' must be an absolute path, beginning with /", key);
    else if (strlen(path) >= PATH_MAX)
        fault(l, l->seen[option], "`%s' is too long for a path", key);
}

/* small may not be larger than large; because says why. The line is that of whichever the file sets. */
static void check_order(
    struct loader *l, enum sp_option_index small, int64_t small_is, enum sp_option_index large, int64_t large_is, const char *because)
{
    if (small_is <= large_is)
        return;
    char small_text[SP_OPTION_TEXT_SIZE], large_text[SP_OPTION_TEXT_SIZE];
    sp_option_format(&sp_options[small], small_is, small_text);
    sp_option_format(&sp_options[large], large_is, large_text);
    fault(l, l->seen[small] ? l->seen[small] : l->seen[large], "`%s' (%s) must not be larger than `%s' (%s): %s", sp_options[small].key,
        small_text, sp_options[large].key, large_text, because);
}

static void check_paths(struct loader *l)
{
    const struct sp_conf *conf = l->conf;
    check_path(l, SP_OPTION_OF_run_dir, conf->run_dir, false);
    check_path(l, SP_OPTION_OF_catalogue, conf->catalogue, false);
    check_path(l, SP_OPTION_OF_page_template, conf->page_template, true);
    check_path(l, SP_OPTION_OF_page_logo, conf->page_logo, true);
    check_path(l, SP_OPTION_OF_log_file, conf->log_file, true);
    check_path(l, SP_OPTION_OF_spool_dir, conf->spool_dir, false);
    if (conf->databases.n == 0)
        fault(l, l->seen[SP_OPTION_OF_databases], "`%s' is empty", sp_options[SP_OPTION_OF_databases].key);
    for (size_t i = 0; i < conf->databases.n; i++)
        check_path(l, SP_OPTION_OF_databases, conf->databases.items[i], false);
    if (conf->log_hash_key[0] && (strlen(conf->log_hash_key) != HASH_KEY_DIGITS ||
            strspn(conf->log_hash_key, "0123456789abcdefABCDEF") != HASH_KEY_DIGITS))
        fault(l, l->seen[SP_OPTION_OF_log_hash_key], "`%s' must be %d hexadecimal digits, as from `openssl rand -hex 16'",
            sp_options[SP_OPTION_OF_log_hash_key].key, HASH_KEY_DIGITS);
    char socket_path[108];
    struct sp_error why = { 0 };
    if (sp_scan_socket_path(conf->run_dir, socket_path, &why) != SP_OK)
        fault(l, l->seen[SP_OPTION_OF_run_dir], "%s", why.text);
}

/* What a browser says it wants something for (Fetch Metadata 2.1; the destinations of the Fetch standard). */
static bool is_fetch_dest(const char *text)
{
    static const char *const known[] = { "audio", "audioworklet", "document", "embed", "empty", "fencedframe", "font", "frame", "iframe",
        "image", "json", "manifest", "object", "paintworklet", "report", "script", "serviceworker", "sharedworker", "style", "text",
        "track", "video", "webidentity", "worker", "xslt" };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i], text) == 0)
            return true;
    return false;
}

/* A word that can never match is a slip: "mp4" for ".mp4". */
static void check_ranges(struct loader *l)
{
    const struct sp_conf *conf = l->conf;
    for (size_t i = 0; i < conf->ranges_keep_hosts.n; i++) {
        struct sp_host host;
        if (!sp_domain_parse(sp_str_from(conf->ranges_keep_hosts.items[i]), true, &host))
            fault(l, l->seen[SP_OPTION_OF_ranges_keep_hosts],
                "`ranges.keep_hosts': \"%s\" is not a host: a name or an address, without port and path", conf->ranges_keep_hosts.items[i]);
    }
    for (size_t i = 0; i < conf->ranges_keep_types.n; i++) {
        const char *type = conf->ranges_keep_types.items[i];
        bool is_ending = type[0] == '.' && type[1] != '\0' && strpbrk(type, "/?# ") == NULL;
        if (!is_ending && !is_fetch_dest(type))
            fault(l, l->seen[SP_OPTION_OF_ranges_keep_types],
                "`ranges.keep_types': \"%s\" is neither a value of Sec-Fetch-Dest (\"video\") nor the end of a path (\".mp4\")", type);
    }
}

/* Zero is no small one. */
static void check_cache(struct loader *l)
{
    const enum sp_option_index size = SP_OPTION_OF_cache_size;
    char text[SP_OPTION_TEXT_SIZE];
    if (l->conf->cache_size == 0 || l->conf->cache_size >= CACHE_LEAST_BYTES)
        return;
    sp_option_format(&sp_options[size], l->conf->cache_size, text);
    fault(l, l->seen[size], "`%s' is %s, but must be 0 (off) or at least 64K", sp_options[size].key, text);
}

/* One object can be there as it came, decoded and in parts, and one process does not get all of the quota. */
static void check_quota(struct loader *l)
{
    const int64_t objects = 4;
    const struct sp_conf *conf = l->conf;
    if (conf->spool_quota / objects >= conf->max_object_size)
        return;
    const enum sp_option_index quota = SP_OPTION_OF_spool_quota, size = SP_OPTION_OF_max_object_size;
    char quota_text[SP_OPTION_TEXT_SIZE], size_text[SP_OPTION_TEXT_SIZE];
    sp_option_format(&sp_options[quota], conf->spool_quota, quota_text);
    sp_option_format(&sp_options[size], conf->max_object_size, size_text);
    fault(l, l->seen[quota] ? l->seen[quota] : l->seen[size],
        "`%s' (%s) must be at least %d times `%s' (%s): one object is kept as it came, decoded, and in parts", sp_options[quota].key,
        quota_text, (int) objects, sp_options[size].key, size_text);
}

static void validate(struct loader *l)
{
    const struct sp_conf *conf = l->conf;
    check_paths(l);
    check_ranges(l);
    if (l->faults > 0)
        return; /* a value that was refused left its default, which says nothing about the others */
    if (conf->stop_wait_ms > 0)
        check_order(l, SP_OPTION_OF_stop_notice_ms, conf->stop_notice_ms, SP_OPTION_OF_stop_wait_ms, conf->stop_wait_ms,
            "the notice is part of the wait");
    check_order(l, SP_OPTION_OF_scan_workers, conf->scan_workers, SP_OPTION_OF_scan_max_workers, conf->scan_max_workers,
        "workers at start are part of the most");
    check_order(l, SP_OPTION_OF_max_object_size, conf->max_object_size, SP_OPTION_OF_scan_max_file_size, conf->scan_max_file_size,
        "objects between the two could not be scanned");
    check_order(l, SP_OPTION_OF_scan_max_file_size, conf->scan_max_file_size, SP_OPTION_OF_scan_max_size, conf->scan_max_size,
        "files between the two could not be scanned");
    check_quota(l);
    check_cache(l);
    if (conf->ranges_keep_from > 0)
        check_order(l, SP_OPTION_OF_max_object_size, conf->max_object_size, SP_OPTION_OF_ranges_keep_from, conf->ranges_keep_from,
            "objects between the two could be fetched in parts");
}

static enum sp_status read_into(struct loader *l)
{
    struct sp_cfgfile *file;
    struct sp_error why = { 0 };
    enum sp_status status = sp_cfgfile_open(l->path, &why, &file);
    if (status != SP_OK) {
        sp_error_set(l->err, status, "%s", why.text);
        if (l->report && sp_buf_addf(l->report, "%s\n", why.text) == SP_ERR_NOMEM)
            return SP_ERR_NOMEM;
        return status;
    }
    load_root(l, sp_cfgfile_root(file));
    validate(l);
    sp_cfgfile_close(&file);
    if (l->is_out_of_memory)
        return sp_error_set(l->err, SP_ERR_NOMEM, "%s: out of memory", l->path);
    return l->faults == 0 ? SP_OK : SP_ERR_CONF;
}

enum sp_status sp_conf_load(const char *path, struct sp_error *err, struct sp_buf *report, struct sp_conf **conf_out)
{
    *conf_out = NULL;
    struct sp_error unused = { 0 };
    struct loader l = { .path = path, .err = err ? err : &unused, .report = report };
    enum sp_status status = sp_conf_defaults(&l.conf);
    char *own_path = strdup(path);
    if (status != SP_OK || !own_path) {
        free(own_path);
        sp_conf_free(&l.conf);
        return sp_error_set(err, SP_ERR_NOMEM, "%s: out of memory", path);
    }
    free(l.conf->path);
    l.conf->path = own_path;
    status = read_into(&l);
    if (status != SP_OK)
        sp_conf_free(&l.conf);
    *conf_out = l.conf;
    return status;
}
