/* For declog*.c only.
 *
 *   declog.c         a decision as a line; how many lines there may be; what a line may tell
 *   declog_file.c    lines to a file
 *   declog_socket.c  lines to syslog or to the journal */
#ifndef SALLYPORT_DECLOG_PRIV_H
#define SALLYPORT_DECLOG_PRIV_H

#include "sallyport/declog.h"

#include <stdbool.h>

struct sp_declog_file;
enum sp_status sp_declog_file_open(
    const char *path, uint64_t max_bytes, struct sp_error *err, struct sp_declog_file **file_out) SP_MUST_CHECK;
void sp_declog_file_close(struct sp_declog_file **file);
/* line ends with a newline. False: it is lost. */
bool sp_declog_file_write(struct sp_declog_file *file, struct sp_str line, int64_t mono_us);

struct sp_declog_socket;
enum sp_status sp_declog_socket_open(
    bool is_journal, const char *path, struct sp_error *err, struct sp_declog_socket **socket_out) SP_MUST_CHECK;
void sp_declog_socket_close(struct sp_declog_socket **socket);
/* The line without its newline; fields: what else the journal is told, whole lines of the form NAME=VALUE, or empty. */
bool sp_declog_socket_write(struct sp_declog_socket *socket, struct sp_str line, struct sp_str fields);

#endif
