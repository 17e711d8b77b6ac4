/* libconfig behind the project's own tree. The text is read whole, put into order by cfgtext.c and only then parsed, so there is
 * one file, one path and no recursion deeper than cfgtext.c allows. A node is libconfig's setting under another name.
 * libconfig 1.5 ends the process when memory runs out while it parses: programs load their configuration at start, or
 * where they can afford that. */
#include "config.h"

#include "sallyport/cfgfile.h"

#include "cfgtext_priv.h"
#include "sallyport/assert.h"
#include "sallyport/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (16u * 1024u * 1024u)
#define READ_BYTES (64u * 1024u)
#define QUOTE_BYTES 64 /* of a faulty line, shown in the message */

struct sp_cfgfile {
    config_t config; /* first: settings point here */
    char *path;      /* owned */
};

/* --- reading ------------------------------------------------------------------------------------------------------ */

static enum sp_status read_all(int fd, const char *path, struct sp_error *err, struct sp_buf *out)
{
    char chunk[READ_BYTES];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sp_error_set(err, SP_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (n == 0)
            return SP_OK;
        enum sp_status status = sp_buf_add(out, chunk, (size_t) n);
        if (status == SP_ERR_LIMIT)
            return sp_error_set(err, SP_ERR_IO, "%s: is larger than %u MiB", path, MAX_FILE_BYTES >> 20);
        if (status != SP_OK)
            return sp_error_set(err, status, "%s: out of memory", path);
    }
}

static enum sp_status read_file(const char *path, struct sp_error *err, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not stop the start */
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat st;
    enum sp_status status;
    if (fstat(fd, &st) < 0)
        status = sp_error_set(err, SP_ERR_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        status = sp_error_set(err, SP_ERR_IO, "%s: is %s", path, S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    else
        status = read_all(fd, path, err, out);
    close(fd);
    return status;
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

/* The text of a line, trimmed and escaped: libconfig says only "syntax error". */
static const char *quote_line(struct sp_str text, int line, char out[QUOTE_BYTES])
{
    const char *p = text.p, *end = text.p + text.n;
    for (int i = 1; i < line && p < end; i++) {
        const char *newline = memchr(p, '\n', (size_t) (end - p));
        p = newline ? newline + 1 : end;
    }
    const char *newline = memchr(p, '\n', (size_t) (end - p));
    struct sp_str s = { p, (size_t) ((newline ? newline : end) - p) };
    if (s.n > 0 && s.p[s.n - 1] == '\r')
        s.n--;
    return sp_text_escape(sp_str_trim(s), out, QUOTE_BYTES);
}

static enum sp_status parse_error(const struct sp_cfgfile *file, struct sp_str text, struct sp_error *err)
{
    const char *what = config_error_text(&file->config);
    int line = config_error_line(&file->config);
    char quote[QUOTE_BYTES];
    quote_line(text, line, quote);
    if (quote[0] == '\0')
        return sp_error_set(err, SP_ERR_CONF, "%s:%d: %s, or in the line before", file->path, line, what);
    return sp_error_set(err, SP_ERR_CONF, "%s:%d: %s at or before: %s", file->path, line, what, quote);
}

static enum sp_status parse(struct sp_cfgfile *file, struct sp_str text, struct sp_error *err)
{
    struct sp_buf normal;
    sp_buf_init(&normal, 2 * (size_t) MAX_FILE_BYTES);
    struct sp_error why = { 0 };
    int line = 1;
    enum sp_status status = sp_cfgtext_normalise(text, &normal, &line, &why);
    if (status != SP_OK)
        sp_error_set(err, status, "%s:%d: %s", file->path, line, why.text);
    else if (!config_read_string(&file->config, normal.p ? normal.p : ""))
        status = parse_error(file, text, err);
    sp_buf_fini(&normal);
    return status;
}

enum sp_status sp_cfgfile_open(const char *path, struct sp_error *err, struct sp_cfgfile **file_out)
{
    *file_out = NULL;
    struct sp_buf text;
    sp_buf_init(&text, MAX_FILE_BYTES);
    enum sp_status status = read_file(path, err, &text);
    struct sp_cfgfile *file = NULL;
    if (status != SP_OK)
        goto out;
    file = calloc(1, sizeof(*file));
    if (!file || !(file->path = strdup(path))) {
        status = sp_error_set(err, SP_ERR_NOMEM, "%s: out of memory", path);
        goto out;
    }
    config_init(&file->config);
    status = parse(file, (struct sp_str){ text.p ? text.p : "", text.n }, err);
    if (status == SP_OK)
        *file_out = file;
    else
        sp_cfgfile_close(&file);
out:
    if (!*file_out)
        free(file);
    sp_buf_fini(&text);
    return status;
}

void sp_cfgfile_close(struct sp_cfgfile **file)
{
    if (!*file)
        return;
    config_destroy(&(*file)->config);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

/* --- the tree ----------------------------------------------------------------------------------------------------- */

static const config_setting_t *setting_of(const struct sp_cfgnode *node)
{
    SP_ASSERT(node != NULL);
    return (const config_setting_t *) node;
}

static const struct sp_cfgnode *node_of(const config_setting_t *setting)
{
    return (const struct sp_cfgnode *) setting;
}

const struct sp_cfgnode *sp_cfgfile_root(const struct sp_cfgfile *file)
{
    return node_of(config_root_setting(&file->config));
}

enum sp_cfgtype sp_cfgnode_type(const struct sp_cfgnode *node)
{
    switch (config_setting_type(setting_of(node))) {
    case CONFIG_TYPE_GROUP:
        return SP_CFG_GROUP;
    case CONFIG_TYPE_STRING:
        return SP_CFG_STRING;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return SP_CFG_INT;
    case CONFIG_TYPE_FLOAT:
        return SP_CFG_FLOAT;
    case CONFIG_TYPE_BOOL:
        return SP_CFG_BOOL;
    default:
        return SP_CFG_LIST;
    }
}

const char *sp_cfgnode_type_name(const struct sp_cfgnode *node)
{
    switch (sp_cfgnode_type(node)) {
    case SP_CFG_GROUP:
        return "a group";
    case SP_CFG_LIST:
        return "a list";
    case SP_CFG_STRING:
        return "a string";
    case SP_CFG_INT:
        return "a whole number";
    case SP_CFG_FLOAT:
        return "a number with a fraction";
    case SP_CFG_BOOL:
        break;
    }
    return "true or false";
}

const char *sp_cfgnode_name(const struct sp_cfgnode *node)
{
    return config_setting_name(setting_of(node));
}

const char *sp_cfgnode_file(const struct sp_cfgnode *node)
{
    const void *config = setting_of(node)->config;
    return ((const struct sp_cfgfile *) config)->path;
}

int sp_cfgnode_line(const struct sp_cfgnode *node)
{
    const config_setting_t *setting = setting_of(node);
    return config_setting_is_root(setting) ? 1 : (int) setting->line;
}

static bool has_children(const config_setting_t *setting)
{
    return config_setting_is_aggregate(setting) && setting->value.list;
}

size_t sp_cfgnode_count(const struct sp_cfgnode *node)
{
    const config_setting_t *setting = setting_of(node);
    return has_children(setting) ? setting->value.list->length : 0;
}

const struct sp_cfgnode *sp_cfgnode_child(const struct sp_cfgnode *node, size_t i)
{
    SP_ASSERT(i < sp_cfgnode_count(node));
    return node_of(setting_of(node)->value.list->elements[i]);
}

/* Not libconfig's own search: there a dot ends a name, so "a.b" would find "a". */
const struct sp_cfgnode *sp_cfgnode_get(const struct sp_cfgnode *node, const char *name)
{
    SP_ASSERT(sp_cfgnode_type(node) == SP_CFG_GROUP);
    for (size_t i = 0; i < sp_cfgnode_count(node); i++) {
        const struct sp_cfgnode *child = sp_cfgnode_child(node, i);
        if (strcmp(sp_cfgnode_name(child), name) == 0)
            return child;
    }
    return NULL;
}

const char *sp_cfgnode_string(const struct sp_cfgnode *node)
{
    SP_ASSERT(sp_cfgnode_type(node) == SP_CFG_STRING);
    const char *text = config_setting_get_string(setting_of(node));
    return text ? text : "";
}

int64_t sp_cfgnode_int(const struct sp_cfgnode *node)
{
    SP_ASSERT(sp_cfgnode_type(node) == SP_CFG_INT);
    return config_setting_get_int64(setting_of(node));
}

bool sp_cfgnode_bool(const struct sp_cfgnode *node)
{
    SP_ASSERT(sp_cfgnode_type(node) == SP_CFG_BOOL);
    return config_setting_get_bool(setting_of(node)) != 0;
}
