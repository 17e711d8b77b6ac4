/* The run directory. Everything below is done under the lock, so a socket that lies there has no living owner. */
#include "config.h"

#include "rundir.h"

#include "notify.h"

#include "sallyport/scan_proto.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RUNDIR_MODE 0755
#define LOCK_MODE 0644
#define SOCKET_UMASK 0117 /* rw-rw---- */
#define BACKLOG 4096      /* the queue of scans; the kernel's somaxconn caps it */

static enum sp_status fail(struct sp_error *err, const char *what, const char *path)
{
    return sp_error_set(err, SP_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

enum sp_status sp_account_find(const char *name, struct sp_error *err, struct sp_account *account_out)
{
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (!entry || strlen(name) >= sizeof(account_out->name))
        return sp_error_set(err, SP_ERR_NOT_FOUND, "no user %s%s%s", name, errno ? ": " : "", errno ? strerror(errno) : "");
    snprintf(account_out->name, sizeof(account_out->name), "%s", name);
    account_out->uid = entry->pw_uid;
    account_out->gid = entry->pw_gid;
    return SP_OK;
}

enum sp_status sp_account_become(const struct sp_account *account, struct sp_error *err)
{
    if (initgroups(account->name, account->gid) < 0 || setresgid(account->gid, account->gid, account->gid) < 0 ||
        setresuid(account->uid, account->uid, account->uid) < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot become user %s: %s", account->name, strerror(errno));
    if (account->uid != 0 && setuid(0) == 0)
        return sp_error_set(err, SP_ERR_IO, "user %s can become root again", account->name);
    return SP_OK;
}

static enum sp_status give(const char *path, const struct sp_account *owner, struct sp_error *err)
{
    if (!owner || lchown(path, owner->uid, owner->gid) == 0)
        return SP_OK;
    return sp_error_set(err, SP_ERR_IO, "cannot give %s to %s: %s", path, owner->name, strerror(errno));
}

static enum sp_status make_folder(const char *path, const struct sp_account *owner, struct sp_error *err)
{
    struct stat st;
    if (mkdir(path, RUNDIR_MODE) == 0)
        return give(path, owner, err);
    if (errno != EEXIST)
        return fail(err, "make run_dir", path);
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return sp_error_set(err, SP_ERR_IO, "run_dir %s is no directory", path);
    return SP_OK;
}

/* The file stays when the lock goes: removing it would let two processes lock two files of one name. */
static enum sp_status take_lock(const char *run_dir, const char *path, const struct sp_account *owner, struct sp_error *err, int *fd_out)
{
    char pid[16] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (fd < 0)
        return fail(err, "open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        enum sp_status status = SP_ERR_IO;
        if (errno != EWOULDBLOCK)
            status = fail(err, "lock", path);
        else if (read(fd, pid, sizeof(pid) - 1) > 0)
            sp_error_set(err, status, "another sallyport-scand (pid %ld) serves %s", strtol(pid, NULL, 10), run_dir);
        else
            sp_error_set(err, status, "another sallyport-scand serves %s", run_dir);
        close(fd);
        return status;
    }
    *fd_out = fd;
    snprintf(pid, sizeof(pid), "%d\n", (int) getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, pid, strlen(pid)) < 0)
        return fail(err, "write", path);
    return give(path, owner, err);
}

static enum sp_status start_listening(const char *path, const struct sp_account *owner, struct sp_error *err, int *fd_out)
{
    struct stat st;
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return sp_error_set(err, SP_ERR_IO, "%s is in the way: it is not a socket", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return fail(err, "replace", path);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(err, "make a socket for", path);
    *fd_out = fd;
    const mode_t mask = umask(SOCKET_UMASK);
    const int rc = bind(fd, (const struct sockaddr *) &address, sizeof(address));
    umask(mask);
    if (rc < 0)
        return fail(err, "bind", path);
    enum sp_status status = give(path, owner, err);
    if (status == SP_OK && listen(fd, BACKLOG) < 0)
        status = fail(err, "listen on", path);
    if (status != SP_OK)
        unlink(path);
    return status;
}

static enum sp_status take_or_make_socket(struct sp_rundir *rundir, const struct sp_account *owner, struct sp_error *err)
{
    struct stat st;
    enum sp_status status = sp_notify_take_socket(rundir->socket_path, err, &rundir->listen_fd);
    rundir->is_handed = rundir->listen_fd >= 0;
    if (status == SP_OK && !rundir->is_handed)
        status = start_listening(rundir->socket_path, owner, err, &rundir->listen_fd);
    if (status == SP_OK && lstat(rundir->socket_path, &st) < 0)
        status = fail(err, "find", rundir->socket_path);
    if (status != SP_OK)
        return status;
    rundir->socket_dev = st.st_dev;
    rundir->socket_ino = st.st_ino;
    return SP_OK;
}

enum sp_status sp_rundir_open(const char *run_dir, const struct sp_account *owner, struct sp_error *err, struct sp_rundir *rundir_out)
{
    struct sp_rundir *rundir = rundir_out;
    char board_path[PATH_MAX], lock_path[PATH_MAX];
    memset(rundir, 0, sizeof(*rundir));
    rundir->lock_fd = rundir->listen_fd = -1;
    enum sp_status status = sp_scan_socket_path(run_dir, rundir->socket_path, err);
    if (status != SP_OK)
        return status;
    snprintf(board_path, sizeof(board_path), "%s/scand.stat", run_dir);
    snprintf(lock_path, sizeof(lock_path), "%s/scand.lock", run_dir);
    status = make_folder(run_dir, owner, err);
    if (status == SP_OK)
        status = take_lock(run_dir, lock_path, owner, err, &rundir->lock_fd);
    if (status == SP_OK)
        status = sp_board_create(board_path, err, &rundir->board);
    if (status == SP_OK)
        status = give(board_path, owner, err);
    if (status == SP_OK)
        status = take_or_make_socket(rundir, owner, err);
    if (status != SP_OK)
        sp_rundir_close(rundir);
    return status;
}

bool sp_rundir_is_reachable(const struct sp_rundir *rundir)
{
    struct stat st;
    return lstat(rundir->socket_path, &st) == 0 && st.st_dev == rundir->socket_dev && st.st_ino == rundir->socket_ino;
}

void sp_rundir_unlisten(struct sp_rundir *rundir)
{
    if (rundir->listen_fd < 0 || rundir->is_handed)
        return;
    if (sp_rundir_is_reachable(rundir))
        unlink(rundir->socket_path);
    for (int fd; (fd = accept4(rundir->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        close(fd);
}

void sp_rundir_close(struct sp_rundir *rundir)
{
    sp_rundir_unlisten(rundir);
    if (rundir->listen_fd >= 0)
        close(rundir->listen_fd);
    rundir->listen_fd = -1;
    const struct sp_board *board = rundir->board;
    sp_board_close(&board);
    rundir->board = NULL;
    if (rundir->lock_fd >= 0)
        close(rundir->lock_fd);
    rundir->lock_fd = -1;
}
