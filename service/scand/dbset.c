/* The files behind an engine. Contents are hashed rather than sizes and times: 250 MB take SHA-256 a fraction of a second,
 * loading them takes libclamav many, and only contents make the same engine have the same id after a restore, a touch or on
 * another host. */
#include "config.h"

#include "dbset.h"

#include "sallyport/fnv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 100000
#define CHUNK_BYTES (256 * 1024)
#define CVD_HEADER_BYTES 512
#define CVD_MAGIC "ClamAV-VDB:"
#define CVD_TIME_FIELD 8 /* "ClamAV-VDB" is field 0; the last one is seconds since 1970 */
#define NS_PER_S 1000000000

struct dbfile {
    char *path; /* owned */
    uint64_t device, inode, size;
    int64_t mtime_ns;
    bool is_readable;
    int64_t made; /* seconds; of the header or the mtime. Set by the digest */
};

struct sp_dbset {
    struct dbfile *files;
    size_t n, room;
    char **sources; /* owned */
    size_t n_sources;
};

static enum sp_status fail_nomem(struct sp_error *err)
{
    return sp_error_set(err, SP_ERR_NOMEM, "no memory for the list of databases");
}

static enum sp_status fail_read(struct sp_error *err, const char *path)
{
    return sp_error_set(err, SP_ERR_IO, "cannot read %s: %s", path, strerror(errno));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool sp_dbset_is_database(const char *name)
{
    static const char *const endings[] = { ".db", ".hdb", ".hdu", ".fp", ".mdb", ".mdu", ".hsb", ".hsu", ".sfp", ".msb", ".msu", ".ndb",
        ".ndu", ".ldb", ".ldu", ".sdb", ".zmd", ".rmd", ".pdb", ".gdb", ".wdb", ".cbc", ".ftm", ".cfg", ".cvd", ".cld", ".cud", ".cdb",
        ".cat", ".crb", ".idb", ".ioc", ".yar", ".yara", ".pwdb", ".ign", ".ign2", ".imp" };
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t m = strlen(endings[i]);
        if (n >= m && strcasecmp(name + n - m, endings[i]) == 0)
            return true;
    }
    return false;
}

/* Takes path. */
static enum sp_status add_file(struct sp_dbset *set, char *path, const struct stat *st, struct sp_error *err)
{
    if (set->n == set->room) {
        size_t room = set->room == 0 ? 64 : set->room * 2;
        struct dbfile *files = room > FILES_MAX ? NULL : realloc(set->files, room * sizeof(files[0]));
        if (!files) {
            free(path);
            return fail_nomem(err);
        }
        set->files = files;
        set->room = room;
    }
    int64_t mtime_ns = (int64_t) st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
    const bool is_readable = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
    set->files[set->n++] =
        (struct dbfile){ path, st->st_dev, st->st_ino, (uint64_t) st->st_size, mtime_ns, is_readable, st->st_mtim.tv_sec };
    return SP_OK;
}

static int compare_paths(const void *a, const void *b)
{
    const struct dbfile *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static enum sp_status add_entry(struct sp_dbset *set, const char *folder, const char *name, struct sp_error *err)
{
    struct stat st;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return fail_nomem(err);
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return add_file(set, path, &st, err);
    /* Gone since readdir saw it, or nothing that libclamav would take: the load decides. */
    free(path);
    return SP_OK;
}

static enum sp_status add_folder(struct sp_dbset *set, const char *path, struct sp_error *err)
{
    DIR *folder = opendir(path);
    if (!folder)
        return fail_read(err, path);
    const size_t first = set->n;
    enum sp_status status = SP_OK;
    const struct dirent *entry;
    while (status == SP_OK && (entry = readdir(folder)))
        if (sp_dbset_is_database(entry->d_name))
            status = add_entry(set, path, entry->d_name, err);
    closedir(folder);
    if (set->n > first)
        qsort(set->files + first, set->n - first, sizeof(set->files[0]), compare_paths);
    return status;
}

static enum sp_status add_source(struct sp_dbset *set, const char *path, struct sp_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? SP_OK : fail_read(err, path);
    const size_t first = set->n;
    enum sp_status status = SP_OK;
    if (S_ISDIR(st.st_mode)) {
        status = add_folder(set, path, err);
    } else if (!sp_dbset_is_database(path)) {
        status = sp_error_set(err, SP_ERR_CONF, "%s has no name of a ClamAV database", path);
    } else {
        char *copy = strdup(path);
        status = copy ? add_file(set, copy, &st, err) : fail_nomem(err);
    }
    if (status != SP_OK || set->n == first)
        return status;
    set->sources[set->n_sources] = strdup(path);
    return set->sources[set->n_sources++] ? SP_OK : fail_nomem(err);
}

static enum sp_status list_files(const struct sp_conf_list *databases, struct sp_error *err, struct sp_dbset **set_out)
{
    enum sp_status status = SP_OK;
    struct sp_dbset *set = calloc(1, sizeof(*set));
    if (set)
        set->sources = calloc(databases->n + 1, sizeof(set->sources[0]));
    if (!set || !set->sources)
        status = fail_nomem(err);
    for (size_t i = 0; status == SP_OK && i < databases->n; i++)
        status = add_source(set, databases->items[i], err);
    if (status != SP_OK)
        sp_dbset_close(&set);
    *set_out = set;
    return status;
}

/* Says what is missing, in one line when all is. */
static void warn_missing(const struct sp_dbset *set, const struct sp_conf_list *databases, const struct sp_log *log)
{
    struct sp_buf missing;
    sp_buf_init(&missing, 2048);
    for (size_t i = 0, s = 0; i < databases->n; i++) {
        if (s < set->n_sources && strcmp(set->sources[s], databases->items[i]) == 0)
            s++;
        else if (sp_buf_addf(&missing, "%s%s", missing.n > 0 ? ", " : "", databases->items[i]) != SP_OK)
            break; /* the rest of a long list is not worth a failure */
    }
    const char *where = missing.n > 0 ? missing.p : "the configuration";
    if (set->n == 0)
        sp_log(log, SP_LOG_WARN,
            "no ClamAV database in %s: only the built-in EICAR test signature is there; to get signatures run: freshclam "
            "(Debian: apt-get install clamav-freshclam)",
            where);
    else if (missing.n > 0)
        sp_log(log, SP_LOG_WARN, "no ClamAV database in %s", where);
    sp_buf_fini(&missing);
}

enum sp_status sp_dbset_open(
    const struct sp_conf_list *databases, const struct sp_log *log, struct sp_error *err, struct sp_dbset **set_out)
{
    enum sp_status status = list_files(databases, err, set_out);
    if (status == SP_OK)
        warn_missing(*set_out, databases, log);
    return status;
}

void sp_dbset_close(struct sp_dbset **set)
{
    if (*set) {
        for (size_t i = 0; i < (*set)->n; i++)
            free((*set)->files[i].path);
        for (size_t i = 0; i < (*set)->n_sources; i++)
            free((*set)->sources[i]);
        free((*set)->files);
        free((*set)->sources);
        free(*set);
    }
    *set = NULL;
}

/* The time in a .cvd header: colon-separated fields, padded with blanks. */
static void read_header_time(struct dbfile *file, const unsigned char *start, size_t n)
{
    char header[CVD_HEADER_BYTES + 1];
    if (n < CVD_HEADER_BYTES || memcmp(start, CVD_MAGIC, sizeof(CVD_MAGIC) - 1) != 0)
        return;
    memcpy(header, start, CVD_HEADER_BYTES);
    header[CVD_HEADER_BYTES] = '\0';
    const char *field = header;
    for (int i = 0; field && i < CVD_TIME_FIELD; i++) {
        field = strchr(field, ':');
        field = field ? field + 1 : NULL;
    }
    long long seconds = field ? strtoll(field, NULL, 10) : 0;
    if (seconds > 0)
        file->made = seconds;
}

/* Feeds name, size and contents; size keeps two files from passing for one. */
static enum sp_status digest_file(EVP_MD_CTX *ctx, struct dbfile *file, unsigned char *chunk, struct sp_error *err)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_read(err, file->path);
    const char *name = base_name(file->path);
    uint64_t total = 0;
    ssize_t got;
    int ok = EVP_DigestUpdate(ctx, name, strlen(name) + 1);
    while ((got = read(fd, chunk, CHUNK_BYTES)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        if (total == 0)
            read_header_time(file, chunk, (size_t) got);
        total += (uint64_t) got;
        ok &= EVP_DigestUpdate(ctx, chunk, (size_t) got);
    }
    enum sp_status status = got < 0 ? fail_read(err, file->path) : SP_OK;
    ok &= EVP_DigestUpdate(ctx, &total, sizeof(total));
    close(fd);
    return status == SP_OK && !ok ? sp_error_set(err, SP_ERR_IO, "libcrypto cannot digest %s", file->path) : status;
}

enum sp_status sp_dbset_digest(struct sp_dbset *set, const char *settings, struct sp_error *err, uint64_t *id_out)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    enum sp_status status = SP_OK;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *chunk = malloc(CHUNK_BYTES);
    if (!ctx || !chunk)
        status = fail_nomem(err);
    else if (!EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) || !EVP_DigestUpdate(ctx, settings, strlen(settings) + 1))
        status = sp_error_set(err, SP_ERR_IO, "libcrypto has no SHA-256");
    for (size_t i = 0; status == SP_OK && i < set->n; i++)
        status = digest_file(ctx, &set->files[i], chunk, err);
    if (status == SP_OK && !EVP_DigestFinal_ex(ctx, digest, NULL))
        status = sp_error_set(err, SP_ERR_IO, "libcrypto cannot finish SHA-256");
    memcpy(id_out, digest, sizeof(*id_out));
    EVP_MD_CTX_free(ctx);
    free(chunk);
    return status;
}

uint64_t sp_dbset_print(const struct sp_dbset *set)
{
    uint64_t h = SP_FNV_START;
    for (size_t i = 0; i < set->n; i++) {
        const struct dbfile *file = &set->files[i];
        const uint64_t numbers[] = { file->device, file->inode, file->size, (uint64_t) file->mtime_ns, file->is_readable };
        h = sp_fnv(h, file->path, strlen(file->path) + 1);
        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
            h = sp_fnv_number(h, numbers[k]);
    }
    return h;
}

uint64_t sp_dbset_look(const struct sp_conf_list *databases, uint64_t *bytes_out)
{
    struct sp_dbset *set = NULL;
    struct sp_error err = { 0 };
    uint64_t bytes = 0;
    const bool is_listed = list_files(databases, &err, &set) == SP_OK;
    const uint64_t h = is_listed ? sp_dbset_print(set) : sp_fnv(SP_FNV_START, err.text, strlen(err.text) + 1);
    for (size_t i = 0; is_listed && i < set->n; i++)
        bytes += set->files[i].size;
    sp_dbset_close(&set);
    if (bytes_out)
        *bytes_out = bytes;
    return h;
}

bool sp_dbset_is_current(const struct sp_dbset *set, const struct sp_conf_list *databases)
{
    return sp_dbset_look(databases, NULL) == sp_dbset_print(set);
}

const char *sp_dbset_source(const struct sp_dbset *set, size_t i)
{
    return i < set->n_sources ? set->sources[i] : NULL;
}

int64_t sp_dbset_newest(const struct sp_dbset *set)
{
    int64_t newest = 0;
    for (size_t i = 0; i < set->n; i++)
        if (set->files[i].made > newest)
            newest = set->files[i].made;
    return newest;
}
