/* The words of a page in several languages: a file a language in the folder `texts` beside the template. The template says where a
 * text goes, {{t:name}}; each language gets the template with its texts put in, once, when it is read. So a text may hold variables
 * and markup like the template itself: both are the operator's. */
#include "config.h"

#include "page_priv.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".conf"
#define TEXT_TAG "{{t:"
#define MAX_NAME 64u

bool sp_page_texts_are_used(struct sp_str source)
{
    return source.n > 0 && memmem(source.p, source.n, TEXT_TAG, sizeof(TEXT_TAG) - 1) != NULL;
}

/* --- which languages there are ------------------------------------------------------------------------------------------ */

/* Language tags (RFC 5646) as far as files need them: letters, digits and hyphens. */
static bool is_tag(const char *name, size_t n)
{
    if (n < 2 || n >= SP_PAGE_TAG_SIZE)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9' && i > 0) || (c == '-' && i > 0)))
            return false;
    }
    return true;
}

static bool is_texts_file(const char *name)
{
    const size_t n = strlen(name), n_suffix = sizeof(SUFFIX) - 1;
    return n > n_suffix && strcmp(name + n - n_suffix, SUFFIX) == 0 && is_tag(name, n - n_suffix);
}

static int by_tag(const void *a, const void *b)
{
    return strcmp(((const struct sp_page_language *) a)->tag, ((const struct sp_page_language *) b)->tag);
}

/* Their tags, in order. */
static enum sp_status list_languages(const char *folder, struct sp_page_texts *texts, struct sp_error *err)
{
    errno = ENOMEM;
    DIR *dir = opendir(folder);
    if (!dir)
        return sp_error_set(
            err, errno == ENOMEM ? SP_ERR_NOMEM : SP_ERR_IO, "cannot read the texts of the page in %s: %s", folder, strerror(errno));
    enum sp_status status = SP_OK;
    const struct dirent *entry;
    while (status == SP_OK && (entry = readdir(dir))) {
        if (!is_texts_file(entry->d_name))
            continue;
        if (texts->n == SP_PAGE_LANGUAGES_MAX)
            status = sp_error_set(err, SP_ERR_LIMIT, "%s: more than %u languages", folder, SP_PAGE_LANGUAGES_MAX);
        else
            sp_str_copy((struct sp_str){ entry->d_name, strlen(entry->d_name) - (sizeof(SUFFIX) - 1) }, texts->languages[texts->n++].tag,
                SP_PAGE_TAG_SIZE);
    }
    closedir(dir);
    qsort(texts->languages, texts->n, sizeof(texts->languages[0]), by_tag);
    return status;
}

bool sp_page_texts_folder(const char *template_path, char *out, size_t size)
{
    const char *slash = strrchr(template_path, '/');
    const int folder = slash ? (int) (slash - template_path) + 1 : 0;
    return (size_t) snprintf(out, size, "%.*s" SP_PAGE_TEXTS_FOLDER, folder, template_path) < size;
}

static enum sp_status check_texts(const struct sp_cfgnode *root, struct sp_error *err)
{
    for (size_t i = 0; i < sp_cfgnode_count(root); i++) {
        const struct sp_cfgnode *node = sp_cfgnode_child(root, i);
        if (sp_cfgnode_type(node) != SP_CFG_STRING)
            return sp_error_set(err, SP_ERR_CONF, "%s:%d: %s must be a string, not %s", sp_cfgnode_file(node), sp_cfgnode_line(node),
                sp_cfgnode_name(node), sp_cfgnode_type_name(node));
    }
    return SP_OK;
}

static enum sp_status read_language(struct sp_page_language *language, const char *folder, struct sp_error *err)
{
    char path[PATH_MAX];
    if ((size_t) snprintf(path, sizeof(path), "%s/%s" SUFFIX, folder, language->tag) >= sizeof(path))
        return sp_error_set(err, SP_ERR_LIMIT, "the path %s is too long", folder);
    enum sp_status status = sp_cfgfile_open(path, err, &language->file);
    return status == SP_OK ? check_texts(sp_cfgfile_root(language->file), err) : status;
}

enum sp_status sp_page_texts_open(const char *template_path, struct sp_error *err, struct sp_page_texts *texts)
{
    char folder[PATH_MAX];
    if (!sp_page_texts_folder(template_path, folder, sizeof(folder)))
        return sp_error_set(err, SP_ERR_LIMIT, "the path %s is too long", template_path);
    enum sp_status status = list_languages(folder, texts, err);
    if (status == SP_OK && texts->n == 0)
        return sp_error_set(err, SP_ERR_CONF, "%s has {{t:...}}, but there is no file of texts in %s", template_path, folder);
    for (unsigned i = 0; status == SP_OK && i < texts->n; i++)
        status = read_language(&texts->languages[i], folder, err);
    return status;
}

void sp_page_texts_close(struct sp_page_texts *texts)
{
    while (texts->n > 0)
        sp_cfgfile_close(&texts->languages[--texts->n].file);
}

/* --- putting them in ---------------------------------------------------------------------------------------------------- */

const char *sp_page_text(const struct sp_page_language *language, const char *name)
{
    const struct sp_cfgnode *node = language->file ? sp_cfgnode_get(sp_cfgfile_root(language->file), name) : NULL;
    return node ? sp_cfgnode_string(node) : NULL;
}

/* Lines of the template stay where they are, so that its errors name the right one. */
static enum sp_status add_on_one_line(struct sp_buf *out, const char *text)
{
    enum sp_status status = SP_OK;
    while (status == SP_OK && *text) {
        const size_t n = strcspn(text, "\r\n");
        status = sp_buf_add(out, text, n);
        text += n;
        if (status == SP_OK && *text)
            status = sp_buf_add(out, " ", 1);
        text += *text != '\0';
    }
    return status;
}

static enum sp_status add_text(const struct sp_page_language *language, const char *template_name, unsigned line, struct sp_str tag,
    struct sp_buf *out, struct sp_error *err)
{
    char name[MAX_NAME];
    sp_str_copy(sp_str_trim(tag), name, sizeof(name));
    const char *text = strcmp(name, "lang") == 0 ? language->tag : sp_page_text(language, name);
    if (!text)
        return sp_error_set(err, SP_ERR_CONF, "%s:%u: there is no text \"%s\" in " SP_PAGE_TEXTS_FOLDER "/%s" SUFFIX, template_name, line,
            name, language->tag);
    return add_on_one_line(out, text);
}

enum sp_status sp_page_texts_put_in(
    const struct sp_page_language *language, struct sp_str source, const char *name, struct sp_buf *out, struct sp_error *err)
{
    const struct sp_str mark = SP_STR(TEXT_TAG);
    enum sp_status status = SP_OK;
    unsigned line = 1;
    const char *start;
    while (status == SP_OK && source.n > 0 && (start = memmem(source.p, source.n, mark.p, mark.n)) != NULL) {
        const size_t before = (size_t) (start - source.p);
        for (size_t i = 0; i < before; i++)
            line += source.p[i] == '\n';
        struct sp_str tag = { start + mark.n, source.n - before - mark.n };
        const char *end = memmem(tag.p, tag.n, "}}", 2);
        if (!end)
            return sp_error_set(err, SP_ERR_CONF, "%s:%u: {{ without }}", name, line);
        tag.n = (size_t) (end - tag.p);
        status = sp_buf_add(out, source.p, before);
        if (status == SP_OK)
            status = add_text(language, name, line, tag, out, err);
        source.p = end + 2;
        source.n -= before + mark.n + tag.n + 2;
    }
    if (status == SP_OK)
        status = sp_buf_add_str(out, source);
    return status == SP_OK ? status : sp_error_set(err, status, "%s: %s", name, sp_status_name(status));
}
