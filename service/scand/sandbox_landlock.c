/* Landlock: which files a worker can open. Every right that this kernel knows is handled, and granted for the scratch folder
 * alone, so a newer kernel can only take away more. Headers of older systems lack the newer rights: the numbers are here. What
 * Landlock does not govern (stat, chmod, chown, extended attributes) is left to seccomp. */
#include "config.h"

#include "sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RIGHTS_ABI_1 0x1fffull /* EXECUTE to MAKE_SYM */
#define RIGHT_REFER (1ull << 13)
#define RIGHT_TRUNCATE (1ull << 14)
#define RIGHT_IOCTL_DEV (1ull << 15)
#define NET_BIND_TCP 1ull
#define NET_CONNECT_TCP 2ull
#define SCOPE_ABSTRACT_UNIX_SOCKET 1ull
#define SCOPE_SIGNAL 2ull

#define RIGHTS_SCRATCH                                                                                                     \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | RIGHT_TRUNCATE)
#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* struct landlock_ruleset_attr as of ABI 6; an older kernel is given the part that it knows. */
struct ruleset {
    uint64_t files, net, scopes;
};

struct grade {
    int abi;
    uint64_t files, net, scopes; /* new in it */
    size_t bytes;                /* of struct ruleset */
};

static const struct grade grades[] = {
    { 1, RIGHTS_ABI_1, 0, 0, offsetof(struct ruleset, net) },
    { 2, RIGHT_REFER, 0, 0, offsetof(struct ruleset, net) },
    { 3, RIGHT_TRUNCATE, 0, 0, offsetof(struct ruleset, net) },
    { 4, 0, NET_BIND_TCP | NET_CONNECT_TCP, 0, offsetof(struct ruleset, scopes) },
    { 5, RIGHT_IOCTL_DEV, 0, 0, offsetof(struct ruleset, scopes) },
    { 6, 0, 0, SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL, sizeof(struct ruleset) },
};

static enum sp_status grant(int ruleset_fd, const char *path, uint64_t rights, struct sp_error *err)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) };
    if (rule.parent_fd < 0)
        return sp_error_set(err, SP_ERR_IO, "landlock: cannot open %s: %s", path, strerror(errno));
    enum sp_status status = SP_OK;
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        status = sp_error_set(err, SP_ERR_IO, "landlock: cannot allow %s: %s", path, strerror(errno));
    close(rule.parent_fd);
    return status;
}

enum sp_status sp_landlock_enter(const char *scratch, struct sp_error *err, unsigned *abi_out)
{
    struct ruleset ruleset = { 0 };
    size_t bytes = 0;
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *abi_out = 0;
    if (abi < 1)
        return sp_error_set(err, SP_ERR_NOT_FOUND, "the kernel has no Landlock: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(grades) / sizeof(grades[0]) && grades[i].abi <= abi; i++) {
        ruleset.files |= grades[i].files;
        ruleset.net |= grades[i].net;
        ruleset.scopes |= grades[i].scopes;
        bytes = grades[i].bytes;
    }
    const int fd = (int) syscall(SYS_landlock_create_ruleset, &ruleset, bytes, 0);
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "landlock: cannot make a ruleset: %s", strerror(errno));
    enum sp_status status = grant(fd, scratch, RIGHTS_SCRATCH & ruleset.files, err);
    if (status == SP_OK && SP_SANDBOX_SANITIZED)
        status = grant(fd, "/", RIGHTS_READ, err);
    if (status == SP_OK && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        status = sp_error_set(err, SP_ERR_IO, "landlock: cannot enter: %s", strerror(errno));
    close(fd);
    if (status == SP_OK)
        *abi_out = (unsigned) abi;
    return status;
}
