/* What an engine must prove before it serves. */
#include "config.h"

#include "selftest.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char sp_eicar_hex[2 * SP_EICAR_BYTES + 1] = "58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d"
                                                  "5354414e444152442d414e544956495255532d544553542d46494c452124482b482a";

static const char harmless[] = "<!DOCTYPE html><html><head><title>A page</title></head><body><p>Nothing to see here.</p></body></html>\n";

static unsigned char nibble(char c)
{
    return (unsigned char) (c <= '9' ? c - '0' : c - 'a' + 10);
}

static void make_eicar(unsigned char out[SP_EICAR_BYTES])
{
    for (size_t i = 0; i < SP_EICAR_BYTES; i++)
        out[i] = (unsigned char) (nibble(sp_eicar_hex[2 * i]) << 4 | nibble(sp_eicar_hex[2 * i + 1]));
}

static enum sp_status expect(const struct sp_engine_result *got, enum sp_verdict want, const char *what, struct sp_error *err)
{
    if (got->verdict == want)
        return SP_OK;
    const char *why = got->verdict == SP_VERDICT_INFECTED ? got->signature : got->detail;
    return sp_error_set(err, SP_ERR_CONF, "self-test: %s is %s%s%s, not %s", what, sp_verdict_name(got->verdict), why[0] ? ": " : "", why,
        sp_verdict_name(want));
}

static enum sp_status test_descriptor(const struct sp_engine *engine, const unsigned char *p, size_t n, struct sp_error *err)
{
    struct sp_engine_result result;
    enum sp_status status = SP_OK;
    int fd = memfd_create("sallyport-selftest", MFD_CLOEXEC);
    if (fd < 0 || write(fd, p, n) != (ssize_t) n) {
        status = sp_error_set(err, SP_ERR_IO, "self-test: cannot make a file in memory: %s", strerror(errno));
    } else {
        sp_engine_scan_fd(engine, fd, n, &result);
        status = expect(&result, SP_VERDICT_INFECTED, "the EICAR test file by descriptor", err);
    }
    if (fd >= 0)
        close(fd);
    return status;
}

enum sp_status sp_selftest(const struct sp_engine *engine, struct sp_error *err)
{
    unsigned char eicar[SP_EICAR_BYTES];
    struct sp_engine_result result;
    make_eicar(eicar);
    sp_engine_scan_memory(engine, eicar, sizeof(eicar), &result);
    enum sp_status status = expect(&result, SP_VERDICT_INFECTED, "the EICAR test file", err);
    if (status == SP_OK)
        status = test_descriptor(engine, eicar, sizeof(eicar), err);
    memset(eicar, 0, sizeof(eicar));
    if (status != SP_OK)
        return status;
    sp_engine_scan_memory(engine, harmless, sizeof(harmless) - 1, &result);
    return expect(&result, SP_VERDICT_CLEAN, "a harmless page", err);
}
