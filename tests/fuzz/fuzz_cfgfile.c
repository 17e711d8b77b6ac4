/* Any bytes as a configuration file: the tree is walked, its text compared with its lines, then read as options. */
#include "config.h"

#include "sallyport/assert.h"
#include "sallyport/cfgfile.h"
#include "sallyport/conf.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_BYTES 65536 /* libconfig compares each name with all before it in the group: more only takes longer */

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets a string that it has read when the text ends in a syntax error; its leak, not ours. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig";
}

static int count_lines(const unsigned char *p, size_t n)
{
    int lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void walk(const struct sp_cfgnode *node, int lines, int depth)
{
    SP_ASSERT(depth <= 64);
    SP_ASSERT(sp_cfgnode_line(node) >= 1 && sp_cfgnode_line(node) <= lines);
    SP_ASSERT(sp_cfgnode_type_name(node) && sp_cfgnode_file(node));
    switch (sp_cfgnode_type(node)) {
    case SP_CFG_STRING:
        SP_ASSERT(strlen(sp_cfgnode_string(node)) <= MAX_BYTES);
        break;
    case SP_CFG_INT:
        SP_ASSERT(sp_cfgnode_int(node) > INT64_MIN);
        break;
    case SP_CFG_BOOL:
        sp_cfgnode_bool(node);
        break;
    case SP_CFG_GROUP:
        for (size_t i = 0; i < sp_cfgnode_count(node); i++) /* names are unique, so each finds itself */
            SP_ASSERT(sp_cfgnode_get(node, sp_cfgnode_name(sp_cfgnode_child(node, i))) == sp_cfgnode_child(node, i));
        break;
    case SP_CFG_LIST:
    case SP_CFG_FLOAT:
        break;
    }
    for (size_t i = 0; i < sp_cfgnode_count(node); i++)
        walk(sp_cfgnode_child(node, i), lines, depth + 1);
}

static void load(const char *path)
{
    struct sp_error err = { 0 };
    struct sp_buf report;
    struct sp_conf *conf;
    sp_buf_init(&report, 65536);
    enum sp_status status = sp_conf_load(path, &err, &report, &conf);
    SP_ASSERT((status == SP_OK) == (conf != NULL));
    SP_ASSERT((status == SP_OK) == (err.text[0] == '\0') && (status == SP_OK) == (report.n == 0));
    SP_ASSERT(!strchr(err.text, '\n'));
    sp_conf_free(&conf);
    sp_buf_fini(&report);
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    if (n > MAX_BYTES)
        return 0;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    SP_ASSERT(fd >= 0 && write(fd, p, n) == (ssize_t) n);
    struct sp_error err = { 0 };
    struct sp_cfgfile *file;
    if (sp_cfgfile_open(path, &err, &file) == SP_OK) {
        walk(sp_cfgfile_root(file), count_lines(p, n), 0);
        sp_cfgfile_close(&file);
    } else {
        SP_ASSERT(strncmp(err.text, path, strlen(path)) == 0 && !strchr(err.text, '\n'));
    }
    load(path);
    close(fd);
    return 0;
}
