/* The operator's picture as a data: URI, so that a page needs nothing from anywhere. What it is, its first bytes say. */
#include "config.h"

#include "page_priv.h"

#include <string.h>

static const struct {
    struct sp_str start;
    size_t at;
    const char *type;
} kinds[] = {
    { SP_STR("\x89PNG\r\n\x1a\n"), 0, "image/png" },
    { SP_STR("\xff\xd8\xff"), 0, "image/jpeg" },
    { SP_STR("GIF8"), 0, "image/gif" },
    { SP_STR("WEBP"), 8, "image/webp" },
    { SP_STR("<svg"), 0, "image/svg+xml" },
    { SP_STR("<?xml"), 0, "image/svg+xml" },
};

static const char *type_of(const struct sp_buf *file)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (file->n >= kinds[i].at + kinds[i].start.n && memcmp(file->p + kinds[i].at, kinds[i].start.p, kinds[i].start.n) == 0)
            return kinds[i].type;
    return NULL;
}

static enum sp_status add_base64(struct sp_buf *out, const struct sp_buf *file)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum sp_status status = SP_OK;
    for (size_t i = 0; status == SP_OK && i < file->n; i += 3) {
        const size_t n = file->n - i < 3 ? file->n - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (unsigned char) file->p[i + k] : 0u);
        const char quad[] = { digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
            n > 2 ? digits[bits & 63] : '=' };
        status = sp_buf_add(out, quad, sizeof(quad));
    }
    return status;
}

enum sp_status sp_page_logo(const char *path, struct sp_buf *out, struct sp_error *err)
{
    struct sp_buf file;
    sp_buf_init(&file, SP_PAGE_LOGO_MAX_BYTES);
    enum sp_status status = sp_page_read_file(path, "logo", &file, err);
    const char *type = status == SP_OK ? type_of(&file) : NULL;
    if (status == SP_OK && !type)
        status = sp_error_set(err, SP_ERR_CONF, "page_logo %s is no PNG, JPEG, GIF, WebP or SVG picture", path);
    if (status == SP_OK)
        status = sp_buf_addf(out, "data:%s;base64,", type);
    if (status == SP_OK)
        status = add_base64(out, &file);
    sp_buf_fini(&file);
    return status == SP_OK ? status : sp_error_set(err, status, "page_logo %s: %s", path, sp_status_name(status));
}
